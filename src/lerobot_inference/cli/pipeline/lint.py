"""`lerobot-inference pipeline lint`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lerobot_inference.cli.console import console, errors, print_json
from lerobot_inference.errors import ConfigError
from lerobot_inference.jobs.command_line import command_lines
from lerobot_inference.jobs.lint import PATTERNS, LintReport, find_files
from lerobot_inference.jobs.lint import lint as lint_files


def lint(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help=f"Pipeline, component, environment and gate files; {', '.join(PATTERNS)} when not given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Find what is wrong with pipeline files, and with the components and environments that they name.

    What Azure ML's own SDK checks (where the azure extra is installed) and what it misses. Exit 3 when there is a
    problem.
    """
    report = lint_files(files or find_files(Path()), command_lines(context.find_root().command))
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if report.azure_sdk is None:
        note = (
            "azure-ai-ml is not installed, so its own validation was left out: pip install 'lerobot-inference[azure]'"
        )
        errors.print(note, soft_wrap=True)
    if report.problems:
        raise typer.Exit(ConfigError.exit_code)


def print_report(report: LintReport) -> None:
    """A line for each problem and its hint, file by file; then how many there are."""
    wrong = 0
    for _, problems in groupby(report.problems, key=lambda problem: problem.file):
        wrong += 1
        for problem in problems:
            console.print(Text(str(problem)), soft_wrap=True)
            if problem.hint:
                console.print(Text(f"    {problem.hint}", style="dim"), soft_wrap=True)
        console.print()
    found = f"{_count(len(report.problems), 'problem')} in {wrong} of them" if wrong else "no problem"
    console.print(f"{_count(len(report.files), 'file')}, {found}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
