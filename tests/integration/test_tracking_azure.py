"""Azure ML's MLflow through azureml-mlflow itself, unpatched: its clients, tokens, run history and blob storage.

Each program runs in a process of its own whose only way out leads to the loopback. A job is what the platform makes of
it: MLFLOW_TRACKING_URI, MLFLOW_RUN_ID and the like in the environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure_loopback.mlflow import ARTIFACT_ROOT, TRACKING_URI, RunArtifacts, Tracking
from azure_loopback.server import Cloud, serve
from azure_loopback.storage import Storage
from azure_loopback.workspace import GROUP, NAME, SUBSCRIPTION, Workspace
from mlflow import MlflowClient
from mlflow_server import mlflow_server
from PIL import Image
from results_factory import write_results

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.registry import Candidate, Registration
from lerobot_inference.tracking import Evaluation, TrackingRecord
from lerobot_inference.tracking.log import run_files, run_metrics, run_params

EXPERIMENT = "evaluate-act"
"""Of the pipeline, whose steps the platform makes runs of."""
DEFAULTS = {"MLFLOW_TRACKING_URI": TRACKING_URI, "AZUREML_CURRENT_CLOUD": "AzureCloud"}


@dataclass(frozen=True)
class Azure:
    """A workspace. backend: a client of the MLflow server behind it, for what the platform does and a test looks at."""

    cloud: Cloud
    artifacts: RunArtifacts
    backend: MlflowClient

    def job(self) -> tuple[str, dict[str, str]]:
        """The run of a job that starts now, and the job's environment."""
        found = self.backend.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self.backend.create_experiment(EXPERIMENT)
        run = self.backend.create_run(experiment).info.run_id
        return run, {
            "MLFLOW_TRACKING_URI": TRACKING_URI,
            "MLFLOW_TRACKING_TOKEN": token(),
            "MLFLOW_RUN_ID": run,
            "MLFLOW_EXPERIMENT_ID": experiment,
            "MLFLOW_EXPERIMENT_NAME": EXPERIMENT,
            "AZUREML_RUN_ID": run,
        }

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run lerobot-inference with no way out but to here."""
        command = [sys.executable, "-m", "lerobot_inference", *map(str, arguments)]
        variables = os.environ | self.cloud.environment | DEFAULTS | environment
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)

    def runs(self, experiment: str) -> list[str]:
        found = self.backend.get_experiment_by_name(experiment)
        return [run.info.run_id for run in self.backend.search_runs([found.experiment_id])] if found else []


def token() -> str:
    """What the platform gives a job: it says for whom it is and until when."""
    claims = {"aud": "https://management.azure.com", "exp": int(time.time()) + 3600}
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)) + "."


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    folder, storage = tmp_path_factory.mktemp("server"), Storage()
    artifacts = RunArtifacts(storage)
    with (
        mlflow_server(folder, ARTIFACT_ROOT, "azure") as address,
        serve(Workspace(), Tracking(address), artifacts, storage) as cloud,
    ):
        yield Azure(cloud, artifacts, MlflowClient(address))


@pytest.fixture(scope="module")
def candidate(checkpoint_factory: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    folder = tmp_path_factory.mktemp("evaluated")
    policy = checkpoint_factory()
    write_results(folder, lengths=(12, 10), policy_files=Checkpoint.open(policy).file_hashes)
    (folder / "plots" / "episode_000").mkdir(parents=True)
    for name in ("aggregate_summary.png", "episode_000/action_deltas.png"):
        Image.new("RGB", (4, 4)).save(folder / "plots" / name)
    return Candidate.open(policy, folder, folder)


def assert_holds(azure: Azure, run: str, evaluation: Evaluation, *others: str) -> None:
    """Every param, metric and file of the evaluation, once."""
    data = azure.backend.get_run(run).data
    assert data.params == run_params(evaluation.results)
    points = list(run_metrics(evaluation.results))
    assert data.metrics.keys() == {name for name, _, _ in points}
    history = azure.backend.get_metric_history(run, "episode_mae")
    assert sorted(("episode_mae", p.value, p.step) for p in history) == [p for p in points if p[0] == "episode_mae"]
    files = azure.artifacts.files(run)
    expected = {upload.path: upload.file.read_bytes() for upload in run_files(evaluation)}
    assert {path: files[path] for path in files.keys() - set(others)} == expected


def upload(azure: Azure, candidate: Candidate, output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    output.mkdir(exist_ok=True)
    folder = candidate.results_folder
    return azure.run(
        *("tracking", "upload", output, "--results", folder, "--report", folder, "--experiment-name", "own"),
        **environment,
    )


def test_in_a_job_the_evaluation_goes_into_the_run_of_the_job_which_the_platform_ends(
    azure: Azure, candidate: Candidate, tmp_path: Path
) -> None:
    run, environment = azure.job()
    told = upload(azure, candidate, tmp_path, **environment)
    assert told.returncode == 0, told.stderr
    assert f"logged: run {run} at {TRACKING_URI}" in told.stdout
    assert_holds(azure, run, candidate.evaluation)
    assert azure.backend.get_run(run).info.status == "RUNNING"
    assert azure.runs("own") == []
    assert azure.cloud.unknown == []


def test_a_job_that_is_tried_again_sends_nothing_twice(azure: Azure, candidate: Candidate, tmp_path: Path) -> None:
    run, environment = azure.job()
    for attempt in ("first", "second"):
        told = upload(azure, candidate, tmp_path / attempt, **environment)
        assert told.returncode == 0, told.stderr
    assert_holds(azure, run, candidate.evaluation)


def test_one_run_of_a_job_does_not_take_two_evaluations(azure: Azure, candidate: Candidate, tmp_path: Path) -> None:
    _, environment = azure.job()
    assert upload(azure, candidate, tmp_path / "first", **environment).returncode == 0
    write_results(tmp_path / "other", policy="demo/another")
    (tmp_path / "other" / "plots").symlink_to(candidate.report / "plots")
    other = Candidate(candidate.checkpoint, candidate.results, tmp_path / "other", tmp_path / "other")
    told = upload(azure, other, tmp_path / "second", **environment)
    assert told.returncode == 2
    assert "is of another evaluation: its " in told.stderr


def test_from_outside_a_job_a_person_who_is_logged_in_names_the_workspace(
    azure: Azure, candidate: Candidate, tmp_path: Path
) -> None:
    short = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/workspaces/{NAME}"
    told = upload(azure, candidate, tmp_path, MLFLOW_TRACKING_URI=short)
    assert told.returncode == 0, told.stderr
    [run] = azure.runs("own")
    assert azure.backend.get_run(run).info.status == "FINISHED"
    assert_holds(azure, run, candidate.evaluation)


def test_a_job_registers_the_policy_and_moves_the_champion(azure: Azure, candidate: Candidate, tmp_path: Path) -> None:
    run, environment = azure.job()
    rules = tmp_path / "gate.yaml"
    rules.write_text("max: {aggregate_mae: 1.0}")
    folders = ("--policy", candidate.checkpoint.folder, "--results", candidate.results_folder)
    more = ("--report", candidate.report, "--output", tmp_path, "--gate", rules, "--model-name", "cell", "--json")
    told = azure.run("register", *folders, *more, **environment)
    assert told.returncode == 0, told.stderr
    registration = Registration.model_validate_json(told.stdout)
    assert (registration.run_id, registration.experiment) == (run, EXPERIMENT)
    version = azure.backend.get_model_version("cell", registration.version)
    assert (version.run_id, version.tags["stage"]) == (run, "champion")
    model = [f"model/{name}" for name in candidate.checkpoint.file_hashes]
    assert_holds(azure, run, candidate.evaluation, *model, "verdict.json")
    assert azure.backend.get_run(run).info.status == "RUNNING"
    assert azure.cloud.unknown == []


def test_a_file_that_azure_has_only_the_name_of_is_said_and_a_new_run_is_made_once_it_is_deleted(
    azure: Azure, candidate: Candidate, tmp_path: Path
) -> None:
    azure.cloud.fail("PUT", r"/[^/]+/ExperimentRun/.*/ep001_predictions\.npz", 403)
    told = upload(azure, candidate, tmp_path)
    assert told.returncode == 6
    assert "MLflow at azureml://" in told.stderr
    record = TrackingRecord.find(tmp_path)
    assert record is not None
    assert record.run_id is not None
    again = upload(azure, candidate, tmp_path)
    assert again.returncode == 6
    assert (
        "holds a broken or another predictions/ep001_predictions.npz, which Azure ML does not replace" in again.stderr
    )
    azure.backend.delete_run(record.run_id)
    assert upload(azure, candidate, tmp_path).returncode == 0
    renewed = TrackingRecord.find(tmp_path)
    assert renewed is not None
    assert renewed.run_id != record.run_id
    assert_holds(azure, str(renewed.run_id), candidate.evaluation)


CALLS = """
list(client.list_artifacts(RUN, "plots"))
[client.log_table(RUN, {"a": [1]}, "table.json") for _ in range(2)]
client.create_logged_model("1")
client.search_logged_models(["1"])
client.log_inputs(RUN, models=[LoggedModelInput("m")])
[client.create_registered_model("aliased"), client.delete_registered_model_alias("aliased", "champion")]
client.search_runs(["1"], "attributes.status = 'FINISHED'")
client.search_traces(locations=["1"])
"""
PROGRAM = """
import json, sys
from mlflow import MlflowClient
from mlflow.entities import LoggedModelInput
client, RUN, told = MlflowClient(), sys.argv[1], {}
for call in json.loads(sys.argv[2]):
    try:
        eval(call)
    except Exception as error:
        told[call] = str(error)
print(json.dumps(told))
"""


def test_what_azure_ml_lacks_fails_here_too(azure: Azure) -> None:
    run, environment = azure.job()
    variables, calls = os.environ | azure.cloud.environment | DEFAULTS | environment, CALLS.split("\n")[1:-1]
    command = [sys.executable, "-c", PROGRAM, run, json.dumps(calls)]
    told = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=True)
    failures = json.loads(told.stdout.splitlines()[-1])
    for call in calls:
        assert re.search("Azure ML has no /api/|not supported|Resource Conflict", failures[call]), call
