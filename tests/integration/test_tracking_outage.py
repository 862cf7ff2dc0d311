"""MLflow goes away at every single request of an upload, and of a registration: in the end everything is there once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from cutting_proxy import Cut, CuttingProxy, cutting_proxy
from mlflow_server import ARTIFACTS, DATABASE, mlflow_server
from PIL import Image
from results_factory import write_results

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.errors import ServiceError
from lerobot_inference.evaluation.rules import GateRules
from lerobot_inference.files import sha256_file
from lerobot_inference.registry import Candidate, Registration, is_registered, register
from lerobot_inference.tracking import Evaluation, TrackingRecord, upload
from lerobot_inference.tracking.log import run_files, run_metrics, run_params

OUTAGES = (Cut.REQUEST, Cut.ANSWER)
LENIENT = GateRules(max={"aggregate_mae": 1.0})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps its database and artifacts."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(kept: Path) -> Iterator[CuttingProxy]:
    with mlflow_server(kept) as address, cutting_proxy(address) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _tracked(server: CuttingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.setattr("lerobot_inference.tracking.store.PAUSE_S", 0.0)
    server.mend()


@pytest.fixture(scope="module")
def candidate(checkpoint_factory: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    folder = tmp_path_factory.mktemp("evaluated")
    policy = checkpoint_factory()
    write_results(folder, joints=6, lengths=(12, 10), policy_files=Checkpoint.open(policy).file_hashes)
    report = tmp_path_factory.mktemp("report")
    for name in ("aggregate_summary.png", "episode_000/action_deltas.png", "episode_001/action_deltas.png"):
        (report / "plots" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(report / "plots" / name)
    (report / "report.html").write_text("<!doctype html><title>report</title>")
    return Candidate.open(policy, folder, report)


@pytest.fixture
def evaluation(candidate: Candidate, tmp_path: Path) -> Evaluation:
    """A results folder of one's own."""
    return Evaluation.open(Path(shutil.copytree(candidate.results_folder, tmp_path / "results")), candidate.report)


def runs_of(kept: Path, experiment: str) -> list[tuple[str, str]]:
    """Id and status of the runs in an experiment, as the database has them."""
    with sqlite3.connect(kept / DATABASE) as database:
        return database.execute(
            "select run_uuid, status from runs r join experiments e using (experiment_id) where e.name = ?",
            (experiment,),
        ).fetchall()


def assert_logged_once(kept: Path, experiment: str, evaluation: Evaluation, others: set[str] | None = None) -> None:
    """One finished run holds every param, metric and file once. others: files beside those of the evaluation."""
    [(run_id, status)] = runs_of(kept, experiment)
    assert status == "FINISHED"
    with sqlite3.connect(kept / DATABASE) as database:
        params = dict(database.execute("select key, value from params where run_uuid = ?", (run_id,)))
        points = database.execute("select key, value, step from metrics where run_uuid = ?", (run_id,)).fetchall()
        [number] = database.execute("select experiment_id from experiments where name = ?", (experiment,)).fetchone()
    assert params == run_params(evaluation.results)
    assert sorted(points) == sorted(run_metrics(evaluation.results))
    root = kept / ARTIFACTS / str(number) / run_id / "artifacts"
    files = {str(path.relative_to(root)): sha256_file(path) for path in root.rglob("*") if path.is_file()}
    expected = {upload.path: sha256_file(upload.file) for upload in run_files(evaluation)}
    assert {path: files[path] for path in files.keys() - (others or set())} == expected


@pytest.mark.parametrize("how", OUTAGES)
def test_an_upload_that_the_server_leaves_at_any_request_is_completed_by_the_next_one(
    evaluation: Evaluation, server: CuttingProxy, kept: Path, how: Cut
) -> None:
    for at in count(1):
        experiment, folder = f"upload {how.name} {at}", evaluation.folder
        server.cut(how, at)
        try:
            upload(folder, report=evaluation.report, experiment=experiment)
        except ServiceError:
            server.mend()
        else:
            break
        record, sent = upload(folder)
        assert sent
        assert record.state == "complete"
        assert_logged_once(kept, experiment, evaluation)
        server.mend()
        assert upload(folder) == (record, False)
        assert server.count == 0
    assert at > 15
    assert len(runs_of(kept, experiment)) == 1


def test_an_answer_that_is_lost_once_makes_nothing_twice(
    evaluation: Evaluation, server: CuttingProxy, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    upload(evaluation.folder, report=evaluation.report, experiment="undisturbed")
    for at in range(1, server.count + 1):
        experiment = f"lost answer {at}"
        server.cut(Cut.ONE_ANSWER, at)
        upload(evaluation.folder, report=evaluation.report, experiment=experiment)
        assert_logged_once(kept, experiment, evaluation)


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", OUTAGES)
def test_a_registration_that_the_server_leaves_at_any_request_says_where_it_stands_and_goes_on(
    candidate: Candidate, server: CuttingProxy, kept: Path, tmp_path: Path, how: Cut, every: int
) -> None:
    for at in count(every, every):
        model, output = f"{how.name}-{every}-{at}", tmp_path / f"{at}"
        server.cut(how, at)
        try:
            register(candidate, LENIENT, model, model, output)
        except ServiceError as error:
            told = error.hint or ""
        else:
            break
        assert any(says in told and holds(kept, model) for says, holds in STANDINGS.items()), f"{at}: {told}"
        server.mend()
        registration = register(candidate, LENIENT, model, model, output)
        assert registration.gate.verdict == "promote"
        assert registration.champion_before is None
        assert Registration.load(output) == registration
        assert is_registered(output, registration.run_id)
        assert versions_of(kept, model) == [1]
        assert champions_of(kept, model) == [1]
        others = {f"model/{name}" for name in candidate.checkpoint.file_hashes} | {"verdict.json"}
        assert_logged_once(kept, model, candidate.evaluation, others)
        server.mend()
        record, sent = upload(output)
        assert not sent
        assert record.run_id == registration.run_id
        assert server.count == 0
    assert at > 40


def versions_of(kept: Path, model: str) -> list[int]:
    with sqlite3.connect(kept / DATABASE) as database:
        return [row[0] for row in database.execute("select version from model_versions where name = ?", (model,))]


def champions_of(kept: Path, model: str) -> list[int]:
    query = "select version from registered_model_aliases where name = ? and alias = 'champion'"
    with sqlite3.connect(kept / DATABASE) as database:
        return [row[0] for row in database.execute(query, (model,))]


STANDINGS: dict[str, Callable[[Path, str], bool]] = {
    "the policy is not registered": lambda kept, model: not versions_of(kept, model),
    "it is not known whether the policy is registered": lambda kept, model: not champions_of(kept, model),
    "version 1 is registered, this attempt moved no champion": lambda kept, model: (
        versions_of(kept, model) == [1] and not champions_of(kept, model)
    ),
    "version 1 is registered; it is not known whether it is champion": lambda kept, model: (
        versions_of(kept, model) == [1]
    ),
    "version 1 is registered and champion": lambda kept, model: champions_of(kept, model) == [1],
}
"""What the error says -> whether that is so."""


def test_after_an_outage_the_evaluation_alone_can_be_sent_and_the_policy_registered_later_in_the_same_run(
    candidate: Candidate, server: CuttingProxy, kept: Path, tmp_path: Path
) -> None:
    server.cut(Cut.ANSWER, 12)
    with pytest.raises(ServiceError, match="MLflow at "):
        register(candidate, LENIENT, "later", "later", tmp_path)
    server.mend()
    record, sent = upload(tmp_path)
    assert sent
    assert_logged_once(kept, "later", candidate.evaluation, {"verdict.json"})
    assert not is_registered(tmp_path, record.run_id)
    assert register(candidate, LENIENT, "later", "later", tmp_path).run_id == record.run_id
    assert versions_of(kept, "later") == [1]
    assert len(runs_of(kept, "later")) == 1


def test_a_server_that_is_killed_and_started_elsewhere_goes_on_with_the_same_run(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()

    def kill_after(files: int) -> Callable[[str, int, int], None]:
        def see(what: str, done: int, total: int) -> None:  # noqa: ARG001
            if done == files:
                first.close()

        return see

    with ExitStack() as first:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", first.enter_context(mlflow_server(kept)))
        with pytest.raises(ServiceError, match="MLflow at http://127.0.0.1:"):
            upload(evaluation.folder, report=evaluation.report, experiment="killed", progress=kill_after(3))
    with mlflow_server(kept) as address:
        command = [sys.executable, "-m", "lerobot_inference", "tracking", "upload", str(evaluation.folder), "--json"]
        environment = os.environ | {"MLFLOW_TRACKING_URI": address}
        told = [subprocess.run(command, env=environment, capture_output=True, check=True).stdout for _ in range(2)]
    record = TrackingRecord.model_validate_json(told[0])
    assert (record.state, record.tracking_uri) == ("complete", address)
    assert told[0] == told[1]
    assert_logged_once(kept, "killed", evaluation)
