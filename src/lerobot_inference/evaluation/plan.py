"""What is to be scored, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lerobot_inference.checkpoint import Policy
from lerobot_inference.control import UR10E, Guards
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.fit import check_fit, choose_action_mode, select_episodes
from lerobot_inference.evaluation.perturbations import Perturbation, parse_perturbations
from lerobot_inference.records import Record
from lerobot_inference.types import ActionMode

type GuardSettings = Mapping[str, Mapping[str, Any]]
"""Guard -> its limits; those that a guard has a default for may be absent."""


@dataclass(frozen=True)
class EvaluationPlan:
    """What to score: which episodes, as which action mode, and whether from every frame (each stride-th) too.

    perturbations: under each of them all is replayed as deployed once more. guards: those of the safety replay, as a
    guards file has them.
    """

    episodes: list[int]
    action_mode: ActionMode
    every_frame: bool = True
    stride: int = 1
    batch_size: int = 8
    perturbations: tuple[Perturbation, ...] = ()
    guards: GuardSettings = field(default_factory=lambda: Guards.load(UR10E).settings)

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
        perturb: str = "",
        guards: Path = UR10E,
    ) -> EvaluationPlan:
        """Check that policy and dataset fit; episodes: see `select_episodes`; action_mode: None infers it.

        perturb: see `parse_perturbations`. guards: a guards file. Raises DatasetError when policy and dataset don't
        fit, UsageError for episodes or perturbations that are not understood, ConfigError for a bad guards file.
        """
        perturbations = parse_perturbations(perturb)
        check_fit(policy, dataset)
        chosen = select_episodes(episodes, dataset.episode_indices)
        mode = choose_action_mode(policy, dataset, chosen, action_mode)
        settings = Guards.load(guards).settings
        return cls(chosen, mode, every_frame, stride, batch_size, perturbations, settings)

    @property
    def described(self) -> dict[str, Any]:
        """The fields of a PlanRecord."""
        return vars(self) | {"perturbations": [each.name for each in self.perturbations]}


class PlanRecord(Record):
    """A plan in a file."""

    schema_version: Literal[1] = 1
    episodes: list[int]
    action_mode: ActionMode
    every_frame: bool
    stride: int
    batch_size: int
    perturbations: list[str]
    guards: dict[str, dict[str, Any]]

    @property
    def plan(self) -> EvaluationPlan:
        """What was written down. Raises UsageError for a perturbation, ConfigError for a guard that isn't known."""
        perturbations = parse_perturbations(",".join(self.perturbations))
        return EvaluationPlan(
            self.episodes,
            self.action_mode,
            self.every_frame,
            self.stride,
            self.batch_size,
            perturbations,
            Guards.make(self.guards, "the plan's guards").settings,
        )


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: this policy on this dataset by this plan, its results into the folder `output`.

    workers: processes that do it side by side.
    """

    policy: Policy
    dataset: Dataset
    plan: EvaluationPlan
    output: Path
    workers: int = 1
