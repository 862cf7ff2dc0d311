"""`lerobot-inference download`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from lerobot_inference.checkpoint import fetch_policy
from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.errors import UsageError
from lerobot_inference.sources import Kind, Manifest, fetch, parse_source

SOURCE = "a folder, a repository on the Hub, or a place on Azure, as above."
REVISION = "On the Hub a branch, tag or commit; on Azure what a download printed. What is there now, when not given."
PINNED = "Refuse what can move: on the Hub all but a commit; on Azure @latest, and folders without a revision."


class Downloaded(BaseModel):
    """What `download --json` prints."""

    policy: Manifest | None
    dataset: Manifest | None


def download(
    policy: Annotated[str | None, typer.Option(help=f"The policy: {SOURCE}")] = None,
    policy_revision: Annotated[str | None, typer.Option(help=REVISION)] = None,
    dataset: Annotated[str | None, typer.Option(help=f"The dataset: {SOURCE}")] = None,
    dataset_revision: Annotated[str | None, typer.Option(help=REVISION)] = None,
    output_policy: Annotated[Path, typer.Option(help="Folder for the policy.")] = Path("checkpoint"),
    output_dataset: Annotated[Path, typer.Option(help="Folder for the dataset.")] = Path("dataset"),
    require_pinned: Annotated[bool, typer.Option(help=PINNED)] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifests as JSON.")] = False,
) -> None:
    """Fetch a policy and a dataset as verified copies; what is already there is not fetched again.

    Either is named by a local folder; by org/name on the Hugging Face Hub; by
    azureml:NAME:VERSION or azureml:NAME@latest, a model or data asset; by
    azureml://datastores/STORE/paths/FOLDER; or by
    https://ACCOUNT.blob.core.windows.net/CONTAINER/FOLDER.

    Of a bundle every byte must be the one that was exported, and where
    LEROBOT_INFERENCE_PUBLIC_KEY names a key, its owner must have signed it;
    otherwise what was in the folder stays there.

    Who asks comes from the environment alone: HF_TOKEN or `hf auth login`,
    `az login` or a managed identity. So does the workspace: AZURE_SUBSCRIPTION_ID,
    AZURE_RESOURCE_GROUP and AZUREML_WORKSPACE_NAME.
    """
    if policy is None and dataset is None:
        raise UsageError("nothing to download", hint="give --policy, --dataset or both")
    fetched_policy = fetched_dataset = None
    with progress_display() as progress:
        if policy is not None:
            source = parse_source(policy, policy_revision)
            fetched_policy = fetch_policy(source, output_policy, require_pinned=require_pinned, progress=progress)
        if dataset is not None:
            source = parse_source(dataset, dataset_revision)
            fetched_dataset = fetch(
                source, Kind.DATASET, output_dataset, require_pinned=require_pinned, progress=progress
            )
    if json:
        print_json(Downloaded(policy=fetched_policy, dataset=fetched_dataset))
        return
    for manifest, folder in ((fetched_policy, output_policy), (fetched_dataset, output_dataset)):
        if manifest:
            where = f"{manifest.source}@{manifest.revision}" if manifest.revision else manifest.source
            console.print(f"{where} -> {folder} ({len(manifest.files)} files, sha256 verified)", soft_wrap=True)
