"""`lerobot-inference download`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.errors import UsageError
from lerobot_inference.sources import Kind, Manifest, fetch, parse_source
from lerobot_inference.types import Progress

SOURCE = "A local folder, or org/name on the Hugging Face Hub."
REVISION = "Branch, tag or commit on the Hub; the default branch when not given."


class Downloaded(BaseModel):
    """What `download --json` prints."""

    policy: Manifest | None
    dataset: Manifest | None


def download(
    policy: Annotated[str | None, typer.Option(help=f"The policy. {SOURCE}")] = None,
    policy_revision: Annotated[str | None, typer.Option(help=REVISION)] = None,
    dataset: Annotated[str | None, typer.Option(help=f"The dataset. {SOURCE}")] = None,
    dataset_revision: Annotated[str | None, typer.Option(help=REVISION)] = None,
    output_policy: Annotated[Path, typer.Option(help="Folder for the policy.")] = Path("checkpoint"),
    output_dataset: Annotated[Path, typer.Option(help="Folder for the dataset.")] = Path("dataset"),
    require_pinned: Annotated[bool, typer.Option(help="Refuse a revision that can move.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifests as JSON.")] = False,
) -> None:
    """Fetch a policy and a dataset as verified copies; what is already there is not fetched again."""
    if policy is None and dataset is None:
        raise UsageError("nothing to download", hint="give --policy, --dataset or both")
    with progress_display() as progress:
        pinned = require_pinned
        fetched_policy = _fetch(policy, policy_revision, Kind.POLICY, output_policy, pinned, progress)
        fetched_dataset = _fetch(dataset, dataset_revision, Kind.DATASET, output_dataset, pinned, progress)
    if json:
        print_json(Downloaded(policy=fetched_policy, dataset=fetched_dataset))
        return
    for manifest, folder in ((fetched_policy, output_policy), (fetched_dataset, output_dataset)):
        if manifest:
            where = f"{manifest.source}@{manifest.revision}" if manifest.revision else manifest.source
            console.print(f"{where} -> {folder} ({len(manifest.files)} files, sha256 verified)", soft_wrap=True)


def _fetch(
    text: str | None, revision: str | None, kind: Kind, output: Path, pinned: bool, progress: Progress
) -> Manifest | None:
    if text is None:
        return None
    return fetch(parse_source(text, revision), kind, output, require_pinned=pinned, progress=progress)
