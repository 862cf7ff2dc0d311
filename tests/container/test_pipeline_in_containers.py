"""The pipeline file, each step in its own image: the same figures, and no step gets what it has no use for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docker import DockerClient
from evaluation_kit import figures, require_equal

from lerobot_inference.checkpoint import Bundle
from lerobot_inference.errors import ConfigError, UsageError
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.files import sha256_file
from lerobot_inference.jobs.containers import Containers
from lerobot_inference.jobs.local import run_pipeline
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.jobs.record import RUN_FILE, RunRecord, State

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
GIVEN = {"HF_TOKEN": "hf_not_a_real_one", "MY_SECRET": "not-for-steps"}

PROBE = """\
import errno, json, os, pathlib, sys
def attempt(path):
    try:
        pathlib.Path(path, "written").touch()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "written"
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
folder, output = sys.argv[1:]
facts = {
    "user": os.getuid(),
    "capabilities": int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "writes": {path: attempt(path) for path in ("/", "/usr", folder, "/tmp", output)},
    "environment": sorted(os.environ),
    "read": sorted(os.listdir(folder)),
    "folder": os.getcwd(),
}
(pathlib.Path(output) / "facts.json").write_text(json.dumps(facts))
"""
COMPONENT = """\
name: probe
type: command
is_deterministic: DETERMINISTIC
inputs:
  script: {type: uri_file}
  folder: {type: uri_folder}
outputs:
  facts: {type: uri_folder}
environment: file:environment.yaml
command: python ${{inputs.script}} ${{inputs.folder}} ${{outputs.facts}}
"""
PIPELINE = """\
type: pipeline
inputs:
  script: {type: uri_file, path: probe.py}
  folder: {type: uri_folder, path: aside/../given}
outputs:
  alone: {type: uri_folder}
  hub: {type: uri_folder}
  registrar: {type: uri_folder}
jobs:
  alone:
    component: deterministic.yaml
    environment_variables: {HF_HUB_OFFLINE: "1", MOOD: fine}
    inputs: {script: "${{parent.inputs.script}}", folder: "${{parent.inputs.folder}}"}
    outputs: {facts: "${{parent.outputs.alone}}"}
  hub:
    component: other.yaml
    inputs: {script: "${{parent.inputs.script}}", folder: "${{parent.jobs.alone.outputs.facts}}"}
    outputs: {facts: "${{parent.outputs.hub}}"}
  registrar:
    component: other.yaml
    environment_variables: {HF_HUB_OFFLINE: "1"}
    inputs: {script: "${{parent.inputs.script}}", folder: "${{parent.jobs.hub.outputs.facts}}"}
    outputs: {facts: "${{parent.outputs.registrar}}"}
"""


def run(
    pipeline: Path, output: Path, *more: str, **environment: str
) -> tuple[subprocess.CompletedProcess[str], RunRecord | None]:
    """`pipeline run`, called in the parent of the output folder."""
    call = [sys.executable, "-m", "lerobot_inference", "pipeline", "run", str(pipeline), "--output", str(output)]
    ended = subprocess.run(
        [*call, *more],
        cwd=output.parent,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=1800,  # it builds what `make images` has not
        check=False,
    )
    path = output / RUN_FILE
    return ended, RunRecord.model_validate_json(path.read_text()) if path.exists() else None


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A pipeline whose steps write down what they can do."""
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "given").mkdir()
    (tmp_path / "aside").mkdir()  # not mounted, and so not there
    (tmp_path / "given" / "a file").touch()
    (tmp_path / "environment.yaml").write_text("name: probe\nimage: python:3.12-slim-bookworm\n")
    for name, deterministic in (("deterministic", "true"), ("other", "false")):
        (tmp_path / f"{name}.yaml").write_text(COMPONENT.replace("DETERMINISTIC", deterministic))
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def no_container_is_left(engine: DockerClient) -> Iterator[None]:
    before = {container.id for container in engine.containers.list(all=True)}
    yield
    assert {container.id for container in engine.containers.list(all=True)} <= before


def facts(record: RunRecord | None) -> dict[str, dict[str, Any]]:
    assert record
    return {name: json.loads((Path(path) / "facts.json").read_text()) for name, path in record.outputs.items()}


class Runs:
    """The same pipeline file, run as processes and in containers."""

    def __init__(self, processes: RunRecord, containers: RunRecord) -> None:
        self.both = (processes, containers)

    def outputs(self, name: str) -> tuple[Path, Path]:
        processes, containers = (Path(record.outputs[name]) for record in self.both)
        return processes, containers


@pytest.fixture(scope="module")
def runs(
    engine: DockerClient, checkpoint: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    del engine
    folder = tmp_path_factory.mktemp("modes")
    for path in (path for given in (checkpoint, dataset_folder) for path in given.rglob("*") if path.is_file()):
        path.chmod(0o644)  # lerobot lets the writer of weights and videos alone read them, and that may be root here
    inputs = {"policy": checkpoint, "dataset": dataset_folder, "episodes": 2}
    sets = [word for name, value in inputs.items() for word in ("--set", f"inputs.{name}={value}")]
    records = []
    for mode in ("processes", "containers"):
        (folder / mode).mkdir()  # each has a model registry of its own
        more = ["--docker"] if mode == "containers" else []
        ended, record = run(ROOT / "pipelines" / "evaluate.yaml", folder / mode / "run", *sets, *more, **GIVEN)
        assert ended.returncode == 0, ended.stderr
        assert record
        assert GIVEN["HF_TOKEN"] not in ended.stdout + ended.stderr
        records.append(record)
    return Runs(*records)


def test_every_step_succeeds_in_its_own_image(runs: Runs) -> None:
    _, containers = runs.both
    assert {step.state for step in containers.steps} == {State.SUCCEEDED}
    assert all(step.program.startswith("sha256:") for step in containers.steps)
    images = {step.name: step.program for step in containers.steps}
    assert images["gate"] == images["register"]
    assert len(set(images.values())) == len(images) - 1


def test_commands_are_the_same_in_both_modes(runs: Runs) -> None:
    processes, containers = (
        [[word.replace(record.folder, "RUN") for word in step.command] for step in record.steps] for record in runs.both
    )
    assert processes == containers


def test_the_figures_are_the_same_to_the_last_digit(runs: Runs) -> None:
    processes, containers = map(figures, map(load_results, runs.outputs("results")))
    for found in (processes, containers):
        del found["provenance"]["versions"]  # lerobot and torch are not in the image
    assert processes == containers


def test_the_predictions_are_the_same_to_the_last_digit(runs: Runs) -> None:
    processes, containers = (sorted((path / "predictions").iterdir()) for path in runs.outputs("results"))
    assert [path.name for path in processes] == [path.name for path in containers]
    for one, other in zip(processes, containers, strict=True):
        with np.load(one, allow_pickle=False) as arrays, np.load(other, allow_pickle=False) as same:
            assert set(arrays) == set(same)
            for name in set(arrays) - {"inference_times"}:
                np.testing.assert_array_equal(arrays[name], same[name], err_msg=f"{one.name}: {name}")


def test_the_verdict_and_what_is_registered_are_the_same(runs: Runs) -> None:
    processes, containers = (json.loads((path / "registration.json").read_text()) for path in runs.outputs("verdict"))
    assert processes["gate"] == containers["gate"]
    assert (processes["model_name"], processes["version"]) == (containers["model_name"], containers["version"])


def test_the_bundles_network_and_statistics_are_the_same_to_the_byte(runs: Runs) -> None:
    processes, containers = (Bundle.open(path).folder for path in runs.outputs("bundle"))
    for name in ("policy.onnx", "policy.weights", "statistics.safetensors", "contract.json"):
        assert sha256_file(processes / name) == sha256_file(containers / name), name


def test_the_plots_without_times_are_the_same_to_the_pixel(runs: Runs) -> None:
    processes, containers = runs.outputs("report")
    for name in ("action_deltas", "cumulative_positions", "error_heatmap"):
        picture = Path("plots") / "episode_000" / f"{name}.png"
        assert sha256_file(processes / picture) == sha256_file(containers / picture), name


def test_the_token_stands_in_no_file_of_a_run(runs: Runs) -> None:
    for record in runs.both:
        for path in (path for path in Path(record.folder).parent.rglob("*") if path.is_file()):
            assert GIVEN["HF_TOKEN"].encode() not in path.read_bytes(), path


@pytest.mark.parametrize("name", ["evaluate-parallel", "evaluate-sharded"])
def test_an_evaluation_spread_over_processes_of_a_container_gives_the_same(
    runs: Runs, checkpoint: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = {"policy": checkpoint, "dataset": dataset_folder, "episodes": 2}
    settings = {f"inputs.{key}": str(value) for key, value in inputs.items()}
    pipeline = Pipeline.read(ROOT / "pipelines" / f"{name}.yaml", settings)
    measuring = [step for step in pipeline.steps if step.name in ("download", "split", "evaluate", "aggregate")]
    pipeline = replace(pipeline, steps=tuple(measuring))
    record = run_pipeline(pipeline, tmp_path / "run", runner=Containers.prepare(pipeline, print))
    assert record.exit_code == 0, [Path(step.log).read_text() for step in record.steps if step.exit_code]
    require_equal(Path(record.outputs["results"]), runs.outputs("results")[1])


@pytest.mark.usefixtures("no_container_is_left")
def test_a_step_has_no_root_no_capability_and_one_place_to_write(engine: DockerClient, probe: Path) -> None:
    del engine
    ended, record = run(probe, probe.parent / "run", "--docker")
    assert ended.returncode == 0, ended.stderr
    for found in facts(record).values():
        assert found["user"] == (os.getuid() or 10001)
        assert found["capabilities"] == 0
        assert found["no_new_privileges"] == "1"
        assert [*found["writes"].values()] == ["EROFS", "EROFS", "EROFS", "written", "written"]
        assert found["folder"] == str(probe.parent)
    assert facts(record)["alone"]["read"] == ["a file"]


@pytest.mark.usefixtures("engine")
def test_only_a_step_with_business_outside_has_the_network_and_the_token(probe: Path) -> None:
    _, record = run(probe, probe.parent / "run", "--docker", **GIVEN)
    found = facts(record)
    assert {name: facts["interfaces"] == ["lo"] for name, facts in found.items()} == {
        "alone": True,
        "hub": False,
        "registrar": True,
    }
    assert {name for name, facts in found.items() if "HF_TOKEN" in facts["environment"]} == {"hub"}
    assert "MOOD" in found["alone"]["environment"]
    assert not any("MY_SECRET" in facts["environment"] for facts in found.values())


@pytest.mark.usefixtures("engine")
def test_a_step_that_works_on_a_registry_is_given_the_server_or_the_local_store(probe: Path) -> None:
    _, local = run(probe, probe.parent / "local", "--docker")
    assert (probe.parent / "mlruns").is_dir()
    _, server = run(probe, probe.parent / "server", "--docker", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    variables = {name: "MLFLOW_TRACKING_URI" in found["environment"] for name, found in facts(server).items()}
    assert variables == {"alone": False, "hub": False, "registrar": True}
    assert "MLFLOW_TRACKING_URI" not in facts(local)["registrar"]["environment"]
    assert facts(server)["registrar"]["interfaces"] != ["lo"]


@pytest.mark.usefixtures("engine")
def test_another_image_is_a_reason_to_run_again(engine: DockerClient, probe: Path) -> None:
    _, first = run(probe, probe.parent / "first", "--docker")
    _, second = run(probe, probe.parent / "second", "--docker")
    assert first
    assert second
    assert (second.steps[0].state, second.steps[0].reason) == (State.CACHED, "same inputs as first")
    _, processes = run(probe, probe.parent / "processes")
    assert processes
    assert (processes.steps[0].state, processes.steps[0].reason) == (State.SUCCEEDED, "program changed")
    assert second.steps[0].program == engine.images.get("python:3.12-slim-bookworm").id


@pytest.mark.usefixtures("no_container_is_left")
def test_a_failing_step_gives_the_run_its_exit_code_and_shows_the_end_of_its_log(probe: Path) -> None:
    (probe.parent / "probe.py").write_text("import sys\nprint('this is why', file=sys.stderr)\nsys.exit(5)\n")
    ended, record = run(probe, probe.parent / "run", "--docker")
    assert ended.returncode == 5
    assert "│ this is why" in ended.stderr
    assert record
    assert [step.state for step in record.steps] == [State.FAILED, State.SKIPPED, State.SKIPPED]


@pytest.mark.usefixtures("engine")
@pytest.mark.skipif(os.getuid() != 0, reason="others run their steps as themselves")
def test_what_only_root_may_read_is_one_message(probe: Path) -> None:
    secret = probe.parent / "given" / "a file"
    secret.chmod(0o600)
    ended, _ = run(probe, probe.parent / "run", "--docker")
    assert ended.returncode == UsageError.exit_code
    assert f"{secret}: only root may read it" in ended.stderr


@pytest.mark.usefixtures("no_container_is_left")
def test_a_program_that_the_image_lacks_is_a_failed_step(probe: Path) -> None:
    for path in probe.parent.glob("*.yaml"):
        path.write_text(path.read_text().replace("command: python", "command: no-such-program"))
    ended, record = run(probe, probe.parent / "run", "--docker")
    assert ended.returncode == 127
    assert record
    assert "no-such-program can't be run in a container" in Path(record.steps[0].log).read_text()


@pytest.mark.usefixtures("no_container_is_left")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_run_stops_the_container(probe: Path, stop: signal.Signals) -> None:
    (probe.parent / "probe.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(300)\n")
    # As from a terminal, even where this suite runs in the background, which ignores SIGINT.
    hears_ctrl_c = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    call = "from lerobot_inference.cli import main; main('pipeline run pipeline.yaml --output run --docker'.split())"
    process = subprocess.Popen([sys.executable, "-c", f"{hears_ctrl_c}; {call}"], cwd=probe.parent)
    log = probe.parent / "run" / "alone" / "log.txt"
    deadline = time.monotonic() + 60
    while not (log.exists() and "here" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(stop)
    assert process.wait(60) == 130
    record = RunRecord.model_validate_json((probe.parent / "run" / RUN_FILE).read_text())
    assert [step.state for step in record.steps] == [State.INTERRUPTED, State.SKIPPED, State.SKIPPED]


@pytest.mark.usefixtures("engine")
def test_an_image_that_cannot_be_built_shows_the_end_of_the_build_and_starts_nothing(probe: Path) -> None:
    (probe.parent / "environment.yaml").write_text("name: broken\nbuild: {path: .}\n")
    (probe.parent / "Dockerfile").write_text("FROM python:3.12-slim-bookworm\nRUN echo too bad && false\n")
    ended, record = run(probe, probe.parent / "run", "--docker")
    assert ended.returncode == ConfigError.exit_code
    assert "the image can't be built" in ended.stderr
    assert "too bad" in ended.stderr
    assert record is None
