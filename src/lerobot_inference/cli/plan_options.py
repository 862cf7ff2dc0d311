"""The options that say what is to be scored, for every command that plans an evaluation."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.checkpoint import Policy
from lerobot_inference.cli.console import warn
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.perturbations import EXAMPLES
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.types import ActionMode


class Protocols(StrEnum):
    """Which protocols to run."""

    AS_DEPLOYED = "as-deployed"
    BOTH = "both"


class ActionModeChoice(StrEnum):
    """What an action means; `auto` reads it off the dataset."""

    AUTO = "auto"
    DELTA = "delta"
    ABSOLUTE = "absolute"


EpisodesOption = Annotated[str, typer.Option(help="all, a count such as 10, or numbers such as 3,5-8.")]
ProtocolOption = Annotated[Protocols, typer.Option(help="as-deployed alone, or every-frame too.")]
StrideOption = Annotated[int, typer.Option(min=1, help="every-frame: predict from each N-th frame.")]
BatchSizeOption = Annotated[int, typer.Option(min=1, help="every-frame: frames in one forward pass.")]
ActionModeOption = Annotated[ActionModeChoice, typer.Option(help="What an action means.")]
GuardsOption = Annotated[
    Path, typer.Option(help="Guards file of the arm, for the safety replay.", show_default="the UR10e's")
]
PerturbOption = Annotated[
    str | None, typer.Option(help=f"Conditions under which all is replayed as deployed once more: {EXAMPLES}.")
]


def make_plan(
    policy: Policy,
    dataset: Dataset,
    *,
    episodes: str,
    protocol: Protocols,
    stride: int,
    batch_size: int,
    action_mode: ActionModeChoice,
    perturb: str | None,
    guards: Path,
) -> EvaluationPlan:
    """The plan that the options ask for. Raises as `EvaluationPlan.make` does."""
    plan = EvaluationPlan.make(
        policy,
        dataset,
        episodes=episodes,
        every_frame=protocol is Protocols.BOTH,
        stride=stride,
        batch_size=batch_size,
        action_mode=None if action_mode is ActionModeChoice.AUTO else ActionMode(action_mode.value),
        perturb=perturb or "",
        guards=guards,
    )
    if episodes.strip().isdigit() and int(episodes) > len(plan.episodes):
        warn(f"--episodes {episodes.strip()}: the dataset has {len(plan.episodes)}, which are all scored")
    return plan
