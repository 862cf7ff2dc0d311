from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from PIL import Image
from results_factory import write_results

from lerobot_inference.errors import ServiceError
from lerobot_inference.evaluation.results import EvalResults, PerturbedResult
from lerobot_inference.tracking import Evaluation, Store, connect, has_store, log_evaluation, open_run
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
