"""The entry script of components/evaluate_parallel: a driver calls `init` once, then `run` with work items."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import AUTO, DEVICES, ENGINES, EngineChoice
from lerobot_inference.evaluation.work_items import ItemEvaluator
from lerobot_inference.types import Precision

_evaluator: ItemEvaluator


def init() -> None:
    """Open what the command line names and load an engine. Azure's driver adds arguments of its own."""
    global _evaluator
    given, _ = parser().parse_known_args()
    policy, dataset = open_policy(given.policy), Dataset.open(given.dataset)
    choice = EngineChoice(given.engine, given.device, given.precision, given.threads)
    _evaluator = ItemEvaluator.load(policy, dataset, choice, given.pieces)


def run(mini_batch: Sequence[str]) -> list[str]:
    """Evaluate these work items; a line for each."""
    return [_evaluator.evaluate(Path(path)) for path in mini_batch]


def parser() -> ArgumentParser:
    """The options; those that `evaluate` has too are the same. pieces: folder for a piece for each work item."""
    options = ArgumentParser(allow_abbrev=False)
    for name in ("--policy", "--dataset", "--pieces"):  # --output is one of the driver's own
        options.add_argument(name, type=Path, required=True)
    options.add_argument("--device", default="cuda", choices=DEVICES)
    options.add_argument("--engine", default=AUTO, choices=ENGINES)
    options.add_argument("--precision", type=Precision, choices=list(Precision))
    options.add_argument("--threads", type=int)
    return options
