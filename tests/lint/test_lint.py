"""`pipeline lint`: one broken file for each mistake in cases/, whose first lines say what must be found and where."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lerobot_inference.cli import app
from lerobot_inference.jobs.azure_validation import validate
from lerobot_inference.jobs.command_line import command_lines
from lerobot_inference.jobs.document import Document, DocumentError
from lerobot_inference.jobs.lint import LintReport, lint
from lerobot_inference.jobs.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.yaml"))
MISSED = "# azure-ai-ml lets it pass."
COMMANDS = command_lines(typer.main.get_command(app))

by_name = pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["pipeline", "lint", *map(str, arguments)])


def look(path: Path) -> LintReport:
    return lint([path], COMMANDS)


def write(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def no_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.ai.ml", None)  # as where the extra is not installed


@by_name
def test_a_mistake_is_found_in_its_file_and_line_and_nothing_else(path: Path) -> None:
    expected = re.findall(r"^# line (\d+): (.+)$", path.read_text(), re.MULTILINE)
    problems = look(path).problems
    assert expected
    assert [(problem.line, Path(problem.file).name) for problem in problems] == [
        (int(line), path.name) for line, _ in expected
    ]
    for problem, (_, said) in zip(problems, expected, strict=True):
        field, message = said.split(": ", 1) if ": " in said else ("", said)
        assert problem.field == field
        assert message in problem.message
        assert problem.hint


@pytest.mark.parametrize("path", [path for path in CASES if MISSED in path.read_text()], ids=lambda path: path.stem)
def test_azures_own_sdk_misses_it(path: Path) -> None:
    kind = path.stem.partition("_")[0]
    document = Document.read(path)
    validate(document, kind if kind in ("pipeline", "environment") else "component")
    assert not document.problems


def test_files_without_a_mistake_pass() -> None:
    result = run(*sorted((HERE / "good").glob("*.yaml")))
    assert (result.exit_code, result.stdout) == (0, "6 files, no problem\n")


def test_our_own_files_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = run("--json")
    report = LintReport.model_validate_json(result.stdout)
    assert (result.exit_code, report.problems) == (0, [])
    assert report.azure_sdk
    assert set(report.files) >= {
        "pipelines/evaluate.yaml",
        "pipelines/gate.yaml",
        "components/evaluate/component.yaml",
        "environments/evaluate/environment.yaml",
    }


def test_a_file_brings_those_that_it_names() -> None:
    report = look(HERE / "good" / "pipeline.yaml")
    names = [str(Path(file).relative_to((HERE / "good").relative_to(Path.cwd()))) for file in report.files]
    assert names == ["pipeline.yaml", "component.yaml", "image/environment.yaml", "parallel.yaml"]


def test_a_component_that_two_steps_share_is_complained_about_once(tmp_path: Path) -> None:
    component, pipeline = tmp_path / "good" / "component.yaml", tmp_path / "pipelines" / "pipeline.yaml"
    for path in (component, pipeline):
        path.parent.mkdir()
        path.write_text((HERE / "good" / path.name).read_text())
    component.write_text(component.read_text().replace("is_deterministic", "is_stable"))
    mine = [problem for problem in look(pipeline).problems if problem.file == str(component)]
    assert [problem.field for problem in mine] == ["is_stable", "environment"]


def test_problems_are_printed_by_line_with_their_hints_and_counted() -> None:
    path = HERE / "cases" / "export_unknown_flag.yaml"
    result = run(path)
    name = path.relative_to(Path.cwd())
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        f"{name}:13: command: lerobot-inference export needs --dataset",
        "    add --dataset VALUE",
        f"{name}:16: command: lerobot-inference export has no option --data",
        "    did you mean --dataset?",
        "",
        "2 files, 2 problems in 1 of them",
    ]


def test_problems_are_printed_as_json() -> None:
    result = run("--json", HERE / "cases" / "gate_unknown_key.yaml")
    assert result.exit_code == 3
    [problem] = json.loads(result.stdout)["problems"]
    assert (problem["line"], problem["field"], problem["message"]) == (3, "most", "unknown key")


@pytest.mark.usefixtures("no_azure")
def test_without_the_sdk_it_says_that_this_part_was_left_out() -> None:
    result = run(HERE / "good" / "component.yaml")
    assert (result.exit_code, result.stdout) == (0, "2 files, no problem\n")
    assert "azure-ai-ml is not installed, so its own validation was left out" in result.stderr
    assert json.loads(run("--json", HERE / "good" / "component.yaml").stdout)["azure_sdk"] is None


def test_a_folder_without_any_such_file_is_an_error_of_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code != 0
    assert "holds none of pipelines/*.yaml" in str(result.exception)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("type: pipeline\njobs: [\n", 3, "not valid YAML"),
        ("type: pipeline\ninputs: {{x}}: 1\n", 2, "not valid YAML"),
        ("created: 2026-99-99\n", None, "not valid YAML: month must be in 1..12"),
        ("- a\n- b\n", None, "expected a mapping of keys, found list"),
        ("", None, "expected a mapping of keys, found NoneType"),
        ("{}\n", 1, "this is no pipeline, component, environment or gate file"),
        ("max:\n  aggregate_mae: 1\n  aggregate_mae: 2\n", 3, "this key stands here twice"),
    ],
)
def test_a_file_that_is_no_mapping_of_single_keys_is_named(
    tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    [problem] = look(write(tmp_path, text)).problems
    assert (problem.line, problem.file) == (line, str(tmp_path / "file.yaml"))
    assert said in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "type: pipeline\ninputs: &a {x: *a}\njobs: {one: {component: a.yaml, inputs: *a}}\n",
        "type: command\nname: a\ncommand: &c [*c]\ninputs: {x: {type: *c}}\n",
        "type: pipeline\njobs: " + "[" * 5000 + "]" * 5000,
        "type: pipeline\na: &a [x]\n"
        + "".join(
            f"b{n}: &b{n} [{', '.join([f'*{p}'] * 9)}]\n" for n, p in enumerate(["a", *(f"b{n}" for n in range(12))])
        )
        + "jobs: *b12\n",
    ],
    ids=["cycle", "cycle of a list", "depth", "width"],
)
def test_yaml_that_holds_itself_is_answered_too(tmp_path: Path, text: str) -> None:
    assert look(write(tmp_path, text)).problems


@pytest.mark.parametrize("name", ["absent.yaml", "x" * 300 + ".yaml", ""])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    [problem] = look(tmp_path / name).problems
    assert problem.file == str(tmp_path / name)


def test_reading_raises_the_first_problem_and_carries_all() -> None:
    with pytest.raises(DocumentError) as error:
        Pipeline.read(HERE / "cases" / "pipeline_unknown_key.yaml")
    assert [problem.field for problem in error.value.problems] == ["experiment"]
    assert str(error.value).endswith("pipeline_unknown_key.yaml:5: experiment: unknown key")
    assert error.value.hint == "did you mean experiment_name?"


def test_a_run_refuses_what_lint_finds() -> None:
    result = CliRunner().invoke(app, ["pipeline", "run", str(HERE / "cases" / "pipeline_unknown_key.yaml")])
    assert isinstance(result.exception, DocumentError)


def test_a_flag_is_found_on_its_own_line_though_another_begins_like_it(tmp_path: Path) -> None:
    text = (HERE / "good" / "export.yaml").read_text().replace("../good", str(HERE / "good"))
    path = write(tmp_path, text.replace("  --policy", "  --engine-name x\n  --engine\n  --policy"))
    problems = look(path).problems
    assert [(problem.line, problem.message) for problem in problems] == [
        (11, "lerobot-inference export has no option --engine-name"),
        (12, "--engine needs a value"),
    ]
