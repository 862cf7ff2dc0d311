"""The MLflow of an Azure ML workspace, named by what a person knows of it.

    azureml://subscriptions/<id>/resourceGroups/<name>/workspaces/<name>

The address that MLflow itself takes holds the region besides, which only Azure tells.
"""

from __future__ import annotations

import re

from lerobot_inference.azure_ml import Workspace, azure_errors

_FORM = re.compile(r"azureml://subscriptions/([^/]+)/resourceGroups/([^/]+)/workspaces/([^/]+)/?", re.IGNORECASE)


def workspace_uri(workspace: Workspace) -> str:
    """The address of a workspace, for MLFLOW_TRACKING_URI of this program."""
    return (
        f"azureml://subscriptions/{workspace.subscription}/resourceGroups/{workspace.group}/workspaces/{workspace.name}"
    )


def full_uri(uri: str) -> str:
    """An address as MLflow takes it: Azure is asked for that of a workspace, any other is returned as it is.

    Raises UsageError without the SDK or when there is no such workspace, ServiceError.
    """
    found = _FORM.fullmatch(uri)
    if not found:
        return uri
    workspace = Workspace(*found.groups())
    client = workspace.connect()
    with azure_errors(f"{workspace}"):
        return str(client.workspaces.get(workspace.name).mlflow_tracking_uri)
