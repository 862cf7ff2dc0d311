"""`lerobot-inference aggregate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.cli.console import progress_display
from lerobot_inference.cli.evaluate import print_results
from lerobot_inference.cli.options import DatasetOption, PolicyOption
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation import aggregate as pieces_together


def aggregate(
    policy: PolicyOption,
    dataset: DatasetOption,
    pieces: Annotated[Path, typer.Option(help="Folder that holds the pieces of one evaluation, a folder each.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    json: Annotated[bool, typer.Option("--json", help="Print eval_results.json.")] = False,
) -> None:
    """Put the pieces of an evaluation together, into the results folder that one machine would have written."""
    with progress_display() as progress:
        results = pieces_together.aggregate(open_policy(policy), Dataset.open(dataset), pieces, output, progress)
    print_results(results, output, as_json=json)
