"""Checking an OSMO workflow file: what is said of each thing that OSMO would refuse, or do otherwise than meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from lerobot_inference.jobs.document import DocumentError
from lerobot_inference.jobs.osmo.template import check_literal, references
from lerobot_inference.jobs.osmo.workflow import read_workflow

GOOD = """\
version: 2
workflow:
  name: greetings
  pool: "{{ pool }}"
  timeout: {exec_timeout: 8h}
  resources:
    default: {cpu: 1, memory: 1Gi}
    gpu: {gpu: "{{ 1 if kind in ('cuda', 'tensorrt') else 0 }}", platform: h100}
  tasks:
    - name: first
      image: registry.example.com:5000/robots/greet:1.0
      environment: {MOOD: fine}
      credentials: {hub: {TOKEN: token}}
      command: [greet, --text, "{{ (text|string|tojson)[1:-1] }}", --output, "{{output}}/words"]
    - name: Second-task
      image: greet@sha256:0000000000000000000000000000000000000000000000000000000000000000
      resource: gpu
      inputs:
        - task: first
        - url: s3://bucket/words
      files:
        - path: /inputs/rules.yaml
          contents: "max: {mae: 0.1}"
      command: [greet, "{{input:0}}/words", "{{input:first}}", "{{input:1}}", "{{uuid}}"]
      outputs:
        - url: s3://bucket/{{workflow_id}}
default-values:
  pool: robots
  text: hello
  kind: cuda
"""


def read(text: str) -> None:
    read_workflow(Path("workflow.yaml"), text)


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentError) as error:
        read(text)
    assert all(problem.hint for problem in error.value.problems)
    return [str(problem) for problem in error.value.problems]


def test_a_good_workflow_is_read(tmp_path: Path) -> None:
    (tmp_path / "workflow.yaml").write_text(GOOD)
    file = read_workflow(tmp_path / "workflow.yaml")
    assert [task.name for task in file.workflow.tasks] == ["first", "Second-task"]


LONG = "x" * (128 * 1024 - len("MOOD=") - 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 2", "version: 1", "workflow.yaml:1: version: Input should be 2"),
        ("version: 2", "versions: 2", "workflow.yaml:1: versions: Extra inputs are not permitted"),
        ("  name: greetings", "  title: x\n  name: x", "workflow.yaml:3: workflow.title: Extra inputs"),
        ("  name: greetings", "  name: greetings-", "workflow.yaml:3: workflow.name: String should match"),
        ("- name: first", "- name: 1st", "workflow.yaml:10: workflow.tasks.0.name: String should match"),
        ("- name: first", "- name: second_TASK", "workflow.tasks.1.name: Second-task is the same name as"),
        ("      - task: first", "      - task: third", "workflow.tasks.1.inputs.0.task: there is no task third"),
        ("      environment:", "      inputs: [{task: Second-task}]\n      environment:", "not defined before first"),
        ("      environment:", "      inputs: [{task: first}]\n      environment:", "is not defined before first"),
        ("      environment:", "      inputs: [{dataset: x}]\n      environment:", "workflow.tasks.0.inputs.0"),
        ("image: greet@sha256:00", "image: greet@sha256:0", "workflow.tasks.1.image: String should match"),
        ("greet:1.0", "greet 1.0", "workflow.tasks.0.image: String should match"),
        ("[greet, --text", "[true, --text", "workflow.tasks.0.command.0: Input should be a valid string"),
        ("resource: gpu", "resource: tpu", "workflow.yaml:17: workflow.tasks.1.resource: there is no resource tpu"),
        ("    default: {cpu: 1, memory: 1Gi}\n", "", "workflow.tasks.0.resource: there is no resource default"),
        ("memory: 1Gi", "memory: lots", "workflow.resources.default.memory: String should match"),
        ("cpu: 1,", "cpu: -1,", "workflow.resources.default.cpu"),
        ("MOOD: fine", f"MOOD: {LONG}x", "workflow.yaml:12: workflow.tasks.0.environment.MOOD: is 128 KiB or longer"),
        ("MOOD: fine", "2MOOD: fine", "workflow.tasks.0.environment"),
        ("/inputs/rules.yaml", "/osmo/rules.yaml", "workflow.tasks.1.files.0.path: /osmo/rules.yaml can't be a file's"),
        ("/inputs/rules.yaml", "rules.yaml", "workflow.tasks.1.files.0.path: rules.yaml can't be a file's place"),
        ('"{{output}}/words"', '"{{ output }}/words"', "OSMO wants {{output}} without blanks"),
        ('"{{input:first}}"', '"{{input:second}}"', "workflow.yaml:24: workflow.tasks.1.command.2: {{input:second}}"),
        ('"{{input:1}}"', '"{{input:2}}"', "command.3: {{input:2}}: there is nothing it could stand for"),
        ("name: greetings", 'name: greetings\n  labels: {x: "{{output}}"}', "workflow.labels.x: {{output}}"),
        ("(text|string", "(txt|string", "workflow.yaml:14: workflow.tasks.0.command.2: there is no value txt"),
        ("kind in", "kinds in", "workflow.resources.gpu.gpu: there is no value kinds"),
        ("max: {mae: 0.1}", "for x in ${#a[@]}", "workflow.tasks.1.files.0.contents: 'for x in ${#a[@]}' holds {#"),
        ("max: {mae: 0.1}", "{% if x %}", "holds {%"),
        ("max: {mae: 0.1}", "{{ pool", "holds {{"),
        ("text: hello", "text: '{{output}}'", "workflow.yaml:29: default-values.text: '{{output}}' holds {{"),
        ("text: hello", "text: 😀", "default-values.text: '😀' holds '😀'"),
        ("text: hello", "text: hello\n  output: x", "default-values.output: is not a name that a template can use"),
        ("text: hello", "text: hello\n  a-b: x", "default-values.a-b: is not a name that a template can use"),
        ("exec_timeout: 8h", "exec_timeout: 8h30m", "workflow.timeout.exec_timeout"),
        ("- url: s3://bucket/words", "- url: bucket", "workflow.tasks.1.inputs.1"),
    ],
)  # fmt: skip
def test_what_osmo_would_refuse_is_said_with_its_place(old: str, new: str, said: str) -> None:
    assert GOOD.count(old) == 1, old
    found = problems(GOOD.replace(old, new))
    assert any(said in problem for problem in found), found
    assert all(problem.startswith("workflow.yaml:") for problem in found)


def test_the_longest_variable_that_linux_takes_is_taken() -> None:
    read(GOOD.replace("MOOD: fine", f"MOOD: {LONG}"))


def test_all_problems_are_said_at_once() -> None:
    text = GOOD.replace("resource: gpu", "resource: tpu").replace('"{{output}}/words"', '"{{ output }}"')
    assert len(problems(text)) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain { } text", []),
        ("{{a}} and {{ b|default('c d') }}", ["a", "b"]),
        ("{{ x.y[0] if z is not none else 'w' }}", ["x", "z"]),
        ("{{output}}/{{input:0}}", [("output", ""), ("input", "0")]),
    ],
)
def test_names_and_tokens_are_told_apart(text: str, found: list[str | tuple[str, str]]) -> None:
    assert list(references(text)) == found


@pytest.mark.parametrize("text", ["{{x}}", "a{#b", "{%", "😀"])
def test_a_text_that_osmo_would_change_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="OSMO"):
        check_literal(text)
