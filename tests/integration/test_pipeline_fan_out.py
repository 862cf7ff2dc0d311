"""The pipelines that spread an evaluation over nodes, run here over processes, end in evaluate.yaml's results."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_kit import require_equal

from lerobot_inference.jobs.local import run_pipeline
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.jobs.record import RunRecord

ROOT = Path(__file__).parents[2]
PERTURB = "jpeg:50"
MEASURING = ("download", "split", "evaluate", "aggregate")

DIES_ONCE = """\
import os
from pathlib import Path
from lerobot_inference.cli.evaluate_items import init, run as evaluate

def run(mini_batch):
    done = evaluate(mini_batch)
    try:
        Path(__file__).with_name("died").touch(exist_ok=False)
    except FileExistsError:
        return done
    os._exit(9)
"""


@pytest.fixture(scope="module")
def inputs(checkpoint: Path, dataset_folder: Path) -> dict[str, str]:
    named = {"policy": checkpoint, "dataset": dataset_folder, "device": "cpu", "episodes": "all", "stride": "2"}
    return {f"inputs.{name}": str(value) for name, value in named.items()}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(inputs: dict[str, str], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What evaluate.yaml gives."""
    file, run = ROOT / "pipelines" / "evaluate.yaml", tmp_path_factory.mktemp("whole") / "run"
    record = measure(file, inputs | {"jobs.evaluate.inputs.perturb": PERTURB}, run, cache)
    return Path(record.outputs["results"])


def measure(file: Path, settings: dict[str, str], run: Path, cache: Path) -> RunRecord:
    """Run a pipeline's steps up to the results."""
    pipeline = Pipeline.read(file, settings)
    measuring = replace(pipeline, steps=tuple(step for step in pipeline.steps if step.name in MEASURING))
    record = run_pipeline(measuring, run, cache=cache)
    logs = [Path(step.log).read_text() for step in record.steps if Path(step.log).exists()]
    assert record.exit_code == 0, "\n".join(logs)
    return record


def log(record: RunRecord, name: str) -> str:
    return next(Path(step.log).read_text() for step in record.steps if step.name == name)


@pytest.mark.parametrize(
    ("name", "perturbed", "said"),
    [("parallel", "split", "3 files in 3 mini-batches"), ("sharded", "evaluate", "processes of 2, each with a RANK")],
)
def test_an_evaluation_over_nodes_equals_one_nodes(
    inputs: dict[str, str], cache: Path, whole: Path, tmp_path: Path, name: str, perturbed: str, said: str
) -> None:
    file = ROOT / "pipelines" / f"evaluate-{name}.yaml"
    record = measure(file, inputs | {f"jobs.{perturbed}.inputs.perturb": PERTURB}, tmp_path / "run", cache)
    assert said in log(record, "evaluate")
    require_equal(Path(record.outputs["results"]), whole)


def test_a_worker_that_dies_once_is_replaced_and_nothing_is_missing(
    inputs: dict[str, str], cache: Path, whole: Path, tmp_path: Path
) -> None:
    """It dies when an item is done and has not been reported: that item is handed out again."""
    for name in ("components", "environments", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "components" / "evaluate_parallel" / "code" / "evaluate_items.py").write_text(DIES_ONCE)
    settings = inputs | {"jobs.split.inputs.perturb": PERTURB, "jobs.split.inputs.size": "2"}
    record = measure(tmp_path / "pipelines" / "evaluate-parallel.yaml", settings, tmp_path / "run", cache)
    assert "failed, attempt 1 of 3: the worker process died with exit code 9" in log(record, "evaluate")
    require_equal(Path(record.outputs["results"]), whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parallel", "sharded"])
def test_all_of_the_pipeline_runs_here(
    inputs: dict[str, str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With rules that an untrained policy meets, in a registry of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate.yaml").write_text("min: {episodes_evaluated: 1}\n")
    settings = inputs | {"inputs.gate": "gate.yaml"}
    pipeline = Pipeline.read(ROOT / "pipelines" / f"evaluate-{name}.yaml", settings)
    record = run_pipeline(pipeline, tmp_path / "run", cache=cache)
    assert record.exit_code == 0, [(step.name, Path(step.log).read_text()) for step in record.steps if step.exit_code]
    assert set(record.outputs) == {"report", "results", "verdict", "bundle"}
    assert all(any(Path(folder).iterdir()) for folder in record.outputs.values())
