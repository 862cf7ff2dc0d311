"""Add an engine: two policies as one, which answers with the mean of both chunks.

    python examples/add_an_engine.py CHECKPOINT OTHER_CHECKPOINT DATASET RESULTS

In the package it is a file in engine/ with `available_devices()`, `PRECISIONS` and `build`, and a name in `BACKENDS`.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.engine.base import warm_up
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.types import ActionChunk, FloatArray, PolicySpec, UInt8Array


@dataclass
class MeanEngine:
    """The mean of what several engines answer; their policies have the same cameras, joints and chunk."""

    parts: Sequence[Engine]
    name: str = "mean"

    def __post_init__(self) -> None:
        first = self.parts[0]
        self.device, self.precision, self.threads = first.device, first.precision, first.threads
        self.spec: PolicySpec = first.spec

    def warm_up(self) -> float:
        """See Engine."""
        return warm_up(self)

    def predict(
        self, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None = None
    ) -> ActionChunk:
        """See Engine."""
        chunks = [part.predict(images, states, environment) for part in self.parts]
        return ActionChunk(
            np.mean([chunk.actions for chunk in chunks], axis=0, dtype=np.float32),
            forward_s=sum(chunk.forward_s for chunk in chunks),
        )


def main(one: Path, other: Path, recordings: Path, output: Path) -> None:
    """Evaluate each policy, then both as one."""
    dataset = Dataset.open(recordings)
    policies = [open_policy(one), open_policy(other)]
    engines = [EngineChoice(device="cpu").load(policy) for policy in policies]
    plan = EvaluationPlan.make(policies[0], dataset, every_frame=False)
    for name, policy, engine in (
        ("one", policies[0], engines[0]),
        ("other", policies[1], engines[1]),
        ("mean", policies[0], MeanEngine(engines)),
    ):
        results = evaluate(policy, dataset, engine, output / name, plan)
        print(f"{name}: {1000 * results.aggregate_mae:.3f} mrad a step")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
