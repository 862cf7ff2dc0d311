"""One file per command: parse, call, print. No logic."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper

import typer
from rich.text import Text

from lerobot_inference.cli import (
    aggregate,
    doctor,
    download,
    evaluate,
    export,
    gate,
    osmo,
    pipeline,
    plot,
    register,
    replay,
    sim,
    split,
    tracking,
)
from lerobot_inference.cli.console import errors
from lerobot_inference.errors import LerobotInferenceError


def _new_app(text: str | None = None) -> typer.Typer:
    return typer.Typer(help=text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


app = _new_app("Evaluate, gate, register and deploy LeRobot ACT policies for a UR10e.")
app.command()(download.download)
app.command()(evaluate.evaluate)
app.command()(split.split)
app.command()(aggregate.aggregate)
app.command()(gate.gate)
app.command()(plot.plot)
app.command()(register.register)
app.command()(export.export)
app.add_typer(
    pipeline.app, name="pipeline", help="Check a pipeline file, run it on this machine, or submit it to Azure ML."
)
app.add_typer(osmo.app, name="osmo", help="Run a pipeline file on OSMO.")
app.add_typer(tracking.app, name="tracking", help="Log evaluations to MLflow.")
app.add_typer(sim.app, name="sim", help="The simulated cell: record a dataset, train a policy, close the loop.")
app.command()(replay.replay)
app.command()(doctor.doctor)


def main(argv: list[str] | None = None) -> None:
    """`lerobot-inference`: always ends in SystemExit with one of the documented exit codes."""
    _run(app, argv)


def run(command: Callable[..., None], argv: list[str] | None = None, name: str | None = None) -> None:
    """Run one function as a program of its own, with the same errors and exit codes. name: in its help."""
    single = _new_app()
    single.command(context_settings={"help_option_names": ["-h", "--help"]})(command)
    _run(single, argv, name)


def _run(program: typer.Typer, argv: list[str] | None, name: str | None = None) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know less than UTF-8
    try:
        program(args=argv, prog_name=name)
    except LerobotInferenceError as error:
        errors.print(Text.assemble(("error:", "bold red"), f" {error.message}"), soft_wrap=True)
        if error.hint:
            errors.print(f"       {error.hint}", soft_wrap=True)
        sys.exit(error.exit_code)
