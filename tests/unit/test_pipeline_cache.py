"""Steps that need not run again: real processes, run twice, with one thing changed between."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_kit import install
from typer.testing import CliRunner

from lerobot_inference.cli.pipeline import app
from lerobot_inference.jobs.cache import CACHE_FOLDER, ENTRY_FILE, KEPT, content
from lerobot_inference.jobs.local import run_pipeline
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.jobs.record import RUN_FILE, RunRecord, State

FETCH = """\
name: fetch
type: command
is_deterministic: false
inputs:
  source: {type: uri_folder}
outputs:
  folder: {type: uri_folder}
command: python 'SCRIPTS/replicate.py' ${{inputs.source}} ${{outputs.folder}} 0
"""

SCORE = """\
name: score
type: command
inputs:
  folder: {type: uri_folder}
  rules: {type: uri_file}
  exit_code: {type: integer, default: 0}
outputs:
  folder: {type: uri_folder}
command: python 'SCRIPTS/replicate.py' ${{inputs.folder}} ${{outputs.folder}} ${{inputs.exit_code}}
"""

PIPELINE = """\
type: pipeline
inputs:
  source: {type: uri_folder, path: source}
  rules: {type: uri_file, path: rules.txt}
  exit_code: 0
outputs:
  scored: {type: uri_folder}
jobs:
  fetch:
    component: fetch.yaml
    inputs: {source: "${{parent.inputs.source}}"}
  score:
    component: score.yaml
    environment_variables: {MOOD: fine}
    inputs:
      folder: "${{parent.jobs.fetch.outputs.folder}}"
      rules: "${{parent.inputs.rules}}"
      exit_code: "${{parent.inputs.exit_code}}"
    outputs: {folder: "${{parent.outputs.scored}}"}
"""

COPY = """\
import shutil, sys
source, target, exit_code = sys.argv[1:]
shutil.copytree(source, target, dirs_exist_ok=True)
print("copied")
sys.exit(int(exit_code))
"""


@pytest.fixture
def pipeline_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A step that always runs, and one that need not; the working folder is the test's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "replicate.py").write_text(COPY)
    (tmp_path / "rules.txt").write_text("be good")
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "deep" / "figures.txt").write_text("1 2 3")
    for name, text in (("fetch", FETCH), ("score", SCORE)):
        (tmp_path / f"{name}.yaml").write_text(text.replace("SCRIPTS", str(tmp_path)))
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path


def run(pipeline_file: Path, name: str, **options: bool) -> RunRecord:
    return run_pipeline(Pipeline.read(pipeline_file), Path("runs") / name, **options)


def said(record: RunRecord) -> list[tuple[State, str]]:
    return [(step.state, step.reason) for step in record.steps]


def change(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def kept_entry() -> Path:
    (entry,) = (CACHE_FOLDER / "score").iterdir()
    return entry


def test_a_deterministic_step_whose_inputs_are_the_same_is_not_run_again(pipeline_file: Path) -> None:
    first, second = run(pipeline_file, "first"), run(pipeline_file, "second")
    assert said(first) == [(State.SUCCEEDED, "not deterministic"), (State.SUCCEEDED, "no earlier result")]
    assert said(second) == [(State.SUCCEEDED, "not deterministic"), (State.CACHED, "same inputs as first")]
    assert (second.state, second.exit_code, second.steps[1].exit_code) == (State.SUCCEEDED, 0, 0)
    assert (Path(second.outputs["scored"]) / "deep" / "figures.txt").read_text() == "1 2 3"
    assert Path(second.steps[1].log).read_text() == "copied\n"
    assert Path(second.folder) in Path(second.outputs["scored"]).parents
    assert RunRecord.model_validate_json((Path(second.folder) / RUN_FILE).read_text()) == second


def test_it_is_reused_in_the_folder_of_the_earlier_run_too_and_when_that_is_gone(pipeline_file: Path) -> None:
    run(pipeline_file, "same")
    assert said(run(pipeline_file, "same"))[1] == (State.CACHED, "same inputs as same")
    shutil.rmtree("runs/same")
    assert said(run(pipeline_file, "other"))[1] == (State.CACHED, "same inputs as same")


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("score.yaml", "type: uri_folder", "type: uri_folder ", "component changed"),
        ("rules.txt", "good", "bad", "input rules changed"),
        ("source/deep/figures.txt", "3", "4", "input folder changed"),
        ("replicate.py", 'print("copied")', 'print("copied again")', "component changed"),
        ("pipeline.yaml", "exit_code: 0", "exit_code: 00", None),
        ("pipeline.yaml", "MOOD: fine", "MOOD: bad", "environment changed"),
        ("fetch.yaml", "name: fetch", "name: fetch ", None),
    ],
)
def test_it_runs_again_when_something_it_depends_on_has_changed(
    pipeline_file: Path, file: str, old: str, new: str, reason: str | None
) -> None:
    run(pipeline_file, "first")
    change(Path(file), old, new)
    expected = (State.SUCCEEDED, reason) if reason else (State.CACHED, "same inputs as first")
    assert said(run(pipeline_file, "second"))[1] == expected


def test_what_lies_behind_a_link_to_another_disk_is_an_input_too(pipeline_file: Path) -> None:
    change(pipeline_file, '"${{parent.jobs.fetch.outputs.folder}}"', "{type: uri_folder, path: source}")
    Path("source/deep").rename("disk")
    Path("source/deep").symlink_to(Path("disk").resolve())
    run(pipeline_file, "first")
    assert said(run(pipeline_file, "second"))[1] == (State.CACHED, "same inputs as first")
    change(Path("disk/figures.txt"), "3", "4")
    assert said(run(pipeline_file, "third"))[1] == (State.SUCCEEDED, "input folder changed")


def test_a_folder_that_links_to_itself_is_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "figures.txt").touch()
    for name in ("a", "b"):
        (tmp_path / "inner" / name).symlink_to(tmp_path)
    assert list(content(tmp_path)) == ["inner/figures.txt"]


def test_the_code_of_an_installed_plugin_decides_too_what_a_step_writes(
    pipeline_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where somebody works on a guard that is installed with `pip install --editable`."""
    install(tmp_path / "site", "beads", {"lerobot_inference.engines": {"beads": "beads:load"}}, {"beads": "load = 1"})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    call = [sys.executable, "-m", "lerobot_inference", "pipeline", "run", str(pipeline_file), "--output"]
    for name, source in (("first", "load = 1"), ("second", "load = 1"), ("third", "load = 2")):
        (tmp_path / "site" / "beads.py").write_text(source)
        subprocess.run([*call, f"runs/{name}"], check=True)
    runs = [RunRecord.model_validate_json(Path("runs", name, RUN_FILE).read_text()) for name in ("second", "third")]
    assert [said(record)[1][1] for record in runs] == ["same inputs as first", "program changed"]


def test_a_file_of_another_name_is_another_input(pipeline_file: Path) -> None:
    run(pipeline_file, "first")
    Path("source/deep/figures.txt").rename("source/figures.txt")
    assert said(run(pipeline_file, "second"))[1] == (State.SUCCEEDED, "input folder changed")


def test_the_reason_is_what_differs_from_the_nearest_earlier_run(pipeline_file: Path) -> None:
    run(pipeline_file, "first")
    change(Path("rules.txt"), "good", "bad")
    change(Path("source/deep/figures.txt"), "3", "4")
    assert said(run(pipeline_file, "second"))[1] == (State.SUCCEEDED, "input folder, input rules changed")
    change(Path("rules.txt"), "bad", "good")
    assert said(run(pipeline_file, "third"))[1] == (State.SUCCEEDED, "input rules changed")


def test_what_an_earlier_run_wrote_is_not_used_when_a_byte_of_it_has_changed(pipeline_file: Path) -> None:
    run(pipeline_file, "first")
    (kept_entry() / "folder" / "deep" / "figures.txt").write_text("1 2 9")
    second = run(pipeline_file, "second")
    assert said(second)[1] == (State.SUCCEEDED, "what was kept of it is damaged")
    assert (Path(second.outputs["scored"]) / "deep" / "figures.txt").read_text() == "1 2 3"
    assert said(run(pipeline_file, "third"))[1] == (State.CACHED, "same inputs as second")


@pytest.mark.parametrize("missing", [ENTRY_FILE, "log.txt", "folder/deep/figures.txt", "folder"])
def test_half_an_entry_is_not_used(pipeline_file: Path, missing: str) -> None:
    run(pipeline_file, "first")
    path = kept_entry() / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert said(run(pipeline_file, "second"))[1] == (State.SUCCEEDED, "what was kept of it is damaged")


def test_changing_a_runs_outputs_changes_neither_what_is_kept_nor_another_run(pipeline_file: Path) -> None:
    first = run(pipeline_file, "first")
    (Path(first.outputs["scored"]) / "deep" / "figures.txt").write_text("mine")
    second = run(pipeline_file, "second")
    assert said(second)[1][0] is State.CACHED
    assert (Path(second.outputs["scored"]) / "deep" / "figures.txt").read_text() == "1 2 3"


def test_a_failed_step_is_not_kept(pipeline_file: Path) -> None:
    change(pipeline_file, "exit_code: 0", "exit_code: 4")
    assert run(pipeline_file, "first").exit_code == 4
    second = run(pipeline_file, "second")
    assert (second.exit_code, said(second)[1]) == (4, (State.FAILED, "no earlier result"))


@pytest.mark.parametrize("where", ["argument", "pipeline file"])
def test_all_is_run_again_when_that_is_asked_for_and_kept_for_later(pipeline_file: Path, where: str) -> None:
    run(pipeline_file, "first")
    if where == "argument":
        second = run(pipeline_file, "second", force_rerun=True)
    else:
        change(pipeline_file, "type: pipeline\n", "type: pipeline\nsettings: {force_rerun: true}\n")
        second = run(pipeline_file, "second")
        change(pipeline_file, "settings: {force_rerun: true}\n", "")
    assert said(second)[1] == (State.SUCCEEDED, "a rerun was asked for")
    assert said(run(pipeline_file, "third"))[1] == (State.CACHED, "same inputs as second")


def test_only_the_last_used_results_of_a_step_are_kept(pipeline_file: Path) -> None:
    run(pipeline_file, "0")
    for number in range(1, KEPT + 1):
        Path("rules.txt").write_text(str(number))
        run(pipeline_file, str(number))
    assert len(list((CACHE_FOLDER / "score").iterdir())) == KEPT
    Path("rules.txt").write_text("be good")
    assert said(run(pipeline_file, "again"))[1] == (State.SUCCEEDED, "input rules changed")


def test_no_value_and_no_variable_stands_in_what_is_kept(pipeline_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_not_a_real_one")
    change(pipeline_file, "MOOD: fine", "MOOD: not-for-others")
    run(pipeline_file, "first")
    for path in (path for path in Path("runs").rglob("*") if path.is_file()):
        text = path.read_text()
        assert "hf_not_a_real_one" not in text, path
        assert "not-for-others" not in text, path


def test_the_command_says_what_was_reused_and_why_the_rest_ran(pipeline_file: Path) -> None:
    CliRunner().invoke(app, ["run", str(pipeline_file), "--output", "runs/first"])
    second = CliRunner().invoke(app, ["run", str(pipeline_file), "--output", "runs/second"])
    assert "fetch (1/2): running (not deterministic)" in second.stderr
    assert "(same inputs as first)" in second.stderr.splitlines()[-1]
    third = CliRunner().invoke(app, ["run", str(pipeline_file), "--output", "runs/third", "--force-rerun"])
    assert "score (2/2): running (a rerun was asked for)" in third.stderr


def test_two_runs_at_once_share_what_is_kept(pipeline_file: Path) -> None:
    call = [sys.executable, "-m", "lerobot_inference", "pipeline", "run", str(pipeline_file), "--output"]
    both = [subprocess.Popen([*call, f"runs/{name}"]) for name in ("one", "two")]
    assert [process.wait(60) for process in both] == [0, 0]
    assert said(run(pipeline_file, "third"))[1][0] is State.CACHED
