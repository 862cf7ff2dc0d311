"""One file per command: parse, call, print. No logic."""

from __future__ import annotations

import sys

import typer

from lerobot_inference.cli import pipeline, plot, register, sim
from lerobot_inference.cli.console import errors
from lerobot_inference.errors import LerobotInferenceError

app = typer.Typer(
    help="Evaluate, gate, register and deploy LeRobot ACT policies for a UR10e.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main(argv: list[str] | None = None) -> None:
    """Run the command line; always ends in SystemExit with one of the documented exit codes."""
    try:
        app(args=argv)
    except LerobotInferenceError as error:
        errors.print(f"[bold red]error:[/] {error.message}", highlight=False, soft_wrap=True)
        if error.hint:
            errors.print(f"       {error.hint}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
