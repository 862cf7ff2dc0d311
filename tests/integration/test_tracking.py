from __future__ import annotations

import socket
from pathlib import Path

import pytest
from results_factory import write_results

from lerobot_inference.errors import ServiceError
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.report import render_plots
from lerobot_inference.tracking import Store, connect, log_evaluation
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
    results = write_results(folder, lengths=(12, 8))
    render_plots(folder, folder)
    return results, folder


def test_the_default_store_is_sqlite_under_the_working_directory(store: Store, workplace: Path) -> None:
    with store.run("where", "run") as run:
        pass
    assert store.uri == f"sqlite:///{workplace}/mlruns/mlflow.db"
    assert run.artifact_uri.startswith((workplace / "mlruns" / "artifacts").as_uri())


def test_a_run_holds_the_params_metrics_and_artifacts_of_the_contract(
    store: Store, evaluated: tuple[EvalResults, Path]
) -> None:
    results, folder = evaluated
    with store.run("contract", "run") as run:
        log_evaluation(run, results, folder, folder)
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
    assert artifacts("plots") == {"aggregate_summary.png", "episode_000", "episode_001"}
    assert artifacts("predictions") == {"ep000_predictions.npz", "ep001_predictions.npz"}


def test_only_the_first_fifty_episodes_get_metrics_of_their_own(tmp_path: Path) -> None:
    results = write_results(tmp_path, joints=1, lengths=(2,) * 60)
    names = [name for name, _, _ in run_metrics(results)]
    assert "ep49_mse" in names
    assert "ep50_mse" not in names
    assert names.count("episode_mse") == 60


def test_joint_names_become_names_that_mlflow_takes(store: Store) -> None:
    names = metric_names(["elbow", "左 joint", "右 joint", "a=b"])
    assert names == ["elbow", "__joint_1", "__joint_2", "a_b"]
    with store.run("names", "run") as run:
        for name in names:
            store.client.log_metric(run.id, f"ep0_mae_{name}", 1.0)


def test_a_run_whose_work_raises_ends_failed(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.run("failing", "run") as run:
        raise ZeroDivisionError
    assert store.client.get_run(run.id).info.status == "FAILED"


def test_the_store_named_in_the_environment_is_used(
    tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workplace}/mlruns/mlflow.db")
    assert connect().uri == f"sqlite:///{workplace}/mlruns/mlflow.db"
    assert not (tmp_path / "mlruns").exists()


def test_a_server_that_is_not_there_is_a_service_error_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://robot:hunter2@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError) as caught, connect().run("unreachable", "run"):
        pass
    assert f"http://127.0.0.1:{port}" in caught.value.message
    assert "hunter2" not in caught.value.message
    assert caught.value.hint is not None
    assert "still on disk" in caught.value.hint
