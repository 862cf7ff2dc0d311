"""Registrations at the same moment in one Azure ML workspace, each a program of its own with the unpatched clients."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from azure_loopback.mlflow import ARTIFACT_ROOT, TRACKING_URI, RunArtifacts, Tracking
from azure_loopback.server import Cloud, Request, Response, Service, route, serve
from azure_loopback.storage import Storage
from azure_loopback.workspace import API_HOST, WORKSPACE, Workspace
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow_server import mlflow_server
from PIL import Image
from results_factory import write_results

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.registry import Registration

MODEL = "contested"


class AtOnce(Service):
    """Lets nobody's tag `stage=champion` through before there are two of them. Serve it before the Tracking."""

    host = API_HOST

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self.meeting = threading.Barrier(2)

    @route("POST", r"/mlflow/v2\.0" + WORKSPACE + r"(?P<call>/.+/model-versions/set-tag)")
    def set_tag(self, request: Request, call: str) -> Response:
        if (request.json()["key"], request.json()["value"]) == ("stage", "champion"):
            with suppress(threading.BrokenBarrierError):  # from then on nobody waits
                self.meeting.wait(timeout=120)
            self.meeting.abort()
        return self.tracking.forward(request, call)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, MlflowClient]]:
    """What leads to the workspace, and a client of the MLflow server behind it."""
    storage = Storage()
    with mlflow_server(tmp_path_factory.mktemp("server"), ARTIFACT_ROOT, "azure") as address:
        tracking = Tracking(address)
        with serve(AtOnce(tracking), tracking, RunArtifacts(storage), Workspace(), storage) as cloud:
            yield cloud, MlflowClient(address)


@pytest.fixture(scope="module")
def evaluated(checkpoint_factory: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The options that name two policies, each with an evaluation that deserves to be champion."""
    options = []
    for seed in range(2):
        folder, policy = tmp_path_factory.mktemp("evaluated"), checkpoint_factory(seed=seed)
        files = Checkpoint.open(policy).file_hashes
        write_results(folder, lengths=(12, 10, 14, 8, 11), error=0.0015, policy_files=files)
        (folder / "plots").mkdir()
        Image.new("RGB", (4, 4)).save(folder / "plots" / "aggregate_summary.png")
        options.append(["--policy", str(policy), "--results", str(folder), "--report", str(folder)])
    return options


def start(cloud: Cloud, options: list[str], output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lerobot_inference", "register", *options, "--model-name", MODEL, "--json"]
    environment = os.environ | cloud.environment | {"MLFLOW_TRACKING_URI": TRACKING_URI}
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, "--output", str(output)], env=environment, stdout=pipe, stderr=pipe, text=True)


def champions(versions: list[ModelVersion]) -> list[str]:
    return [str(found.version) for found in versions if found.tags.get("stage") == "champion"]


def test_of_two_registrations_at_once_both_are_registered_one_is_champion_and_the_other_may_try_again(
    workspace: tuple[Cloud, MlflowClient], evaluated: list[list[str]], tmp_path: Path
) -> None:
    cloud, backend = workspace
    outputs = [tmp_path / "first", tmp_path / "second"]
    programs = [start(cloud, options, output) for options, output in zip(evaluated, outputs, strict=True)]
    told = [program.communicate(timeout=300) for program in programs]
    codes = [program.returncode for program in programs]
    assert sorted(codes) == [0, 6], told
    versions = list(backend.search_model_versions(f"name='{MODEL}'"))
    assert sorted(int(found.version) for found in versions) == [1, 2]
    assert [found.tags["verdict"] for found in versions] == ["promote", "promote"]
    assert champions(versions) == ["2"]
    won, lost = codes.index(0), codes.index(6)
    assert Registration.model_validate_json(told[won][0]).version == "2"
    printed, said = told[lost]
    assert printed == ""
    assert "version 1 was registered, but after its promotion the champion is 2, expected 1" in said
    assert "another registration moved the champion at the same time: register again" in said

    again = start(cloud, evaluated[lost], outputs[lost])
    printed, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    registration = Registration.model_validate_json(printed)
    assert registration.champion_before == "2"
    assert registration.gate.verdict == "keep"
    assert champions(list(backend.search_model_versions(f"name='{MODEL}'"))) == ["2"]
    assert cloud.unknown == []
