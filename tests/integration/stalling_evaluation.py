"""A program that evaluates with a real engine which, in each process, says no more after so many predictions."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_inference.checkpoint import Checkpoint, Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.workers import evaluate_with_workers
from lerobot_inference.types import ActionChunk


@dataclass(frozen=True)
class Stalling(EngineChoice):
    """Leaves a file with its process' number in `marks` when it stalls."""

    marks: Path = Path()
    predictions: int = 0

    def load(self, policy: Policy) -> Any:
        return StallingEngine(super().load(policy), self)


class StallingEngine:
    """Another engine, under that one's name."""

    def __init__(self, engine: Engine, choice: Stalling) -> None:
        self.engine, self.choice, self.left = engine, choice, choice.predictions

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def predict(self, *arguments: Any) -> ActionChunk:
        while not self.left:
            (self.choice.marks / str(os.getpid())).touch()
            time.sleep(60)
        self.left -= 1
        return self.engine.predict(*arguments)


def main(checkpoint: str, dataset: str, output: str, marks: str, predictions: str, workers: str, perturb: str) -> None:
    """Evaluate as `lerobot-inference evaluate --engine openvino --threads 1` does, until it stalls."""
    policy, data = Checkpoint.open(Path(checkpoint)), Dataset.open(Path(dataset))
    plan = EvaluationPlan.make(policy, data, perturb=perturb)
    choice = Stalling("openvino", "cpu", None, 1, Path(marks), int(predictions))
    evaluate_with_workers(policy, data, choice, Path(output), plan, int(workers))


if __name__ == "__main__":
    main(*sys.argv[1:])
