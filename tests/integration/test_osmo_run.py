"""A rendered workflow is what the pipeline is: its tasks are run here, as OSMO would run them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_kit import figures
from osmo_stand_in import Cluster, fill_in

from lerobot_inference.evaluation.gate import VERDICT_FILE, GateVerdict
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.jobs.local import run_pipeline
from lerobot_inference.jobs.osmo.images import Images
from lerobot_inference.jobs.osmo.render import Target, render_text
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.registry import Registration
from lerobot_inference.tracking import TrackingRecord

ROOT = Path(__file__).parents[2]
SETTINGS = {"inputs.device": "cpu", "inputs.episodes": "2", "inputs.protocol": "as-deployed"}
TARGET = Target("evaluate", Images({}), hub_credential="huggingface", azure_credential="azureml")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, dataset_folder: Path) -> dict[str, str]:
    """The policy lies at a path that any quoting or templating but the right one would tear."""
    policy = tmp_path_factory.mktemp("osmo") / """it's a "policy" \\ {braces} #1 é: $HOME"""
    shutil.copytree(checkpoint, policy)
    return SETTINGS | {"inputs.policy": str(policy), "inputs.dataset": str(dataset_folder)}


def run_on_osmo(file: str, settings: dict[str, str], folder: Path) -> Cluster:
    """A pipeline file, run by OSMO as far as we can be it."""
    identity = dict.fromkeys(("tenant_id", "client_id", "client_secret"), "s3cr3t")
    store = {"tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    cluster = Cluster(folder, {"huggingface": {"token": "hf_s3cr3t"}, "azureml": identity | store})
    cluster.run(fill_in(render_text(Pipeline.read(ROOT / "pipelines" / file, settings), TARGET)))
    return cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]) -> Cluster:
    return run_on_osmo("evaluate-only.yaml", settings, tmp_path_factory.mktemp("cluster"))


def test_the_figures_are_those_of_the_pipeline_run_as_processes(
    cluster: Cluster, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline.read(ROOT / "pipelines" / "evaluate-only.yaml", settings)
    record = run_pipeline(replace(pipeline, steps=pipeline.steps[:2]), tmp_path / "run")
    assert record.exit_code == 0
    there, here = load_results(cluster.output("evaluate", "results")), load_results(Path(record.outputs["results"]))
    assert there.episodes_evaluated == 2
    assert figures(there) == figures(here)


def test_plots_and_the_run_that_they_were_logged_to_are_there(cluster: Cluster) -> None:
    assert (cluster.output("plot", "report") / "plots" / "episode_001" / "error_heatmap.png").is_file()
    record = TrackingRecord.find(cluster.output("track", "tracking"))
    assert record is not None
    assert record.state == "complete"
    assert record.experiment == "lerobot-act-inference"


def test_a_secret_is_in_the_environment_of_the_task_that_needs_it_and_nowhere_else(cluster: Cluster) -> None:
    environments = cluster.environments
    assert [name for name in environments if "HF_TOKEN" in environments[name]] == ["download"]
    assert [name for name in environments if "AZURE_CLIENT_SECRET" in environments[name]] == ["track"]
    offline = [name for name in environments if environments[name].get("HF_HUB_OFFLINE") == "1"]
    assert offline == ["evaluate", "plot", "track"]
    for path in cluster.folder.rglob("*"):
        assert path.is_dir() or b"s3cr3t" not in path.read_bytes(), path


@pytest.mark.slow
def test_the_whole_pipeline_judges_registers_and_bundles(settings: dict[str, str], tmp_path: Path) -> None:
    cluster = run_on_osmo("evaluate.yaml", settings, tmp_path)
    verdict = GateVerdict.model_validate_json((cluster.output("gate", "verdict") / VERDICT_FILE).read_bytes())
    assert [outcome.limit for outcome in verdict.rules if outcome.metric == "episodes_evaluated"] == [5]
    registration = Registration.load(cluster.output("register", "verdict"))
    assert (registration.model_name, registration.version) == ("hve-robo-act", "1")
    assert (cluster.output("export", "bundle") / "manifest.json").is_file()
