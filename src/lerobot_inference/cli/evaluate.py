"""`lerobot-inference evaluate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.cli.console import console, print_json, progress_display, warn
from lerobot_inference.cli.options import (
    DatasetOption,
    DeviceOption,
    EngineOption,
    PolicyOption,
    PrecisionOption,
    ThreadsOption,
)
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
from lerobot_inference.engine import AUTO, EngineChoice
from lerobot_inference.errors import UsageError, require
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.shard import Shard, evaluate_shard
from lerobot_inference.evaluation.workers import evaluate_with_workers
from lerobot_inference.report.recording import write_recordings

PARTIAL_EXIT_CODE = 4

WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="cpu: processes, each with an engine of its own; as many as --threads leave cores for when not given.",
    ),
]


SHARDED = (
    "Score this process' share of the episodes, as RANK and WORLD_SIZE in the environment say, "
    "into a piece for `aggregate`."
)


def evaluate(
    policy: PolicyOption,
    dataset: DatasetOption,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    episodes: EpisodesOption = "all",
    device: DeviceOption = "cuda",
    engine: EngineOption = AUTO,
    precision: PrecisionOption = None,
    threads: ThreadsOption = None,
    workers: WorkersOption = None,
    protocol: ProtocolOption = Protocols.BOTH,
    stride: StrideOption = 1,
    batch_size: BatchSizeOption = 8,
    action_mode: ActionModeOption = ActionModeChoice.AUTO,
    perturb: PerturbOption = None,
    guards: GuardsOption = UR10E,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an interrupted run of the same evaluation left.")
    ] = False,
    sharded: Annotated[bool, typer.Option("--sharded", help=SHARDED)] = False,
    rerun: Annotated[
        bool,
        typer.Option("--rerun", help="Write rerun/ep000.rrd beside the results, too: each episode for Rerun's viewer."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print eval_results.json.")] = False,
) -> None:
    """Replay recorded episodes through a policy and write the results folder."""
    if sharded and (json or rerun):
        unwanted = "--json" if json else "--rerun"
        raise UsageError(f"--sharded writes a piece, and no results for {unwanted}", hint=f"leave out {unwanted}")
    if rerun:
        require("rerun", "rerun")
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
    choice = EngineChoice(engine, device, precision, threads)
    with progress_display() as progress:
        if sharded:
            shard = Shard.from_environment(os.environ)
            failures = evaluate_shard(opened, data, choice, output, plan, shard, workers, progress, resume=resume)
            console.print(f"piece: {output / shard.name}, {len(failures)} failures", soft_wrap=True)
            return
        results = evaluate_with_workers(opened, data, choice, output, plan, workers, progress, resume=resume)
        if rerun:
            write_recordings(Evaluation(opened, data, plan, output), progress)
    print_results(results, output, as_json=json)


def print_results(results: EvalResults, output: Path, *, as_json: bool) -> None:
    """Print the figures; end with the exit code of a partial result where it is one."""
    if as_json:
        print_json(results)
    else:
        console.print(summary_table(results))
        if results.robustness:
            console.print(robustness_table(results))
        console.print(safety_sentence(results), soft_wrap=True)
        console.print(f"results: {output}", soft_wrap=True)
    if results.status == "partial":
        which = f"episodes {results.failed_episodes}" if results.failed_episodes else "episodes under a perturbation"
        warn(f"{which} failed; see failure_cases.jsonl")
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
            worse = _times(error.mse, policy.mse) if error is not policy else ""
            table.add_row(f"  {predictor.replace('_', ' ')}", f"{error.mse:.2e}", f"{1000 * error.mae:.3f}", worse)
        table.add_section()
    return table


def _times(baseline: float, policy: float) -> str:
    """How many times worse a baseline is; which of the two is better is said where it is the baseline."""
    if baseline >= policy:
        return f"{baseline / policy:.1f}x" if policy else ""
    return f"{policy / baseline:.1f}x better" if baseline else "exact"


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


def safety_sentence(results: EvalResults) -> str:
    """What the robot's guards make of the commands."""
    safety = results.safety_replay
    if safety is None:
        return f"safety replay: none, {results.reasons.get('safety_replay', 'not in these results')}"
    spoke = ", ".join(f"{name} {found.ticks}" for name, found in safety.guards.items() if found.ticks)
    return (
        f"safety replay: {safety.stopped_episodes} episodes stopped; of {safety.ticks} ticks {safety.scaled_ticks} are "
        f"slowed down and {safety.held_ticks} held{f' ({spoke})' if spoke else ''}"
    )


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"
