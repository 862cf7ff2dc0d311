"""Rendering a pipeline for OSMO: task for task what Azure ML runs, whatever the values are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from osmo_stand_in import TOKEN, cast, fill_in
from typer.testing import CliRunner

from lerobot_inference.cli import app
from lerobot_inference.errors import ConfigError, LerobotInferenceError, UsageError
from lerobot_inference.jobs.local import plan
from lerobot_inference.jobs.osmo.images import Images
from lerobot_inference.jobs.osmo.render import Target, render_text
from lerobot_inference.jobs.osmo.workflow import read_workflow
from lerobot_inference.jobs.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "pipelines" / "osmo" / "evaluate.yaml"
DIGEST = "sha256:" + "5" * 64


def target(*images: str, **options: Any) -> Target:
    return Target("evaluate", Images.parse(images), **({"azure_credential": "azureml"} | options))


def rendered(file: Path, *images: str, inputs: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    return fill_in(render_text(Pipeline.read(file, inputs), target(*images, **options)))


def by_name(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["name"]: task for task in workflow["tasks"]}


@pytest.fixture(scope="module")
def evaluate() -> dict[str, Any]:
    return rendered(ROOT / "pipelines" / "evaluate.yaml")


def test_the_committed_workflow_is_what_the_pipeline_renders_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, ["osmo", "render", "pipelines/evaluate.yaml"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == COMMITTED.read_text(), (
        "render it again: lerobot-inference osmo render pipelines/evaluate.yaml --output pipelines/osmo/evaluate.yaml"
    )
    assert CliRunner().invoke(app, ["osmo", "lint", str(COMMITTED)]).exit_code == 0


@pytest.mark.parametrize("name", ["evaluate.yaml", "evaluate-only.yaml"])
def test_a_task_runs_the_command_of_its_step_with_folders_in_place_of_paths(name: str) -> None:
    pipeline = Pipeline.read(ROOT / "pipelines" / name)
    tasks = by_name(rendered(pipeline.path))
    steps = plan(pipeline, Path("/run")).steps
    assert list(tasks) == [step.name for step in steps]
    for step in steps:
        task = tasks[step.name]
        folders = {"output": f"/run/{step.name}"}
        folders |= {f"input:{number}": f"/run/{source['task']}" for number, source in enumerate(task.get("inputs", []))}
        carried = {file["path"]: str(ROOT / "pipelines" / "gate.yaml") for file in task.get("files", [])}
        assert [
            carried.get(word, TOKEN.sub(lambda token: folders[token[1]], word)) for word in task["command"]  # noqa: B023
        ] == step.command  # fmt: skip


@pytest.mark.parametrize("name", ["evaluate.yaml", "evaluate-only.yaml"])
def test_every_task_comes_after_those_it_reads_and_reads_all_that_it_names(name: str) -> None:
    earlier: set[str] = set()
    for task in rendered(ROOT / "pipelines" / name)["tasks"]:
        sources = [source["task"] for source in task.get("inputs", [])]
        assert earlier >= set(sources)
        named = {found[1] for word in task["command"] for found in TOKEN.finditer(word)}
        assert named == {"output", *(f"input:{number}" for number in range(len(sources)))}
        earlier.add(task["name"])


def test_only_the_download_task_may_reach_the_hub_and_only_it_has_the_token() -> None:
    tasks = by_name(rendered(ROOT / "pipelines" / "evaluate.yaml", hub_credential="huggingface"))
    download = tasks.pop("download")
    assert download["credentials"] == {"huggingface": {"HF_TOKEN": "token"}}
    assert "environment" not in download
    assert all(task["environment"]["HF_HUB_OFFLINE"] == "1" for task in tasks.values())
    assert "HF_TOKEN" not in str(tasks)


def test_only_the_tasks_that_log_get_azures_identity(evaluate: dict[str, Any]) -> None:
    tasks = by_name(evaluate)
    assert [name for name, task in tasks.items() if "credentials" in task] == ["gate", "register"]
    assert tasks["register"]["credentials"]["azureml"] == {
        "AZURE_TENANT_ID": "tenant_id",
        "AZURE_CLIENT_ID": "client_id",
        "AZURE_CLIENT_SECRET": "client_secret",
        "MLFLOW_TRACKING_URI": "tracking_uri",
    }


def test_a_given_mlflow_needs_no_secret_where_the_cluster_has_an_identity() -> None:
    options = {"tracking_uri": "azureml://subscriptions/s/resourceGroups/g/workspaces/w", "azure_credential": None}
    tasks = by_name(rendered(ROOT / "pipelines" / "evaluate.yaml", **options))
    assert tasks["register"]["environment"]["MLFLOW_TRACKING_URI"] == options["tracking_uri"]
    assert "MLFLOW_TRACKING_URI" not in tasks["evaluate"]["environment"]
    assert all("credentials" not in task for task in tasks.values())


@pytest.mark.parametrize(
    ("images", "download", "evaluate"),
    [
        ((), "lerobot-inference-download:0.1.0", "lerobot-inference-evaluate:0.1.0"),
        (("registry.io/all:1",), "registry.io/all:1", "registry.io/all:1"),
        (("r.io:5000/lri-{environment}:1",), "r.io:5000/lri-download:1", "r.io:5000/lri-evaluate:1"),
        ((f"evaluate=r.io/gpu@{DIGEST}",), "lerobot-inference-download:0.1.0", f"r.io/gpu@{DIGEST}"),
        ((f"r.io/all@{DIGEST}", "evaluate=gpu:2"), f"r.io/all@{DIGEST}", "gpu:2"),
    ],
)
def test_an_image_is_chosen_for_all_steps_or_for_one_environment(
    images: tuple[str, ...], download: str, evaluate: str
) -> None:
    tasks = by_name(rendered(ROOT / "pipelines" / "evaluate.yaml", *images))
    assert (tasks["download"]["image"], tasks["evaluate"]["image"]) == (download, evaluate)


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 1), ("tensorrt", 1), ("cpu", 0), ("gpu", 0)])
def test_a_gpu_is_asked_for_where_the_device_is_one(device: str, gpus: int) -> None:
    text = render_text(Pipeline.read(ROOT / "pipelines" / "evaluate.yaml"), target())
    workflow = fill_in(text, device=device)
    assert int(workflow["resources"]["evaluate"]["gpu"]) == gpus
    assert workflow["resources"]["default"]["gpu"] == 0
    assert by_name(workflow)["evaluate"]["resource"] == "evaluate"


COMMAND = """\
name: say
type: command
inputs:
  text: {type: string}
  count: {type: integer, default: 3}
  often: {type: boolean, default: true}
  tone: {type: string, optional: true}
  words: {type: uri_file, optional: true}
outputs:
  folder: {type: uri_folder}
environment: file:environment.yaml
command: >-
  say --text='<${{inputs.text}}>' --count ${{inputs.count}} --often ${{inputs.often}} $[[--tone ${{inputs.tone}}]]
  $[[--words ${{inputs.words}}]] ${{outputs.folder}}
"""

PIPELINE = """\
type: pipeline
inputs:
  text: hello
  count: 2
jobs:
  say:
    component: say.yaml
    inputs:
      text: ${{parent.inputs.text}}
      count: ${{parent.inputs.count}}
"""


@pytest.fixture(scope="module")
def pipeline_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("say") / "speaker"
    folder.mkdir()
    (folder / "say.yaml").write_text(COMMAND)
    (folder / "environment.yaml").write_text("name: speaker\nimage: speaker:1\n")
    (folder / "pipeline.yaml").write_text(PIPELINE)
    return folder / "pipeline.yaml"


values = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_characters="\0"), min_size=1).filter(
    lambda text: not any(opener in text for opener in ("{{", "{%", "{#"))
)


@settings(deadline=None, max_examples=50)
@given(text=values)
def test_a_value_stays_one_argument_and_is_not_changed(pipeline_file: Path, text: str) -> None:
    (task,) = rendered(pipeline_file, inputs={"inputs.text": text})["tasks"]
    assert task["command"][1] == f"--text=<{text}>"


@settings(deadline=None, max_examples=50)
@given(text=values)
def test_a_value_that_set_gives_later_stays_one_argument_too(pipeline_file: Path, text: str) -> None:
    (task,) = fill_in(render_text(Pipeline.read(pipeline_file), target()), text=text)["tasks"]
    assert task["command"][1] == f"--text=<{text}>"


def test_arguments_are_text_whatever_set_made_of_them(pipeline_file: Path) -> None:
    (task,) = fill_in(render_text(Pipeline.read(pipeline_file), target()), text=cast("10"), count=cast("7"))["tasks"]
    assert task["command"] == ["say", "--text=<10>", "--count", "7", "--often", "True", "{{output}}/folder"]


def test_an_optional_input_without_a_value_leaves_no_trace(pipeline_file: Path) -> None:
    (task,) = rendered(pipeline_file, inputs={"jobs.say.inputs.tone": "loud"})["tasks"]
    assert task["command"][-3:] == ["--tone", "loud", "{{output}}/folder"]
    assert "--tone" not in rendered(pipeline_file)["tasks"][0]["command"]


def test_a_small_file_travels_in_the_workflow(pipeline_file: Path, tmp_path: Path) -> None:
    contents = "first:  'line'\n\n\tsecond \"line\"  \nworkflow: # not a section\n"
    (tmp_path / "words.txt").write_text(contents)
    (task,) = rendered(pipeline_file, inputs={"jobs.say.inputs.words": str(tmp_path / "words.txt")})["tasks"]
    assert task["files"] == [{"path": "/inputs/words/words.txt", "contents": contents}]
    assert task["command"][-3:-1] == ["--words", "/inputs/words/words.txt"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"x" * 65537), "not a file of at most 64 KiB"),
        (lambda path: path.write_bytes(b"\xff"), "not UTF-8 text"),
        (lambda path: path.write_text("{# comment #}"), "holds {#, which OSMO takes for a template"),
        (lambda path: path.mkdir(), "not a file"),
    ],
)
def test_a_file_that_can_not_travel_is_refused(
    pipeline_file: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(tmp_path / "words")
    with pytest.raises(ConfigError) as error:
        rendered(pipeline_file, inputs={"jobs.say.inputs.words": str(tmp_path / "words")})
    assert str(tmp_path / "words") in error.value.message
    assert said in error.value.message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "1st"}, "'1st' is not a name for a workflow"),
        ({"output_url": "/workspace/outputs"}, "/workspace/outputs is not a URL to put outputs at"),
        ({"azure_credential": None}, "task gate would not know where MLflow is"),
        ({"tracking_uri": "sqlite:///mlflow.db"}, "is not an MLflow that every task reaches"),
        ({"tracking_uri": "https://me:s3cr3t@mlflow.example.com"}, "MLflow's address holds a login"),
        ({"tracking_uri": "https://s3cr3t@mlflow.example.com"}, "MLflow's address holds a login"),
        ({"output_url": "azure://account/results?sig=s3cr3t"}, "azure://account/results.*holds a signature"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(options: dict[str, Any], said: str) -> None:
    pipeline = Pipeline.read(ROOT / "pipelines" / "evaluate.yaml")
    with pytest.raises(UsageError, match=said) as error:
        render_text(pipeline, Target(**({"name": "x", "images": Images({}), "azure_credential": "azureml"} | options)))
    assert error.value.hint
    assert "s3cr3t" not in f"{error.value.message}{error.value.hint}"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("spaced out:1", "'spaced out:1' is not an image"),
        ("r.io/x@sha256:123", "is not an image"),
        ("evaluate=", "'' is not an image"),
        ("evaluat=r.io/x:1", "no step runs in it"),
    ],
)
def test_an_image_that_can_not_be_one_is_refused(image: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        rendered(ROOT / "pipelines" / "evaluate.yaml", image)
    assert said in error.value.message
    assert error.value.hint


def test_a_value_that_osmo_would_take_for_a_template_is_refused(pipeline_file: Path) -> None:
    for inputs in ({"inputs.text": "{{output}}"}, {"jobs.say.inputs.tone": "{{output}}"}):
        with pytest.raises(LerobotInferenceError, match="which OSMO takes for a template"):
            rendered(pipeline_file, inputs=inputs)


def test_outputs_that_the_pipeline_gives_are_put_where_asked() -> None:
    tasks = by_name(rendered(ROOT / "pipelines" / "evaluate.yaml", output_url="azure://account/results/"))
    given = {name: task["outputs"][0]["url"] for name, task in tasks.items() if "outputs" in task}
    assert list(given) == ["evaluate", "plot", "register", "export"]
    assert given["plot"] == "azure://account/results/{{workflow_id}}/plot"


def test_a_component_of_several_processes_is_refused(pipeline_file: Path, tmp_path: Path) -> None:
    for name in ("environment.yaml", "pipeline.yaml"):
        (tmp_path / name).write_text((pipeline_file.parent / name).read_text())
    several = "distribution: {type: pytorch, process_count_per_instance: 2}\n"
    (tmp_path / "say.yaml").write_text(COMMAND + several)
    with pytest.raises(ConfigError, match="OSMO runs one process a task"):
        rendered(tmp_path / "pipeline.yaml")


def test_a_workflow_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    output = tmp_path / "workflow.yaml"
    file = str(ROOT / "pipelines" / "evaluate-only.yaml")
    result = CliRunner().invoke(app, ["osmo", "render", file, "--name", "mine", "--output", str(output)])
    assert result.exit_code == 0
    assert read_workflow(output).workflow.name == "mine"
    assert yaml.safe_load(output.read_text())["version"] == 2
    result = CliRunner().invoke(app, ["osmo", "render", file, "--name", "no name", "--output", str(tmp_path / "other")])
    assert result.exit_code == 1
    assert isinstance(result.exception, UsageError)
    assert list(tmp_path.iterdir()) == [output]


def test_lint_prints_every_problem_with_its_hint_and_is_exit_code_3(tmp_path: Path) -> None:
    broken = tmp_path / "workflow.yaml"
    broken.write_text(COMMITTED.read_text().replace("task: download", "task: nowhere"))
    result = CliRunner().invoke(app, ["osmo", "lint", str(COMMITTED), str(broken)])
    assert result.exit_code == 3
    assert result.stdout.count("there is no task nowhere") == 4
    assert "defined before it: download" in result.stdout
    assert "2 files, 4 problems in 1 of them" in result.stdout
    result = CliRunner().invoke(app, ["osmo", "lint", "--json", str(broken)])
    assert [problem["line"] for problem in json.loads(result.stdout)["problems"]] == [
        number for number, line in enumerate(broken.read_text().splitlines(), start=1) if "nowhere" in line
    ]
