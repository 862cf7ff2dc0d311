"""`lerobot-inference plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.report import render_plots


class Plotted(BaseModel):
    """What `plot --json` prints."""

    plots: list[Path]


def plot(
    results: Annotated[Path, typer.Option(help="Results folder that `evaluate` wrote.")] = Path("results"),
    output: Annotated[Path, typer.Option(help="Folder for the report; the pictures go to its plots/.")] = Path(
        "report"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
) -> None:
    """Draw four plots for each episode and a summary of the run."""
    with progress_display() as progress:
        pictures = render_plots(results, output, progress)
    if json:
        print_json(Plotted(plots=pictures))
        return
    console.print(f"{len(pictures)} plots; start with {pictures[0]}", soft_wrap=True)
