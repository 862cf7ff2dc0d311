"""What is to be scored, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.checkpoint import Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.fit import check_fit, find_action_mode, select_episodes
from lerobot_inference.types import ActionMode


@dataclass(frozen=True)
class EvaluationPlan:
    """What to score: which episodes, as which action mode, and whether from every frame (each stride-th) too."""

    episodes: list[int]
    action_mode: ActionMode
    every_frame: bool = True
    stride: int = 1
    batch_size: int = 8

    @classmethod
    def make(
        cls,
        policy: Policy,
        dataset: Dataset,
        *,
        episodes: str = "all",
        action_mode: ActionMode | None = None,
        every_frame: bool = True,
        stride: int = 1,
        batch_size: int = 8,
    ) -> EvaluationPlan:
        """Check that policy and dataset fit; episodes: see `select_episodes`; action_mode: None infers it.

        Raises DatasetError when they don't, UsageError for episodes that are not understood.
        """
        check_fit(policy, dataset)
        chosen = select_episodes(episodes, dataset.episode_indices)
        mode = action_mode or find_action_mode(dataset, chosen)
        return cls(chosen, mode, every_frame, stride, batch_size)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: this policy on this dataset by this plan, its results into the folder `output`."""

    policy: Policy
    dataset: Dataset
    plan: EvaluationPlan
    output: Path
