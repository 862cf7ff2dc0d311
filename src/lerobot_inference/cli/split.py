"""`lerobot-inference split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.cli.console import console
from lerobot_inference.cli.options import DatasetOption, PolicyOption
from lerobot_inference.cli.plan_options import (
    ActionModeChoice,
    ActionModeOption,
    BatchSizeOption,
    EpisodesOption,
    GuardsOption,
    PerturbOption,
    ProtocolOption,
    Protocols,
    StrideOption,
    make_plan,
)
from lerobot_inference.control import UR10E
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation import work_items


def split(
    policy: PolicyOption,
    dataset: DatasetOption,
    output: Annotated[Path, typer.Option(help="Folder for the work items, one file each.")],
    episodes: EpisodesOption = "all",
    protocol: ProtocolOption = Protocols.BOTH,
    stride: StrideOption = 1,
    batch_size: BatchSizeOption = 8,
    action_mode: ActionModeOption = ActionModeChoice.AUTO,
    perturb: PerturbOption = None,
    guards: GuardsOption = UR10E,
    size: Annotated[int, typer.Option(min=1, help="Episodes in a work item.")] = 1,
) -> None:
    """Plan an evaluation and cut it into work items, for the parallel step of a pipeline."""
    opened, data = open_policy(policy), Dataset.open(dataset)
    plan = make_plan(
        opened,
        data,
        episodes=episodes,
        protocol=protocol,
        stride=stride,
        batch_size=batch_size,
        action_mode=action_mode,
        perturb=perturb,
        guards=guards,
    )
    paths = work_items.split(plan, output, size)
    console.print(f"work items: {len(paths)} of {len(plan.episodes)} episodes, in {output}", soft_wrap=True)
