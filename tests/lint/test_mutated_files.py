"""Whatever is done to our own files, lint answers with problems and never with a traceback."""

import shutil
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lerobot_inference.cli import app
from lerobot_inference.jobs.command_line import command_lines
from lerobot_inference.jobs.lint import find_files, lint

ROOT = Path(__file__).parents[2]
COMMANDS = command_lines(typer.main.get_command(app))
FILES = [path.relative_to(ROOT) for path in find_files(ROOT)]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
references = st.sampled_from(
    ["${{inputs.policy}}", "${{parent.jobs.gate.outputs.verdict}}", "$[[", "${{}}", "azureml:x"]
)
values = st.recursive(
    scalars | references, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4
)
slow_start = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("pipelines", "components", "environments"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def places(data: Any, *above: str | int) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in nested data."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*above, key)
        yield from places(value, *above, key)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Path, Any]:
    """One of our files with one key dropped, renamed, or given another value."""
    file = draw(st.sampled_from(FILES))
    data = yaml.safe_load((ROOT / file).read_text())
    *above, key = draw(st.sampled_from(list(places(data))))
    holder = mutated = deepcopy(data)
    for part in above:
        holder = holder[part]
    value = holder.pop(key)
    match draw(st.sampled_from(["drop", "rename", "replace"])), holder:
        case "rename", dict():
            holder[draw(st.text() | st.integers() | st.none())] = value
        case "replace", dict():
            holder[key] = draw(values)
        case "replace", list():
            holder.insert(key, draw(values))
    return file, mutated


def check(project: Path, mutation: tuple[Path, Any]) -> None:
    file, data = mutation
    before = (project / file).read_text()
    (project / file).write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))
    lines = len((project / file).read_text().splitlines())
    try:
        report = lint([project / file], COMMANDS)
    finally:
        (project / file).write_text(before)
    for problem in report.problems:
        assert problem.file in report.files
        assert problem.message
        if problem.file == str(project / file):
            assert problem.line is None or 1 <= problem.line <= lines


@slow_start
@given(mutation=mutations())
def test_a_mutated_file_makes_problems_and_no_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch, mutation: tuple[Path, Any]
) -> None:
    monkeypatch.setitem(sys.modules, "azure.ai.ml", None)
    check(project, mutation)


@settings(slow_start, max_examples=15)
@given(mutation=mutations())
def test_nor_does_what_azures_sdk_is_asked_about(project: Path, mutation: tuple[Path, Any]) -> None:
    check(project, mutation)
