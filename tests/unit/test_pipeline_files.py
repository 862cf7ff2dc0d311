"""Reading pipeline and component YAML: what is bound to what, and what is said when it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.errors import ConfigError
from lerobot_inference.jobs.component import Component
from lerobot_inference.jobs.document import DocumentError
from lerobot_inference.jobs.pipeline import Pipeline

COMPONENT = """\
name: greet
type: command
inputs:
  text: {type: string}
  count: {type: integer, default: 1, min: 1, max: 9, description: How many.}
  tone: {type: string, optional: true, enum: [soft, loud]}
  file: {type: uri_file, optional: true}
  earlier: {type: uri_folder, optional: true}
outputs:
  folder: {type: uri_folder}
command: >-
  greet --text '${{inputs.text}}' --count ${{ inputs.count }} $[[--tone ${{inputs.tone}}]]
  $[[--file ${{inputs.file}}]] $[[--earlier ${{inputs.earlier}}]] --output ${{outputs.folder}}
"""

PIPELINE = """\
type: pipeline
inputs:
  text: hello
  count: 2
outputs:
  greeting: {type: uri_folder}
jobs:
  second:
    component: greet.yaml
    inputs:
      text: literal
      earlier: ${{parent.jobs.first.outputs.folder}}
    outputs:
      folder: ${{parent.outputs.greeting}}
  first:
    component: greet.yaml
    environment_variables: {MOOD: "fine"}
    inputs:
      text: ${{parent.inputs.text}}
      count: ${{parent.inputs.count}}
"""


@pytest.fixture
def pipeline_file(tmp_path: Path) -> Path:
    (tmp_path / "greet.yaml").write_text(COMPONENT)
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path


def read(tmp_path: Path, text: str) -> Component:
    path = tmp_path / "component.yaml"
    path.write_text(text)
    return Component.read(path)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_steps_come_in_the_order_in_which_they_feed_each_other(pipeline_file: Path) -> None:
    assert [step.name for step in Pipeline.read(pipeline_file).steps] == ["first", "second"]


def test_a_pipeline_input_has_the_type_of_the_component_input_it_feeds(pipeline_file: Path) -> None:
    assert Pipeline.read(pipeline_file, {"inputs.count": "3"}).inputs == {"text": "hello", "count": 3}


def test_an_input_of_one_step_can_be_set_where_the_pipeline_has_none(pipeline_file: Path) -> None:
    first, _ = Pipeline.read(pipeline_file, {"jobs.first.inputs.tone": "soft"}).steps
    assert first.inputs["tone"] == "soft"


def test_a_typed_path_is_relative_to_the_working_folder(
    pipeline_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "rules.yaml").touch()
    monkeypatch.chdir(tmp_path / "elsewhere")
    first, _ = Pipeline.read(pipeline_file, {"jobs.first.inputs.file": "rules.yaml"}).steps
    assert first.inputs["file"] == str(tmp_path / "elsewhere" / "rules.yaml")


def test_a_path_in_the_file_is_relative_to_the_file(pipeline_file: Path, tmp_path: Path) -> None:
    edit(pipeline_file, "      count: ${{parent.inputs.count}}", "      file: {type: uri_file, path: greet.yaml}")
    edit(pipeline_file, "  count: 2\n", "")
    first, _ = Pipeline.read(pipeline_file).steps
    assert first.inputs["file"] == str(tmp_path / "greet.yaml")


@pytest.mark.parametrize(
    ("setting", "text", "said"),
    [
        ("inputs.conut", "3", "inputs.conut: there is no such input"),
        ("inputs.count", "many", "expected integer, found 'many'"),
        ("inputs.count", "0", "0 is below the minimum, 1"),
        ("inputs.count", "10", "10 is above the maximum, 9"),
        ("inputs.text", "", "step first needs a value for text"),
        ("jobs.third.inputs.text", "x", "there is no such step"),
        ("jobs.first.inputs.words", "x", "has no such input"),
        ("jobs.first.inputs.tone", "shrill", "'shrill' is none of soft, loud"),
        ("jobs.first.inputs.file", "absent.yaml", "absent.yaml does not exist"),
        ("jobs.first.inputs.file", "azureml:rules:1", "is not on this machine"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(pipeline_file: Path, setting: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="pipeline") as error:
        Pipeline.read(pipeline_file, {setting: text})
    assert said in error.value.message


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "component: greet.yaml\n    inputs:\n      text: lit",
            "component: no.yaml\n    inputs:\n      text: lit",
            0,
            "no",
        ),
        ("component: greet.yaml", "component: azureml:greet:1", 9, "is registered in Azure ML"),
        ("jobs.first.outputs.folder", "jobs.fourth.outputs.folder", 12, "there is no step fourth"),
        ("jobs.first.outputs.folder", "jobs.first.outputs.files", 12, "step first has no output files"),
        ("text: ${{parent.inputs.text}}", "text: ${{parent.inputs.txet}}", 19, "the pipeline has no input txet"),
        ("text: ${{parent.inputs.text}}", "text: say ${{parent.inputs.text}}", 19, "can't be bound to an input"),
        ("text: ${{parent.inputs.text}}", "words: ${{parent.inputs.text}}", 19, "has no such input"),
        ("${{parent.outputs.greeting}}", "${{parent.outputs.greetings}}", 14, "is not an output of the pipeline"),
        ("folder: ${{parent.outputs", "files: ${{parent.outputs", 14, "has no such output"),
        ("      text: literal\n", "", 10, "step second needs a value for text"),
        ("text: literal", "text: 12", 11, "expected string, found 12; quote it"),
        ("count: 2", "count: two", 4, "expected integer, found 'two'"),
        ("count: 2", "count: true", 4, "expected integer, found True"),
        ("text: hello", 'text: ""', 3, "must not be empty"),
        ("outputs:\n  greeting", "  spare: 1\noutputs:\n  greeting", 5, "no step reads this input"),
        ("type: pipeline", "type: command", 1, "Input should be 'pipeline'"),
        ('{MOOD: "fine"}', "{MOOD: 1}", 17, "Input should be a valid string"),
        ("  first:\n", "  ../first:\n", 15, "String should match pattern"),
        ("jobs:\n", "jobs: [\n", 0, "not valid YAML"),
        (
            "count: ${{parent.inputs.count}}",
            "count: ${{parent.inputs.count}}\n      earlier: ${{parent.jobs.second.outputs.folder}}",
            7,
            "the steps wait for each other",
        ),
        (
            "      count: ${{parent.inputs.count}}\n",
            "      count: ${{parent.inputs.count}}\n    outputs: {folder: '${{parent.outputs.greeting}}'}\n",
            21,
            "step second already writes greeting",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_field(
    pipeline_file: Path, old: str, new: str, line: int, said: str
) -> None:
    edit(pipeline_file, old, new)
    with pytest.raises(ConfigError) as error:
        Pipeline.read(pipeline_file)
    assert said in error.value.message
    if line:
        assert f"pipeline.yaml:{line}: " in error.value.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("${{inputs.text}}", "${{inputs.words}}", "${{inputs.words}} is not an input or output"),
        ("${{outputs.folder}}", "${{parent.outputs.folder}}", "is not an input or output"),
        ("$[[--tone ${{inputs.tone}}]]", "--tone ${{inputs.tone}}", "must stand inside $[[ ]]"),
        ("default: 1", "default: 0", "inputs.count.default: 0 is below the minimum"),
        ("--output", "&& rm --output", "'&&' is for a shell"),
        ("'${{inputs.text}}'", "'${{inputs.text}}", "No closing quotation"),
    ],
)
def test_a_mistake_in_a_component_is_named_too(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in COMPONENT
    with pytest.raises(ConfigError, match=r"component.yaml:\d+: ") as error:
        read(tmp_path, COMPONENT.replace(old, new))
    assert said in error.value.message


def test_all_that_is_wrong_is_found_at_once(pipeline_file: Path) -> None:
    edit(pipeline_file, "count: 2", "count: two")
    edit(pipeline_file, "text: literal", "text: 12")
    edit(pipeline_file.with_name("greet.yaml"), "min: 1", "least: 1")
    with pytest.raises(DocumentError) as error:
        Pipeline.read(pipeline_file)
    assert [problem.field for problem in error.value.problems] == ["inputs.count.least"]  # of each step the same
    edit(pipeline_file.with_name("greet.yaml"), "least: 1", "min: 1")
    with pytest.raises(DocumentError) as error:
        Pipeline.read(pipeline_file)
    assert [problem.field for problem in error.value.problems] == ["jobs.second.inputs.text", "inputs.count"]
    assert "and 1 more" in (error.value.hint or "")


def test_data_of_azure_ml_is_refused_only_where_the_pipeline_shall_run_here(pipeline_file: Path) -> None:
    edit(
        pipeline_file, "      count: ${{parent.inputs.count}}", "      file: {type: uri_file, path: 'azureml:rules:1'}"
    )
    edit(pipeline_file, "  count: 2\n", "")
    with pytest.raises(ConfigError, match="azureml:rules:1 is not on this machine"):
        Pipeline.read(pipeline_file)
    first, _ = Pipeline.read(pipeline_file, here=False).steps
    assert first.inputs["file"] == "azureml:rules:1"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        Pipeline.read(tmp_path / "absent.yaml")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that even root can't read")
def test_a_file_that_cant_be_read_is_an_error_too() -> None:
    with pytest.raises(ConfigError, match="/proc/self/mem: Input/output error"):
        Pipeline.read(Path("/proc/self/mem"))


def test_an_optional_part_stands_only_when_its_input_has_a_value(tmp_path: Path) -> None:
    component, outputs = read(tmp_path, COMPONENT), {"folder": Path("/out")}
    without = component.argv({"text": "a", "count": 1}, outputs)
    assert without == ["greet", "--text", "a", "--count", "1", "--output", "/out"]
    with_tone = component.argv({"text": "a", "count": 1, "tone": "soft"}, outputs)
    assert with_tone == ["greet", "--text", "a", "--count", "1", "--tone", "soft", "--output", "/out"]


@given(st.text())
def test_any_text_stays_one_argument_untouched(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    component = read(tmp_path_factory.mktemp("component"), COMPONENT)
    argv = component.argv({"text": text, "count": 1, "tone": text}, {"folder": Path("/out")})
    assert argv == ["greet", "--text", text, "--count", "1", "--tone", text, "--output", "/out"]
