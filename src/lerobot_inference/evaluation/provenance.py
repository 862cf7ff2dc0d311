"""Where results come from: what is needed to measure the same thing again."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.results import Provenance
from lerobot_inference.sources import read_manifest

PACKAGES = ("lerobot-inference", "lerobot", "torch", "numpy", "av")


def describe_provenance(
    checkpoint: Checkpoint, dataset: Dataset, episodes: list[int], engine: str, device: str
) -> Provenance:
    """Hash every file of policy and dataset, and note versions, machine and command line.

    Command lines hold no secrets here: tokens come from the environment only.
    """
    policy, data = read_manifest(checkpoint.folder), read_manifest(dataset.root)
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=list(sys.argv),
        policy_source=policy.source if policy else str(checkpoint.folder),
        policy_revision=policy.revision if policy else None,
        policy_files=checkpoint.file_hashes,
        dataset_source=data.source if data else str(dataset.root),
        dataset_revision=data.revision if data else None,
        dataset_files=dataset.file_hashes(),
        episodes=episodes,
        engine=engine,
        device=device,
        versions={name: found for name in PACKAGES if (found := _version(name))}
        | {"python": platform.python_version()},
        machine=f"{platform.system()} {platform.machine()}",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
