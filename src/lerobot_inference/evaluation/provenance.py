"""Where results come from: what is needed to measure the same thing again."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.results import EvalResults, Provenance
from lerobot_inference.sources import read_origin

PACKAGES = ("lerobot-inference", "lerobot", "torch", "onnx", "onnxruntime", "openvino", "nncf", "numpy", "av")


def describe_provenance(
    checkpoint: Checkpoint, dataset: Dataset, episodes: list[int], engine: str, device: str
) -> Provenance:
    """Hash every file of policy and dataset, and note versions, machine and command line.

    Command lines hold no secrets here: tokens come from the environment only.
    """
    policy_source, policy_revision = read_origin(checkpoint.folder)
    dataset_source, dataset_revision = read_origin(dataset.root)
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=list(sys.argv),
        policy_source=policy_source,
        policy_revision=policy_revision,
        policy_files=checkpoint.file_hashes,
        dataset_source=dataset_source,
        dataset_revision=dataset_revision,
        dataset_files=dataset.file_hashes(),
        episodes=episodes,
        engine=engine,
        device=device,
        versions=installed_versions(),
        machine=f"{platform.system()} {platform.machine()}",
    )


def installed_versions() -> dict[str, str]:
    """Package -> version of all that may decide a figure and is installed; python's too."""
    return {name: found for name in PACKAGES if (found := _version(name))} | {"python": platform.python_version()}


def require_evaluated(checkpoint: Checkpoint, results: EvalResults, folder: Path) -> None:
    """Raise ConfigError unless `results` (read from `folder`) are of this very checkpoint, file by file."""
    evaluated = results.provenance.policy_files
    for name, sha256 in checkpoint.file_hashes.items():
        if evaluated.get(name) != sha256:
            found = f"was {evaluated[name][:12]}… when evaluated" if name in evaluated else "wasn't there"
            raise ConfigError(
                f"{folder}: these results are of another policy: {name} is {sha256[:12]}… in {checkpoint.folder}, "
                f"{found}",
                hint="evaluate this policy, and give those results",
            )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
