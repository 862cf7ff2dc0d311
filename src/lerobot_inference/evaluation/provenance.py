"""Where results come from: what is needed to measure the same thing again."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lerobot_inference.checkpoint import Checkpoint, Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine.base import Engine, available_cores, processor_model
from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.results import EvalResults, Provenance
from lerobot_inference.evaluation.statistics import SEED
from lerobot_inference.plugins import installed
from lerobot_inference.sources import read_origin
from lerobot_inference.types import Precision

PACKAGES = ("lerobot-inference", "lerobot", "torch", "onnx", "onnxruntime", "openvino", "numpy", "av")


@dataclass(frozen=True)
class EngineSetup:
    """What computes the chunks. threads: of one engine; workers: processes that have one each and run side by side.

    cold_forward_s: wall time of a process's first forward pass, while no other process runs. processor: see Provenance.
    """

    engine: str
    device: str
    precision: Precision
    threads: int
    workers: int
    cold_forward_s: float
    processor: str = ""

    @classmethod
    def warm_up(cls, engine: Engine) -> EngineSetup:
        """One engine in this process; runs its first forward pass."""
        processor = f"{processor_model()}, {available_cores()} cores"
        return cls(engine.name, engine.device, engine.precision, engine.threads, 1, engine.warm_up(), processor)


def describe_provenance(policy: Policy, dataset: Dataset, episodes: list[int], setup: EngineSetup) -> Provenance:
    """Hash every file of policy and dataset, and note versions, machine and command line.

    Command lines hold no secrets here: tokens come from the environment only.
    """
    policy_source, policy_revision = read_origin(policy.folder)
    dataset_source, dataset_revision = read_origin(dataset.root)
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=list(sys.argv),
        policy_source=policy_source,
        policy_revision=policy_revision,
        policy_files=policy.file_hashes,
        dataset_source=dataset_source,
        dataset_revision=dataset_revision,
        dataset_files=dataset.file_hashes(),
        episodes=episodes,
        engine=setup.engine,
        device=setup.device,
        precision=setup.precision,
        threads=setup.threads,
        workers=setup.workers,
        seed=SEED,
        versions=installed_versions(),
        machine=f"{platform.system()} {platform.machine()}",
        processor=setup.processor,
    )


def installed_versions() -> dict[str, str]:
    """Package -> version of all that may decide a figure and is installed; python's and plugins' too."""
    packages = (*PACKAGES, *(plugin.distribution for plugin in installed()))
    return {name: found for name in packages if (found := _version(name))} | {"python": platform.python_version()}


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
