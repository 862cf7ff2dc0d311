"""Source strings: what a person types for a policy or a dataset."""

from __future__ import annotations

from lerobot_inference.errors import UsageError
from lerobot_inference.sources.azureml import AzureMlAsset, DatastoreFolder
from lerobot_inference.sources.blob import FORM, BlobFolder, without_secrets
from lerobot_inference.sources.folder import Folder
from lerobot_inference.sources.hub import HubSource
from lerobot_inference.sources.snapshot import Source

SOURCES = (Folder, DatastoreFolder, AzureMlAsset, BlobFolder, HubSource)
"""Asked in this order; each takes the strings that are its own."""


def parse_source(text: str, revision: str | None = None) -> Folder | Source:
    """A folder that exists is that folder; otherwise the source whose form the text has.

    Raises UsageError for anything else.
    """
    for kind in SOURCES:
        if source := kind.parse(text, revision):
            return source
    raise UsageError(
        f"{without_secrets(text)}: no such folder, and not an org/name on the Hugging Face Hub or an address on Azure",
        hint="give a folder that exists, a repository such as alizaidi/hve-robo-act-train, azureml:<name>:<version>, "
        f"or {FORM}",
    )
