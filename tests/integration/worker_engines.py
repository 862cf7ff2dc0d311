"""Engines that a worker process builds for itself and that end badly, and a program that evaluates with one."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.checkpoint import Checkpoint, Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.workers import evaluate_with_workers
from lerobot_inference.types import ActionChunk, PolicySpec, Precision


@dataclass(frozen=True)
class Misbehaving(EngineChoice):
    """An engine whose first prediction leaves a file with its process' number in `marks`, then dies or never ends."""

    marks: Path = Path()
    dies: bool = False

    def load(self, policy: Policy) -> MisbehavingEngine:
        return MisbehavingEngine(policy.spec, self)


@dataclass
class MisbehavingEngine:
    spec: PolicySpec
    choice: Misbehaving
    name: str = "misbehaving"
    device: str = "cpu"
    precision: Precision = Precision.F32
    threads: int = 1

    def warm_up(self) -> float:
        return 0.0

    def predict(self, *_: object) -> ActionChunk:
        (self.choice.marks / str(os.getpid())).touch()
        if self.choice.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        while True:
            time.sleep(60)


def main(checkpoint: str, dataset: str, output: str) -> None:
    """Evaluate with two workers that never end; they mark `output`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a background job's shell ignores it
    policy, data = Checkpoint.open(Path(checkpoint)), Dataset.open(Path(dataset))
    plan = EvaluationPlan.make(policy, data)
    choice = Misbehaving(marks=Path(output), threads=1)
    evaluate_with_workers(policy, data, choice, Path(output) / "results", plan, workers=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
