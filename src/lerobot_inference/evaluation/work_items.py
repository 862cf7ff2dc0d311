"""An evaluation cut into small files, one for each group of episodes, that any machine can take up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.checkpoint import Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.pieces import evaluate_piece
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan, PlanRecord
from lerobot_inference.evaluation.provenance import EngineSetup, describe_provenance
from lerobot_inference.evaluation.results import Provenance
from lerobot_inference.evaluation.stages import in_this_process
from lerobot_inference.files import storage_errors
from lerobot_inference.records import load_record, save_record


class WorkItem(PlanRecord):
    """item_000.json: the plan of an evaluation, and which of its episodes are to be scored.

    What runs the policy (engine, device, precision, threads) is left to who takes it up.
    """

    part: list[int]

    @classmethod
    def load(cls, path: Path) -> WorkItem:
        """Read what `split` wrote. Raises ConfigError."""
        again = "run `lerobot-inference split` again to write it"
        item = load_record(cls, path, absent=again, damaged=again)
        if not set(item.part) <= set(item.episodes):
            raise ConfigError(f"{path}: part: not all of it is in episodes", hint=again)
        return item


def split(plan: EvaluationPlan, folder: Path, size: int = 1) -> list[Path]:
    """Write a work item for every `size` episodes into `folder`, in place of those that lie there.

    Raises StorageError.
    """
    parts = [plan.episodes[start : start + size] for start in range(0, len(plan.episodes), size)]
    paths = [folder / f"item_{number:03d}.json" for number in range(len(parts))]
    with storage_errors(folder):
        for old in folder.glob("item_*.json"):
            old.unlink()
    for path, part in zip(paths, parts, strict=True):
        save_record(WorkItem(**plan.described, part=part), path)
    return paths


@dataclass(frozen=True)
class ItemEvaluator:
    """A process that takes up work items. provenance: but for the episodes, which an item names."""

    policy: Policy
    dataset: Dataset
    engine: Engine
    setup: EngineSetup
    provenance: Provenance
    output: Path

    @classmethod
    def load(cls, policy: Policy, dataset: Dataset, choice: EngineChoice, output: Path) -> ItemEvaluator:
        """Build the engine. output: folder of the pieces. Raises as `EngineChoice.load` does."""
        engine = choice.load(policy)
        setup = EngineSetup.warm_up(engine)
        return cls(policy, dataset, engine, setup, describe_provenance(policy, dataset, [], setup), output)

    def evaluate(self, path: Path) -> str:
        """Score a work item's episodes into a piece of its name, and say so.

        What an interrupted attempt at it finished is not done again. Raises as `evaluate_piece` does.
        """
        item = WorkItem.load(path)
        evaluation = Evaluation(self.policy, self.dataset, item.plan, self.output / path.stem)
        provenance = self.provenance.model_copy(update={"episodes": item.episodes})
        perform = in_this_process(evaluation, self.engine)
        failures = evaluate_piece(evaluation, item.part, self.setup, provenance, perform, resume=True)
        return f"{path.name}: {len(item.part)} episodes, {len(failures)} failures"
