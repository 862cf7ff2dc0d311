"""The YAML that is submitted: Azure's own SDK accepts it, and it says what the command line says."""

import re
import runpy
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
import yaml

from lerobot_inference.cli import app, evaluate_items
from lerobot_inference.cli.evaluate_items import parser
from lerobot_inference.jobs.component import Component
from lerobot_inference.jobs.local import plan
from lerobot_inference.jobs.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
COMPONENTS = sorted(ROOT.glob("components/*/component.yaml"))
ENVIRONMENTS = sorted(ROOT.glob("environments/*/environment.yaml"))
EVALUATE = ROOT / "pipelines" / "evaluate.yaml"
OVER_NODES = [ROOT / "pipelines" / f"evaluate-{how}.yaml" for how in ("parallel", "sharded")]
PARALLEL = ROOT / "components" / "evaluate_parallel" / "component.yaml"

# What a step in a pipeline has no use for: a component's inputs are text, so it sets a switch always or never; a loss
# of accuracy is accepted by a person who sees the figures; and an output begins empty, with nothing to resume.
LEFT_OUT = {"--json", "--require-pinned", "--fail-on-reject", "--force", "--rerun", "--resume"}
ALWAYS = {"--verify", "--sharded"}

by_folder = pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.parent.name)
of_commands = pytest.mark.parametrize(
    "path", [path for path in COMPONENTS if path != PARALLEL], ids=lambda path: path.parent.name
)
by_name = pytest.mark.parametrize("pipeline", [EVALUATE, *OVER_NODES], ids=lambda path: path.stem)


def options(command: str) -> dict[str, Any]:
    """The options of a command, such as `evaluate` or `tracking upload`, by their long flag."""
    found: Any = typer.main.get_command(app)
    for word in command.split():
        found = found.commands[word]
    return {flag: option for option in found.params for flag in option.opts if flag.startswith("--")}


def annotations(command: str) -> dict[str, Any]:
    """The types of a command's parameters, an optional one without its None."""
    *groups, name = command.split()
    found = app
    for group in groups:
        found = next(below.typer_instance for below in found.registered_groups if below.name == group)
    function = next(below.callback for below in found.registered_commands if below.callback.__name__ == name)
    return {name: get_args(kind)[0] if get_args(kind) else kind for name, kind in get_type_hints(function).items()}


def arguments(component: Component) -> list[str]:
    """The command line of a component, with the name of each input and output in place of its value."""
    inputs = {name: f"inputs.{name}" for name in component.inputs}
    outputs = {name: Path(f"outputs.{name}") for name in component.outputs}
    return component.arguments(inputs, outputs)


def called(path: Path) -> str:
    """The command that a component calls: that of its folder's name, but for two."""
    others = {"track": "tracking upload", "evaluate_sharded": "evaluate"}
    return others.get(path.parent.name, path.parent.name)


def flags(component: Component) -> dict[str, str]:
    """The flag that each input and output of a component is passed with; one without a flag is left out."""
    words = 0 if component.parallel else 1 + len(called(component.path).split())
    given = [word for word in arguments(component)[words:] if word not in ALWAYS]
    given = given if given[0].startswith("--") else given[1:]
    return dict(zip(given[1::2], given[::2], strict=True))


def text(default: object) -> str | None:
    """A default as it would be typed."""
    return None if default is None else str(getattr(default, "value", default))


def test_there_is_something_to_check() -> None:
    assert {path.parent.name for path in COMPONENTS} >= {"download", "evaluate", "plot", "register", "export"}
    assert {path.parent.name for path in ENVIRONMENTS} >= {"download", "evaluate", "plot", "register", "export"}


@by_folder
def test_azures_sdk_accepts_the_component(path: Path) -> None:
    from azure.ai.ml import load_component

    component = load_component(path)
    assert component._validate().passed
    assert component.code == ("code" if path == PARALLEL else None)


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.parent.name)
def test_azures_sdk_accepts_the_environment(path: Path) -> None:
    from azure.ai.ml import load_environment

    environment = load_environment(path)
    assert Path(path.parent, environment.build.path).resolve() == path.parent
    assert (path.parent / environment.build.dockerfile_path).is_file()


@by_name
def test_azures_sdk_accepts_the_pipeline(pipeline: Path) -> None:
    from azure.ai.ml import load_job

    result = load_job(pipeline)._validate()
    assert result.passed, result.error_messages


def test_what_may_be_set_is_the_same_here_and_there() -> None:
    from azure.ai.ml import load_job

    settings = {"inputs.policy": "org/name", "inputs.stride": "5", "jobs.download.inputs.policy_revision": "abc"}
    there = load_job(EVALUATE, params_override=[{key: value} for key, value in settings.items()])
    assert there._validate().passed
    assert there.inputs["policy"]._data == "org/name"
    assert there.jobs["download"].inputs["policy_revision"]._data == "abc"
    download, evaluate, *_ = plan(Pipeline.read(EVALUATE, settings), Path("/run")).steps
    assert download.command[2:6] == ["--policy", "org/name", "--policy-revision", "abc"]
    assert "--stride 5" in " ".join(evaluate.command)


@of_commands
def test_a_component_calls_its_command_with_flags_that_the_command_has(path: Path) -> None:
    component = Component.read(path)
    command = called(path)
    assert " ".join(arguments(component)).startswith(f"lerobot-inference {command} ")
    passed, known = set(flags(component).values()), set(options(command))
    assert passed <= known
    assert known - passed - LEFT_OUT - ALWAYS == set(), (
        "an option of the command line that no input of the component sets"
    )


@of_commands
def test_a_components_defaults_and_ranges_are_the_command_lines_own(path: Path) -> None:
    component = Component.read(path)
    flag_of, known, kinds = flags(component), options(called(path)), annotations(called(path))
    for name, parameter in component.inputs.items():
        option = known[flag_of[f"inputs.{name}"]]
        folder = parameter.type.startswith("uri_")  # bound to another step's output, whatever its name here
        if not folder and (parameter.default is not None or not option.required):
            assert text(parameter.default) == text(option.default), name
        if parameter.optional:
            assert not option.required, name
        if issubclass(kinds[option.name], Enum):
            assert set(parameter.enum or []) == {choice.value for choice in kinds[option.name]}, name
        assert (parameter.min, parameter.max) == (option.min, option.max), name


@by_folder
def test_a_component_says_what_its_inputs_are_and_whether_it_may_be_reused(path: Path) -> None:
    found = yaml.safe_load(path.read_text())
    assert isinstance(found["is_deterministic"], bool)
    described = [found, *found["inputs"].values(), *found["outputs"].values()]
    assert all(entry["description"].endswith(".") for entry in described)


@pytest.mark.parametrize(("component", "flag"), [("export", "--verify"), ("evaluate_sharded", "--sharded")])
def test_a_switch_that_a_component_always_sets_is_one(component: str, flag: str) -> None:
    path = ROOT / "components" / component / "component.yaml"
    assert flag in Component.read(path).command.split()
    assert options(called(path))[flag].is_flag


def test_the_parallel_components_arguments_are_those_of_its_script() -> None:
    component = Component.read(PARALLEL)
    known: Any = {option.option_strings[0]: option for option in parser()._actions if option.dest != "help"}
    flag_of = flags(component)
    assert set(flag_of.values()) == set(known)
    for name, parameter in component.inputs.items():
        if not parameter.is_path:
            option = known[flag_of[f"inputs.{name}"]]
            assert text(parameter.default) == text(option.default), name
            assert parameter.optional == (option.default is None), name
            assert parameter.enum == ([text(choice) for choice in option.choices] if option.choices else None), name


def test_the_parallel_components_snapshot_holds_its_script_alone() -> None:
    script = Component.read(PARALLEL).entry_script
    assert script is not None
    assert [path.name for path in script.parent.iterdir() if path.name != "__pycache__"] == [script.name]
    assert runpy.run_path(str(script))["run"] is evaluate_items.run


@pytest.mark.parametrize("path", OVER_NODES, ids=lambda path: path.stem)
def test_a_pipeline_over_nodes_is_the_other_but_for_how_it_comes_to_results(path: Path) -> None:
    one = yaml.safe_load(
        EVALUATE.read_text().replace("jobs.evaluate.outputs.results", "jobs.aggregate.outputs.results")
    )
    over = yaml.safe_load(path.read_text())
    assert (over["inputs"], over["outputs"]) == (one["inputs"], one["outputs"])
    measuring = {"split", "evaluate", "aggregate"}
    later = [{name: job for name, job in each["jobs"].items() if name not in measuring} for each in (over, one)]
    assert later[0] == later[1]


@pytest.mark.parametrize("path", OVER_NODES, ids=lambda path: path.stem)
def test_how_many_nodes_can_be_set(path: Path) -> None:
    from azure.ai.ml import load_job

    job = load_job(path, params_override=[{"jobs.evaluate.resources.instance_count": 8}])
    assert job._validate().passed
    assert job.jobs["evaluate"].resources["instance_count"] == 8


def test_a_bundle_carries_the_evaluation_and_the_verdict_of_its_own_run() -> None:
    command = plan(Pipeline.read(EVALUATE), Path("/run")).steps[-1].command
    given = dict(pairwise(command))
    assert given["--results"] == "/run/evaluate/results"
    assert given["--registration"] == "/run/register/verdict"


@by_name
def test_only_the_download_step_may_reach_the_hub(pipeline: Path) -> None:
    offline = {step.name: step.environment.get("HF_HUB_OFFLINE") == "1" for step in Pipeline.read(pipeline).steps}
    assert offline.pop("download") is False
    assert all(offline.values())


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.parent.name)
def test_a_dockerfile_needs_no_buildkit_and_no_root(path: Path) -> None:
    dockerfile = (path.parent / "Dockerfile").read_text()
    assert "ARG BASE_IMAGE=" in dockerfile
    assert "FROM ${BASE_IMAGE}" in dockerfile
    assert not re.search(r"^# *syntax=|<<|RUN +--|(COPY|ADD) +--(link|chmod)", dockerfile, re.MULTILINE)
    users = re.findall(r"^USER +(\S+)", dockerfile, re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")
