"""Azure ML: model assets for policies, data assets for datasets, and folders of a workspace's datastores.

Each leads to a folder on blob storage, which blob.py reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote

from lerobot_inference.azure_ml import Client, Workspace, azure_errors
from lerobot_inference.errors import InputError, UsageError, require
from lerobot_inference.sources.blob import PIN_HINT, BlobFolder, check_revision, without_secrets
from lerobot_inference.sources.kind import Kind
from lerobot_inference.sources.snapshot import Snapshot

ASSET = re.compile(r"azureml:(?P<name>[A-Za-z0-9][\w.-]*)(?::(?P<version>\w[\w.-]*)|@latest)")
DATASTORE = re.compile(
    r"azureml://(?:subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)"
    r"(?:/providers/Microsoft\.MachineLearningServices)?/workspaces/(?P<workspace>[^/]+)/)?"
    r"datastores/(?P<datastore>\w+)/paths/(?P<path>[^?#]+)",
    re.IGNORECASE,
)
STORAGE = re.compile(
    r"(?:wasbs|abfss)://(?P<container>[^@/]+)@(?P<account>\w+)\.(?:blob|dfs)\.(?P<suffix>[\w.]+)/(?P<path>.+)"
)
FORMS = "azureml:<name>:<version>, azureml:<name>@latest or azureml://datastores/<datastore>/paths/<folder>"


@dataclass(frozen=True)
class AzureMlAsset:
    """A registered model or data asset. version: None is the latest.

    revision: the fingerprint that a download printed, to get those very bytes or none. Azure ML never changes what a
    version points to, but doesn't guard the blobs there.
    """

    asset: str
    version: str | None
    revision: str | None

    @classmethod
    def parse(cls, text: str, revision: str | None) -> AzureMlAsset | None:
        """The asset that `text` names; None for text of another form. Raises UsageError."""
        if not text.startswith("azureml:"):
            return None
        found = ASSET.fullmatch(text)
        if found is None:
            raise UsageError(
                f"{without_secrets(text)}: not an address in Azure ML that can be fetched from",
                hint=f"expected {FORMS}",
            )
        return cls(found["name"], found["version"], revision)

    @property
    def name(self) -> str:
        """As it was typed."""
        return f"azureml:{self.asset}:{self.version}" if self.version else f"azureml:{self.asset}@latest"

    @property
    def pin_hint(self) -> str | None:
        """A version stays what it is."""
        return None if self.version or self.revision else "name a version: azureml:<name>:<version>"

    def open(self, kind: Kind) -> Snapshot:
        """What the asset holds now. Raises InputError, ServiceError, UsageError."""
        workspace = Workspace.find()
        client = workspace.connect()
        what, operations = ("model", client.models) if kind is Kind.POLICY else ("data asset", client.data)
        core, ml = require("azure.core.exceptions", "azure"), require("azure.ai.ml.exceptions", "azure")
        with azure_errors(self.name):
            try:
                wanted = {"version": self.version} if self.version else {"label": "latest"}
                asset = operations.get(self.asset, **wanted)
            except (core.ResourceNotFoundError, ml.MlException) as error:
                raise InputError(
                    f"{self.name}: there is no such {what} in {workspace}",
                    hint=f"`az ml {what.split()[0]} list --name {self.asset}` shows its versions",
                ) from error
        if kind is Kind.DATASET and asset.type != "uri_folder":
            raise InputError(
                f"{self.name}: is of type {asset.type}", hint="a dataset is a data asset of type uri_folder"
            )
        snapshot = check_revision(
            _locate(asset.path, self.name, workspace, client).list(kind), self.name, self.revision
        )
        return replace(snapshot, source=f"azureml:{self.asset}:{asset.version}")


@dataclass(frozen=True)
class DatastoreFolder:
    """A folder of a datastore. workspace: None is that of the environment. revision: as for blob storage."""

    name: str
    workspace: Workspace | None
    datastore: str
    path: str
    revision: str | None

    @classmethod
    def parse(cls, text: str, revision: str | None) -> DatastoreFolder | None:
        """The folder that `text` names; None for text of another form."""
        found = DATASTORE.fullmatch(text)
        if found is None:
            return None
        named = Workspace(found["subscription"], found["group"], found["workspace"]) if found["workspace"] else None
        return cls(text, named, found["datastore"], found["path"], revision)

    @property
    def pin_hint(self) -> str | None:
        """Blobs can be written over at any time; a fingerprint says what they were."""
        return None if self.revision else PIN_HINT

    def open(self, kind: Kind) -> Snapshot:
        """What lies in the folder. Raises InputError, ServiceError, UsageError."""
        workspace = self.workspace or Workspace.find()
        folder = self.locate(workspace.connect())
        return replace(check_revision(folder.list(kind), self.name, self.revision), source=self.name)

    def locate(self, client: Client) -> BlobFolder:
        """Where it is on blob storage. client: of its workspace. Raises InputError, ServiceError, UsageError."""
        core = require("azure.core.exceptions", "azure")
        with azure_errors(self.name):
            try:
                store = client.datastores.get(self.datastore)
            except core.ResourceNotFoundError as error:
                raise InputError(
                    f"{self.name}: there is no such datastore", hint="`az ml datastore list` shows them"
                ) from error
        container = getattr(store, "container_name", None) or getattr(store, "filesystem", None)
        if container is None:
            raise InputError(
                f"{self.name}: the datastore is not on blob storage", hint="copy the folder to one that is"
            )
        return _folder(store.account_name, store.endpoint, container, self.path)


def _locate(path: str, name: str, workspace: Workspace, client: Client) -> BlobFolder:
    """The folder on blob storage that an asset's `path` leads to. client: of `workspace`."""
    if folder := DatastoreFolder.parse(path, None):
        elsewhere = folder.workspace is not None and folder.workspace != workspace
        return folder.locate(folder.workspace.connect() if folder.workspace and elsewhere else client)
    if storage := STORAGE.fullmatch(path):
        return _folder(storage["account"], storage["suffix"], storage["container"], storage["path"])
    folder_there = BlobFolder.parse(path, None)
    if folder_there is None:
        raise InputError(f"{name}: lies at {path}, which is not on blob storage", hint="register it from blob storage")
    return folder_there


def _folder(account: str, suffix: str, container: str, path: str) -> BlobFolder:
    folder = BlobFolder.parse(f"https://{account}.blob.{suffix}/{container}/{quote(path)}", None)
    assert folder is not None  # noqa: S101 - it begins with https
    return folder
