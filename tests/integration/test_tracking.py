from __future__ import annotations

import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image
from results_factory import write_results
from typer.testing import CliRunner, Result

from lerobot_inference.cli import app
from lerobot_inference.errors import ConfigError, ServiceError, UsageError
from lerobot_inference.evaluation.results import EvalResults, PerturbedResult
from lerobot_inference.tracking import Evaluation, Store, TrackingRecord, connect, has_store, log_evaluation, open_run
from lerobot_inference.tracking.log import metric_names, run_metrics


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One working directory, so that the sqlite store is made once."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture
def store(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return connect()


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[EvalResults, Path]:
    folder = tmp_path_factory.mktemp("evaluated")
    results = write_results(folder, lengths=(40, 35), robustness={"jpeg:50": perturbed(write_results(folder))})
    (folder / "plots" / "episode_000").mkdir(parents=True)
    for name in ("aggregate_summary.png", "episode_000/action_deltas.png"):
        Image.new("RGB", (4, 4)).save(folder / "plots" / name)
    return results, folder


def perturbed(results: EvalResults) -> PerturbedResult:
    return PerturbedResult(error=results.as_deployed.error, skill=0.5, mse_ratio=1.5, interval=(1.2, 1.8))


def test_the_default_store_is_sqlite_under_the_working_directory(store: Store, workplace: Path) -> None:
    with open_run(store, "where", "run") as run:
        pass
    assert store.uri == f"sqlite:///{workplace}/mlruns/mlflow.db"
    assert run.artifact_uri.startswith((workplace / "mlruns" / "artifacts").as_uri())


def test_a_run_holds_the_params_metrics_and_artifacts_of_the_contract(
    store: Store, evaluated: tuple[EvalResults, Path]
) -> None:
    results, folder = evaluated
    with open_run(store, "contract", "run") as run:
        log_evaluation(run, Evaluation(results, folder, folder))
    logged = store.client.get_run(run.id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params == {
        "policy_repo_id": "demo/act-ur10e-cell",
        "policy_revision": "a" * 40,
        "dataset_repo_id": "demo/ur10e-cell",
        "dataset_revision": "none",
        "eval_episodes": "2",
        "device": "cpu",
        "fps": "30",
        "engine": "lerobot",
    }
    metrics = logged.data.metrics
    first = results.per_episode[0]
    assert metrics["ep0_mse"] == first.mse
    assert metrics["ep0_mae"] == first.mae
    assert metrics["ep0_throughput_hz"] == first.throughput_hz
    assert metrics["ep0_avg_inference_ms"] == first.avg_inference_ms
    assert metrics["ep0_mae_wrist_3"] == first.per_joint_mae[-1]
    assert metrics["aggregate_mse"] == results.aggregate_mse
    assert metrics["aggregate_mae"] == results.aggregate_mae
    assert metrics["skill"] == results.as_deployed.skill
    history = store.client.get_metric_history(run.id, "episode_mae")
    assert [(point.step, point.value) for point in history] == [(e.episode, e.mae) for e in results.per_episode]

    def artifacts(path: str) -> set[str]:
        return {Path(entry.path).name for entry in store.client.list_artifacts(run.id, path)}

    assert artifacts("") == {"eval_results.json", "plots", "predictions"}
    assert artifacts("plots") == {"aggregate_summary.png", "episode_000"}
    assert artifacts("predictions") == {"ep000_predictions.npz", "ep001_predictions.npz"}


def test_the_figures_beside_the_mean_error_are_metrics_too(evaluated: tuple[EvalResults, Path]) -> None:
    results, _ = evaluated
    metrics = {name: value for name, value, step in run_metrics(results) if step == 0}
    deployed, every_frame = results.protocols["as_deployed"], results.protocols["every_frame"]
    assert deployed.intervals is not None
    assert deployed.drift is not None
    assert every_frame.intervals is not None
    predicted = deployed.smoothness.predicted
    expected = {
        "skill": deployed.skill,
        "skill_low": deployed.intervals.skill and deployed.intervals.skill[0],
        "mae_low": deployed.intervals.mae[0],
        "mae_high": deployed.intervals.mae[1],
        "skill_elbow": deployed.per_joint_skill[2],
        "p95_error": deployed.error.p95,
        "max_error": deployed.error.max,
        "direction_cosine": deployed.direction_cosine,
        "drift_chunk_end": deployed.drift.chunk_end,
        "border_jump": predicted.border_jump,
        "interior_jump": predicted.interior_jump,
        "every_frame_mae": every_frame.error.mae,
        "every_frame_mae_high": every_frame.intervals.mae[1],
        "every_frame_overlap_disagreement": every_frame.smoothness.overlap_disagreement,
        "mse_ratio_jpeg_50": 1.5,
    }
    assert expected.items() <= metrics.items()
    assert None not in metrics.values()


def test_a_figure_that_is_null_is_no_metric(tmp_path: Path) -> None:
    results = write_results(tmp_path, joints=1, lengths=(20,), mode="absolute", every_frame=False)
    names = {name for name, _, _ in run_metrics(results)}
    assert "mae_low" not in names  # one episode has no interval
    assert "drift_chunk_end" not in names
    assert not any(name.startswith("every_frame") for name in names)


def test_no_metric_is_logged_twice_for_the_same_step(evaluated: tuple[EvalResults, Path]) -> None:
    points = [(name, step) for name, _, step in run_metrics(evaluated[0])]
    assert len(points) == len(set(points))


def test_the_report_is_an_artifact_where_there_is_one(
    store: Store, evaluated: tuple[EvalResults, Path], tmp_path: Path
) -> None:
    results, folder = evaluated
    report = Path(shutil.copytree(folder, tmp_path / "report"))
    (report / "report.html").write_text("<!doctype html><title>report</title>")
    with open_run(store, "report", "run") as run:
        log_evaluation(run, Evaluation(results, folder, report))
    fetched = store.fetch_artifact(run.id, "report.html", tmp_path)
    assert fetched is not None
    assert fetched.read_text().startswith("<!doctype html>")
    assert store.fetch_artifact(run.id, "nothing.html", tmp_path) is None
    assert store.fetch_artifact("0" * 32, "report.html", tmp_path) is None


def test_only_the_first_fifty_episodes_get_metrics_of_their_own(tmp_path: Path) -> None:
    results = write_results(tmp_path, joints=1, lengths=(2,) * 60)
    names = [name for name, _, _ in run_metrics(results)]
    assert "ep49_mse" in names
    assert "ep50_mse" not in names
    assert names.count("episode_mse") == 60


def test_joint_names_become_names_that_mlflow_takes(store: Store) -> None:
    names = metric_names(["elbow", "左 joint", "右 joint", "a=b"])
    assert names == ["elbow", "__joint_1", "__joint_2", "a_b"]
    with open_run(store, "names", "run") as run:
        for name in names:
            store.client.log_metric(run.id, f"ep0_mae_{name}", 1.0)


def test_a_run_whose_work_raises_ends_failed(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), open_run(store, "failing", "run") as run:
        raise ZeroDivisionError
    assert store.client.get_run(run.id).info.status == "FAILED"


def test_the_store_named_in_the_environment_is_used(
    tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workplace}/mlruns/mlflow.db")
    assert has_store()
    assert connect().uri == f"sqlite:///{workplace}/mlruns/mlflow.db"
    assert not (tmp_path / "mlruns").exists()


def test_where_nothing_was_ever_logged_there_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not has_store()


def test_a_server_that_is_not_there_is_a_service_error_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://robot:hunter2@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError) as caught, open_run(connect(), "unreachable", "run"):
        pass
    assert f"http://127.0.0.1:{port}" in caught.value.message
    assert "hunter2" not in caught.value.message
    assert caught.value.hint is not None
    assert "still on disk" in caught.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_lets_nobody_in_is_told_in_one_line_with_what_to_set(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(BaseHTTPRequestHandler):
        """As a proxy before the server does: with a page that repeats what it was sent."""

        def do_GET(self) -> None:
            page = f"<html>Not you: {self.headers['Authorization']}</html>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
        with pytest.raises(ServiceError) as caught, open_run(connect(), "closed", "run"):
            pass
        server.shutdown()
    assert f"error code {status}" in caught.value.message
    assert "hunter2" not in caught.value.message
    assert "<html>" not in caught.value.message
    assert "MLFLOW_TRACKING_TOKEN" in str(caught.value.hint)


@pytest.mark.parametrize("password", ["hunter2", "hunt/er2", "hunter2/", "hu:nt/er2"])
def test_no_password_of_a_database_is_shown(password: str) -> None:
    """SQLAlchemy takes a password with a slash as it is, which an address of the web would not."""
    address = f"mysql+pymysql://robot:{password}@127.0.0.1:3306/mlflow"
    store = Store(MlflowClient("sqlite://"), address, None)
    assert store.shown_uri == "mysql+pymysql://127.0.0.1:3306/mlflow"
    with pytest.raises(ServiceError) as caught, store.errors():
        raise MlflowException(f"can't open {address}: refused")
    assert "er2" not in caught.value.message


def test_an_address_without_a_password_is_shown_as_it_is() -> None:
    for address in ("http://127.0.0.1:5000/a@b", "sqlite:////home/robot@lab/mlruns/mlflow.db", "file:///runs"):
        assert Store(MlflowClient("sqlite://"), address, None).shown_uri == address


def test_a_parameter_longer_than_a_store_takes_is_cut_with_an_ellipsis(store: Store) -> None:
    with open_run(store, "long", "run") as run:
        run.log_params({"policy_repo_id": "x" * 501})
        run.log_params({"policy_repo_id": "x" * 501})
    assert store.client.get_run(run.id).data.params == {"policy_repo_id": "x" * 499 + "…"}


def test_a_run_of_another_evaluation_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run(store, "two", "run") as run:
        run.log_params({"engine": "onnxruntime"})
    monkeypatch.setenv("MLFLOW_RUN_ID", run.id)
    with pytest.raises(UsageError, match="its engine is 'onnxruntime', here 'lerobot'"), open_run(store, "", "") as run:
        run.log_params({"engine": "lerobot"})
    assert store.client.get_run(run.id).info.status == "FINISHED"  # as it was: the run is not ours to end


def test_in_an_azure_ml_job_that_logs_to_another_server_the_run_is_one_of_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("MLFLOW_RUN_ID", "AZUREML_RUN_ID"):
        monkeypatch.setenv(variable, "the-run-of-the-job")
    with open_run(store, "elsewhere", "run") as run:
        pass
    assert store.client.get_run(run.id).info.status == "FINISHED"


# tracking upload


@pytest.fixture
def results_and_report(evaluated: tuple[EvalResults, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Folders of one's own, apart from each other."""
    results = Path(shutil.copytree(evaluated[1], tmp_path / "results", ignore=shutil.ignore_patterns("plots")))
    return results, Path(shutil.copytree(evaluated[1] / "plots", tmp_path / "drawn" / "plots")).parent


def told(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tracking", "upload", *map(str, arguments)])


def runs(store: Store, experiment: str) -> list[str]:
    found = store.client.get_experiment_by_name(experiment)
    assert found is not None
    return [run.info.run_id for run in store.client.search_runs([found.experiment_id])]


def test_results_are_uploaded_once_and_the_second_time_it_says_that_there_is_nothing_to_send(
    store: Store, results_and_report: tuple[Path, Path]
) -> None:
    results, report = results_and_report
    first = told(results, "--report", report, "--experiment-name", "by hand")
    second = told(results)
    [run] = runs(store, "by hand")
    assert first.stdout == f"logged: run {run} at {store.uri}\n"
    assert second.stdout == f"nothing to send: run {run} at {store.uri} holds it\n"
    record = TrackingRecord.find(results)
    assert record is not None
    assert (record.state, record.run_id, record.results) == ("complete", run, str(results))
    assert told(results, "--json").stdout == f"{record.model_dump_json(indent=2)}\n"


def test_another_evaluation_in_the_same_folder_gets_a_run_of_its_own(
    store: Store, results_and_report: tuple[Path, Path]
) -> None:
    results, report = results_and_report
    assert told(results, "--report", report, "--experiment-name", "twice").exit_code == 0
    write_results(results, lengths=(40, 35), error=0.01)
    assert told(results).exit_code == 0
    assert len(runs(store, "twice")) == 2


def test_a_run_that_was_deleted_is_made_anew(store: Store, results_and_report: tuple[Path, Path]) -> None:
    results, report = results_and_report
    assert told(results, "--report", report, "--experiment-name", "deleted").exit_code == 0
    record = TrackingRecord.find(results)
    assert record is not None
    [run] = runs(store, "deleted")
    store.client.delete_run(run)
    record.model_copy(update={"state": "pending"}).save(results)
    assert told(results).exit_code == 0
    assert runs(store, "deleted") != [run]


def test_what_is_no_evaluation_is_named(results_and_report: tuple[Path, Path], tmp_path: Path) -> None:
    results, report = results_and_report
    for arguments, message in (
        ([report], f"{report}: neither tracking.json nor eval_results.json is there"),
        ([results], "report/plots: no plots"),
        ([tmp_path, "--results", report], f"{report}: neither tracking.json nor eval_results.json is there"),
    ):
        error = told(*arguments).exception
        assert isinstance(error, ConfigError)
        assert message in error.message
    (results / "tracking.json").write_text('{"state": "sent"}')
    error = told(results).exception
    assert isinstance(error, ConfigError)
    assert f"{results / 'tracking.json'}: state: Input should be 'pending' or 'complete'" in error.message


def test_without_a_server_the_record_stays_and_no_password_is_in_it(
    results_and_report: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    results, report = results_and_report
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://robot:hunter2@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    error = told(results, "--report", report).exception
    assert isinstance(error, ServiceError)
    text = (results / "tracking.json").read_text()
    assert '"state": "pending"' in text
    assert "hunter2" not in text + error.message
