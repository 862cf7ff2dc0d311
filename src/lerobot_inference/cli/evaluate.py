"""`lerobot-inference evaluate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.cli.console import console, errors, print_json, progress_display
from lerobot_inference.cli.options import DeviceOption, EngineOption, PolicyOption, PrecisionOption, ThreadsOption
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import AUTO, EngineChoice
from lerobot_inference.evaluation.perturbations import EXAMPLES
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.workers import evaluate_with_workers
from lerobot_inference.types import ActionMode

PARTIAL_EXIT_CODE = 4

WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="cpu: processes, each with an engine of its own; as many as --threads leave cores for when not given.",
    ),
]


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
    policy: PolicyOption,
    dataset: Annotated[Path, typer.Option(help="Folder of the LeRobot v3 dataset.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    episodes: Annotated[str, typer.Option(help="all, a count such as 10, or numbers such as 3,5-8.")] = "all",
    device: DeviceOption = "cuda",
    engine: EngineOption = AUTO,
    precision: PrecisionOption = None,
    threads: ThreadsOption = None,
    workers: WorkersOption = None,
    protocol: Annotated[Protocols, typer.Option(help="as-deployed alone, or every-frame too.")] = Protocols.BOTH,
    stride: Annotated[int, typer.Option(min=1, help="every-frame: predict from each N-th frame.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="every-frame: frames in one forward pass.")] = 8,
    action_mode: Annotated[ActionModeChoice, typer.Option(help="What an action means.")] = ActionModeChoice.AUTO,
    perturb: Annotated[
        str | None, typer.Option(help=f"Conditions under which all is replayed as deployed once more: {EXAMPLES}.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an interrupted run of the same evaluation left.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print eval_results.json.")] = False,
) -> None:
    """Replay recorded episodes through a policy and write the results folder."""
    opened, data = open_policy(policy), Dataset.open(dataset)
    plan = EvaluationPlan.make(
        opened,
        data,
        episodes=episodes,
        every_frame=protocol is Protocols.BOTH,
        stride=stride,
        batch_size=batch_size,
        action_mode=None if action_mode is ActionModeChoice.AUTO else ActionMode(action_mode.value),
        perturb=perturb or "",
    )
    choice = EngineChoice(engine, device, precision, threads)
    with progress_display() as progress:
        results = evaluate_with_workers(opened, data, choice, output, plan, workers, progress, resume=resume)
    if json:
        print_json(results)
    else:
        console.print(summary_table(results))
        if results.robustness:
            console.print(robustness_table(results))
        console.print(f"results: {output}", soft_wrap=True)
    if results.status == "partial":
        which = f"episodes {results.failed_episodes}" if results.failed_episodes else "episodes under a perturbation"
        errors.print(Text.assemble(("warning:", "bold yellow"), f" {which} failed; see failure_cases.jsonl"))
        raise typer.Exit(PARTIAL_EXIT_CODE)


def summary_table(results: EvalResults) -> Table:
    """For each protocol the policy's error above that of every baseline; `worse` is a baseline's MSE over its."""
    ran = f"{results.provenance.engine} {results.provenance.precision} on {results.provenance.device}"
    title = f"{results.policy_repo_id} on {results.dataset_repo_id}, {results.episodes_evaluated} episodes, {ran}"
    table = Table(title=title, title_justify="left")
    table.add_column("predictor")
    for heading in ("MSE", "MAE (mrad)", "worse"):
        table.add_column(heading, justify="right")
    for name, protocol in results.protocols.items():
        skill = _number(protocol.skill, 3)
        table.add_row(f"{name.replace('_', '-')}, {protocol.steps} steps: skill {skill}", style="bold")
        policy = protocol.error
        for predictor, error in {"policy": policy, **protocol.baselines}.items():
            worse = f"{error.mse / policy.mse:.1f}x" if error is not policy and policy.mse else ""
            table.add_row(f"  {predictor.replace('_', ' ')}", f"{error.mse:.2e}", f"{1000 * error.mae:.3f}", worse)
        table.add_section()
    return table


def robustness_table(results: EvalResults) -> Table:
    """For each perturbation the policy's error, and how many times the undisturbed MSE it is (95 % interval)."""
    table = Table(title="pictures worsened, as deployed", title_justify="left")
    table.add_column("condition")
    for heading in ("MAE (mrad)", "times the MSE", "skill"):
        table.add_column(heading, justify="right")
    deployed = results.as_deployed
    table.add_row("none", f"{1000 * deployed.error.mae:.3f}", "1.00", _number(deployed.skill, 3), style="bold")
    for condition, found in results.robustness.items():
        spread = f" ({found.interval[0]:.2f} to {found.interval[1]:.2f})" if found.interval else ""
        times = f"{_number(found.mse_ratio, 2)}{spread}"
        table.add_row(condition, f"{1000 * found.error.mae:.3f}", times, _number(found.skill, 3))
    return table


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"
