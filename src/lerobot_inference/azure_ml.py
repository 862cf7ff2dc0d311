"""An Azure ML workspace: which one, the way into it, and what Azure says when it refuses, in one line."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from lerobot_inference.errors import ConfigError, ServiceError, UsageError, require

CONFIG_FILE = Path(".azureml") / "config.json"
"""In the working folder: what Studio offers as `config.json`, where Azure's own SDK looks for it."""

# Option -> the variables that may stand for it, the first that is set, and the key of config.json. The second variable
# is what Azure ML sets in its jobs.
SUBSCRIPTION = ("--subscription", ("AZURE_SUBSCRIPTION_ID", "AZUREML_ARM_SUBSCRIPTION"), "subscription_id")
GROUP = ("--resource-group", ("AZURE_RESOURCE_GROUP", "AZUREML_ARM_RESOURCEGROUP"), "resource_group")
NAME = ("--workspace", ("AZUREML_WORKSPACE_NAME", "AZUREML_ARM_WORKSPACE_NAME"), "workspace_name")

type Client = Any
"""An MLClient, which is imported when it is used."""
type Credential = Any
"""A TokenCredential of azure-core."""


@dataclass(frozen=True)
class Workspace:
    """Which workspace."""

    subscription: str
    group: str
    name: str

    @classmethod
    def find(cls, subscription: str | None = None, group: str | None = None, name: str | None = None) -> Self:
        """The workspace that is named here, in the environment or in .azureml/config.json, in this order for each part.

        Raises UsageError for a part that nobody names, ConfigError for a config.json that can't be read.
        """
        config = _read_config()

        def part(given: str | None, option: str, variables: tuple[str, ...], key: str) -> str:
            found = given or next(filter(None, map(os.environ.get, variables)), None) or config.get(key)
            if not found:
                raise UsageError(
                    f"which Azure ML workspace? {option} is missing",
                    hint=f"give it, set {variables[0]}, or put config.json from Studio at {CONFIG_FILE}",
                )
            return found

        return cls(part(subscription, *SUBSCRIPTION), part(group, *GROUP), part(name, *NAME))

    def __str__(self) -> str:
        return f"workspace {self.name} in resource group {self.group}"

    def connect(self) -> Client:
        """An MLClient that is known to reach the workspace.

        Raises UsageError without the SDK or when there is no such workspace, ServiceError.
        """
        ml = require("azure.ai.ml", "azure")
        logging.getLogger("azure").setLevel(logging.ERROR)  # its warnings are about itself
        # Without show_progress, azure-ai-ml 1.35 waits for ever after an upload that was refused.
        client = ml.MLClient(
            credential(), self.subscription, self.group, self.name, show_progress=True, enable_telemetry=False
        )
        core = require("azure.core.exceptions", "azure")
        with azure_errors(f"{self}"):
            try:
                client.workspaces.get(self.name)
            except core.ResourceNotFoundError as error:
                raise UsageError(
                    f"there is no {self} of subscription {self.subscription}, or it is not yours to see: "
                    f"{_first_line(error)}",
                    hint="`az ml workspace list --output table` shows yours",
                ) from error
        return client


def credential() -> Credential:
    """DefaultAzureCredential; on an Azure ML compute, of the identity that the compute was given.

    Raises UsageError without the SDK.
    """
    identity = require("azure.identity", "azure")
    client_id = os.environ.get("AZURE_CLIENT_ID") or os.environ.get("DEFAULT_IDENTITY_CLIENT_ID")
    return identity.DefaultAzureCredential(managed_identity_client_id=client_id if _is_uuid(client_id) else None)


@contextmanager
def azure_errors(what: str) -> Iterator[None]:
    """Turn what Azure's SDKs raise into one clear error about `what`. Raises ServiceError, ConfigError."""
    core = require("azure.core.exceptions", "azure")
    ml = require("azure.ai.ml.exceptions", "azure")
    try:
        yield
    except (core.AzureError, ml.MlException) as error:
        raise explain(what, error) from error


def explain(what: str, error: Exception) -> ServiceError | ConfigError:
    """The error that a person can act on. What the SDK wraps in an error of its own is looked for inside it."""
    core = require("azure.core.exceptions", "azure")
    chain = list(_chain(error))
    for found in chain:
        status, text = getattr(found, "status_code", None), _first_line(found)
        if "quota" in text.lower():
            return ServiceError(
                f"{what}: the quota is used up: {text}",
                hint="ask for more in the portal under Quotas, or use another compute: --compute NAME",
            )
        if status == 403:
            return ServiceError(
                f"{what}: Azure refuses: {text}",
                hint="the login lacks a role: AzureML Data Scientist on the workspace, and Storage Blob Data "
                "Contributor on its storage",
            )
        if isinstance(found, core.ClientAuthenticationError):
            said = text if status else "there is no login to Azure"
            return ServiceError(
                f"{what}: {said}",
                hint="run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
            )
        if isinstance(found, core.HttpResponseError):
            return ServiceError(f"{what}: Azure answers {status}: {text}", hint="try again; if it stays, see Studio")
        if isinstance(found, core.ServiceRequestError | core.ServiceResponseError):
            return ServiceError(
                f"{what}: Azure can't be reached: {text}",
                hint="check the network, its proxy and firewall, and try again",
            )
    return ConfigError(f"{what}: Azure's SDK refuses it: {_first_line(error)}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error).strip().partition("\n")[0]


def _is_uuid(text: str | None) -> bool:
    try:
        UUID(text or "")
    except ValueError:
        return False
    return True


def _read_config() -> dict[str, str]:
    if not CONFIG_FILE.is_file():
        return {}
    try:
        config = json.loads(CONFIG_FILE.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{CONFIG_FILE}: not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{CONFIG_FILE}: expected the keys {SUBSCRIPTION[2]}, {GROUP[2]} and {NAME[2]}")
    return {key: str(value) for key, value in config.items()}
