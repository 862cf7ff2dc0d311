"""`lerobot-inference plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.report.page import write_report


class Plotted(BaseModel):
    """What `plot --json` prints."""

    plots: list[Path]
    report: Path


def plot(
    results: Annotated[Path, typer.Option(help="Results folder that `evaluate` wrote.")] = Path("results"),
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of the dataset that was evaluated: puts camera frames into the report.")
    ] = None,
    verdict: Annotated[Path | None, typer.Option(help="Folder that `gate` wrote: puts its verdict on top.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for report.html; the pictures go to its plots/.")] = Path(
        "report"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
) -> None:
    """Draw the plots of each episode and of the run, and the report that shows them, one file for a browser."""
    with progress_display() as progress:
        report = write_report(results, output, dataset, verdict, progress)
    if json:
        print_json(Plotted(plots=report.plots, report=report.page))
        return
    console.print(f"report: {report.page} ({len(report.plots)} plots beside it)", soft_wrap=True)
