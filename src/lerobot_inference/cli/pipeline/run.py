"""`lerobot-inference pipeline run`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lerobot_inference.cli.console import console, errors, print_json
from lerobot_inference.cli.pipeline.settings import SettingsOption, parse_settings
from lerobot_inference.jobs.containers import Containers
from lerobot_inference.jobs.local import Observer, log_tail, new_folder, run_pipeline
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.jobs.process import Processes
from lerobot_inference.jobs.record import RunRecord, State, StepRecord

FAILED_LOG_LINES = 20
STYLES = {
    State.WAITING: "dim",
    State.RUNNING: "bold blue",
    State.SUCCEEDED: "green",
    State.CACHED: "cyan",
    State.FAILED: "bold red",
    State.SKIPPED: "dim",
    State.INTERRUPTED: "yellow",
}


def run(
    file: Annotated[Path, typer.Argument(help="Pipeline YAML, such as pipelines/evaluate.yaml.")],
    settings: SettingsOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of this run; runs/<pipeline>-<time> when not given.")
    ] = None,
    docker: Annotated[bool, typer.Option(help="Run each step in its own image instead of as a process.")] = False,
    force_rerun: Annotated[bool, typer.Option(help="Run every step, whatever earlier runs wrote.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record of the run as JSON.")] = False,
) -> None:
    """Run the steps of a pipeline file here and keep their outputs and logs; what nothing has changed for is reused."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled job ends its step, as Ctrl-C does
    plan = Pipeline.read(file, parse_settings(settings))
    runner = Containers.prepare(plan, lambda line: errors.print(line, soft_wrap=True)) if docker else Processes()
    with _display() as observe:
        record = run_pipeline(plan, output or new_folder(file), observe, runner, force_rerun=force_rerun)
    if as_json:
        print_json(record)
    else:
        _print_paths(record)
    _print_failure(record)
    raise typer.Exit(record.exit_code or 0)


@contextmanager
def _display() -> Iterator[Observer]:
    """Show the run: a table that is kept up to date on a terminal, a line a change of state elsewhere."""
    if not errors.is_terminal:
        yield _Lines()
        return
    table = _LiveTable()
    with Live(table, console=errors, refresh_per_second=4):
        yield table.show


class _Lines:
    """One line for every change of a step's state."""

    def __init__(self) -> None:
        self._shown: dict[str, State] = {}

    def __call__(self, record: RunRecord) -> None:
        for number, step in enumerate(record.steps, start=1):
            if step.state not in (State.WAITING, self._shown.get(step.name)):
                self._shown[step.name] = step.state
                took = "" if step.seconds is None else f" after {step.seconds:.1f} s"
                why = f" ({step.reason})" if step.state in (State.RUNNING, State.CACHED) else ""
                errors.print(f"{step.name} ({number}/{len(record.steps)}): {step.state}{took}{why}", soft_wrap=True)


class _LiveTable:
    """Every step with its state, its time and why it ran or didn't; the running one with the last that it printed."""

    def __init__(self) -> None:
        self._record: RunRecord | None = None

    def show(self, record: RunRecord) -> None:
        self._record = record

    def __rich__(self) -> Table:
        table = Table("step", "state", "time", "", box=None)
        for step in self._record.steps if self._record else []:
            time = f"{step.elapsed_s:.1f} s" if step.started else ""
            said = Text.from_ansi(_last_line(step), style="dim", no_wrap=True, overflow="ellipsis")
            table.add_row(step.name, Text(step.state, style=STYLES[step.state]), Text(time, justify="right"), said)
        return table


def _last_line(step: StepRecord) -> str:
    """What a running step printed last; else, or as long as it has printed nothing, why it is run or reused."""
    log = Path(step.log)
    last = log_tail(log, 1) if step.state is State.RUNNING and log.exists() else []
    return last[0] if last else step.reason


def _print_paths(record: RunRecord) -> None:
    for name, path in record.outputs.items():
        console.print(Text(f"{name}: {path}"), soft_wrap=True)
    console.print(Text(f"record: {record.folder}/run.json"), soft_wrap=True)


def _print_failure(record: RunRecord) -> None:
    for step in record.steps:
        if step.state is State.FAILED:
            errors.print(Text(f"step {step.name} ended with exit code {step.exit_code}", style="bold red"))
            for line in log_tail(Path(step.log), FAILED_LOG_LINES):
                errors.print(Text("  │ ") + Text.from_ansi(line), soft_wrap=True)
            errors.print(Text(f"  all of it: {step.log}"), soft_wrap=True)
