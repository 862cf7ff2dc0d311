"""`lerobot-inference evaluate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.cli.console import console, errors, print_json, progress_display
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import load_engine
from lerobot_inference.evaluation.evaluate import EvaluationPlan
from lerobot_inference.evaluation.evaluate import evaluate as run_evaluation
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.types import ActionMode

PARTIAL_EXIT_CODE = 4


class Protocols(StrEnum):
    """Which protocols to run."""

    AS_DEPLOYED = "as-deployed"
    BOTH = "both"


class ActionModeChoice(StrEnum):
    """What an action means; `auto` reads it off the dataset."""

    AUTO = "auto"
    DELTA = "delta"
    ABSOLUTE = "absolute"


def evaluate(
    policy: Annotated[Path, typer.Option(help="Folder of the lerobot ACT checkpoint.")],
    dataset: Annotated[Path, typer.Option(help="Folder of the LeRobot v3 dataset.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    episodes: Annotated[str, typer.Option(help="all, a count such as 10, or numbers such as 3,5-8.")] = "all",
    device: Annotated[str, typer.Option(help="cuda, cpu or mps; an absent one is an error.")] = "cuda",
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "lerobot",
    protocol: Annotated[Protocols, typer.Option(help="as-deployed alone, or every-frame too.")] = Protocols.BOTH,
    stride: Annotated[int, typer.Option(min=1, help="every-frame: predict from each N-th frame.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="every-frame: frames in one forward pass.")] = 8,
    action_mode: Annotated[ActionModeChoice, typer.Option(help="What an action means.")] = ActionModeChoice.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print eval_results.json.")] = False,
) -> None:
    """Replay recorded episodes through a policy and write the results folder."""
    checkpoint, data = Checkpoint.open(policy), Dataset.open(dataset)
    plan = EvaluationPlan.make(
        checkpoint,
        data,
        episodes=episodes,
        every_frame=protocol is Protocols.BOTH,
        stride=stride,
        batch_size=batch_size,
        action_mode=None if action_mode is ActionModeChoice.AUTO else ActionMode(action_mode.value),
    )
    with progress_display() as progress:
        results = run_evaluation(checkpoint, data, load_engine(engine, checkpoint, device), output, plan, progress)
    if json:
        print_json(results)
    else:
        console.print(summary_table(results))
        console.print(f"results: {output}", soft_wrap=True)
    if results.failed_episodes:
        warning = f" episodes {results.failed_episodes} failed; see failure_cases.jsonl"
        errors.print(Text.assemble(("warning:", "bold yellow"), warning))
        raise typer.Exit(PARTIAL_EXIT_CODE)


def summary_table(results: EvalResults) -> Table:
    """For each protocol the policy's error above that of every baseline; `worse` is a baseline's MSE over its."""
    title = f"{results.policy_repo_id} on {results.dataset_repo_id}, {results.episodes_evaluated} episodes"
    table = Table(title=title, title_justify="left")
    table.add_column("predictor")
    for heading in ("MSE", "MAE (mrad)", "worse"):
        table.add_column(heading, justify="right")
    for name, protocol in results.protocols.items():
        skill = "none" if protocol.skill is None else f"{protocol.skill:.3f}"
        table.add_row(f"{name.replace('_', '-')}, {protocol.steps} steps: skill {skill}", style="bold")
        policy = protocol.error
        for predictor, error in {"policy": policy, **protocol.baselines}.items():
            worse = f"{error.mse / policy.mse:.1f}x" if error is not policy and policy.mse else ""
            table.add_row(f"  {predictor.replace('_', ' ')}", f"{error.mse:.2e}", f"{1000 * error.mae:.3f}", worse)
        table.add_section()
    return table
