"""MLFLOW_TRACKING_URI names a workspace without its region: Azure is asked for the rest, by its unpatched SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from azure_loopback.server import Cloud, serve
from azure_loopback.workspace import API_HOST, GROUP, NAME, SUBSCRIPTION, WORKSPACE_ID, Workspace

from lerobot_inference import azure_ml
from lerobot_inference.tracking import workspace_uri
from lerobot_inference.tracking.workspace import full_uri

ASK = """\
import json, sys
from lerobot_inference.errors import LerobotInferenceError
from lerobot_inference.tracking.workspace import full_uri
try:
    print(json.dumps({"uri": full_uri(sys.argv[1])}))
except LerobotInferenceError as error:
    print(json.dumps({"exit_code": error.exit_code, "message": error.message}))
"""


def ask(cloud: Cloud, uri: str, **variables: str) -> dict[str, str | int]:
    """What a process whose only way to Azure is the loopback makes of an address."""
    environment = os.environ | cloud.environment | variables
    asked = subprocess.run(
        [sys.executable, "-c", ASK, uri], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    answer: dict[str, str | int] = json.loads(asked.stdout)
    return answer


def test_a_workspace_is_asked_for_the_address_that_mlflow_takes() -> None:
    with serve(Workspace()) as cloud:
        given = workspace_uri(azure_ml.Workspace(SUBSCRIPTION, GROUP, NAME))
        uri = str(ask(cloud, given)["uri"])
        assert uri.startswith(f"azureml://{API_HOST}/mlflow/v")
        assert uri.endswith(WORKSPACE_ID)
        assert cloud.unknown == []


def test_a_workspace_that_is_not_there_and_a_missing_login_are_said() -> None:
    with serve(Workspace()) as cloud:
        answer = ask(cloud, workspace_uri(azure_ml.Workspace(SUBSCRIPTION, GROUP, "other")))
        assert answer["exit_code"] == 2
        assert "there is no workspace other in resource group robots" in str(answer["message"])
        answer = ask(cloud, workspace_uri(azure_ml.Workspace(SUBSCRIPTION, GROUP, NAME)), AZ_LOGGED_OUT="1")
        assert answer["exit_code"] == 6


def test_any_other_address_is_left_as_it_is(tmp_path: Path) -> None:
    for uri in (
        "",
        f"sqlite:///{tmp_path}/mlflow.db",
        "https://mlflow.example.com",
        f"azureml://{API_HOST}/mlflow/v1.0/x",
    ):
        assert full_uri(uri) == uri
