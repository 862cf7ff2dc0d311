"""One process of several that share an evaluation: every WORLD_SIZE-th episode, from the RANK-th on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.checkpoint import Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import UsageError
from lerobot_inference.evaluation.pieces import evaluate_piece
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan
from lerobot_inference.evaluation.provenance import describe_provenance
from lerobot_inference.evaluation.results import Failure
from lerobot_inference.evaluation.workers import engines
from lerobot_inference.types import Progress, silent


@dataclass(frozen=True)
class Shard:
    """rank: from 0 to below world_size."""

    rank: int
    world_size: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Shard:
        """Read RANK and WORLD_SIZE, as torch's launcher and Azure ML set them. Raises UsageError."""
        found = [environment.get(name, "") for name in ("RANK", "WORLD_SIZE")]
        if all(text.isdecimal() for text in found) and int(found[0]) < int(found[1]):
            return cls(*map(int, found))
        raise UsageError(
            f"--sharded: RANK is {found[0] or 'not set'} and WORLD_SIZE is {found[1] or 'not set'}",
            hint="set both for each process: RANK from 0 to below WORLD_SIZE, the number of processes",
        )

    @property
    def name(self) -> str:
        """Of its piece."""
        return f"shard_{self.rank}_of_{self.world_size}"

    def share(self, episodes: Sequence[int]) -> list[int]:
        """Its episodes. Neighbours go to different shards, since they tend to be alike in length."""
        return list(episodes[self.rank :: self.world_size])


def evaluate_shard(
    policy: Policy,
    dataset: Dataset,
    choice: EngineChoice,
    output: Path,
    plan: EvaluationPlan,
    shard: Shard,
    workers: int | None = None,
    progress: Progress = silent,
    *,
    resume: bool = False,
) -> list[Failure]:
    """Score a shard's share of the plan's episodes into a piece of its own in `output`.

    Raises as `evaluate_piece` and `evaluate_with_workers` do.
    """
    evaluation = Evaluation(policy, dataset, plan, output / shard.name)
    episodes = shard.share(plan.episodes)
    with engines(evaluation, choice, workers, len(episodes)) as (setup, perform):
        provenance = describe_provenance(policy, dataset, plan.episodes, setup)
        return evaluate_piece(evaluation, episodes, setup, provenance, perform, progress, resume=resume)
