"""`lerobot-inference tracking`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.registry import is_registered
from lerobot_inference.tracking import DEFAULT_EXPERIMENT, TrackingRecord
from lerobot_inference.tracking import upload as upload_evaluation

app = typer.Typer(no_args_is_help=True)


@app.callback()
def tracking() -> None:
    """Log evaluations to MLflow."""


@app.command()
def upload(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Results that `evaluate` wrote, or what `register` left unfinished.")
    ],
    results: Annotated[
        Path | None, typer.Option(help="Results folder, where it is neither DIR nor where `register` found it.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder that `plot` wrote; the one `register` was given, else ./report.")
    ] = None,
    experiment_name: Annotated[
        str | None, typer.Option(help=f"MLflow experiment; the one `register` was given, else {DEFAULT_EXPERIMENT}.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print tracking.json.")] = False,
) -> None:
    """Log an evaluation to MLflow once: all of it, or what an outage left unsent. DIR keeps a tracking.json."""
    with progress_display() as progress:
        record, sent = upload_evaluation(folder, results, report, experiment_name, progress)
    if json:
        print_json(record)
    else:
        _print(record, sent, folder)


def _print(record: TrackingRecord, sent: bool, folder: Path) -> None:
    where = f"run {record.run_id} at {record.tracking_uri}"
    console.print(f"logged: {where}" if sent else f"nothing to send: {where} holds it", soft_wrap=True)
    if record.model_name and not is_registered(folder, record.run_id):
        console.print(f"not registered: run register again with --output {folder}", soft_wrap=True)
