"""Running a pipeline file here: real processes, their outputs, their failures, and what is recorded."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lerobot_inference.cli.pipeline import app
from lerobot_inference.errors import StorageError, UsageError
from lerobot_inference.jobs.local import LOG_FILE, log_tail, new_folder, run_pipeline
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.jobs.process import Processes
from lerobot_inference.jobs.record import RUN_FILE, RunRecord, State

WRITE = """\
name: write
type: command
inputs:
  text: {type: string}
outputs:
  folder: {type: uri_folder}
command: python 'SCRIPTS/write.py' '${{inputs.text}}' ${{outputs.folder}}
"""

CHECK = """\
name: check
type: command
inputs:
  folder: {type: uri_folder}
  exit_code: {type: integer, default: 0}
outputs:
  folder: {type: uri_folder}
command: python 'SCRIPTS/check.py' ${{inputs.folder}} ${{inputs.exit_code}} ${{outputs.folder}}
"""

PIPELINE = """\
type: pipeline
inputs:
  text: hello
  exit_code: 0
outputs:
  written: {type: uri_folder}
  checked: {type: uri_folder}
jobs:
  write:
    component: write.yaml
    inputs: {text: "${{parent.inputs.text}}"}
    outputs: {folder: "${{parent.outputs.written}}"}
  check:
    component: check.yaml
    environment_variables: {HF_HUB_OFFLINE: "1"}
    inputs: {folder: "${{parent.jobs.write.outputs.folder}}", exit_code: "${{parent.inputs.exit_code}}"}
  again:
    component: check.yaml
    inputs: {folder: "${{parent.jobs.check.outputs.folder}}"}
    outputs: {folder: "${{parent.outputs.checked}}"}
"""

WRITE_SCRIPT = """\
import json, os, sys
from pathlib import Path
facts = {"argv": sys.argv[1:], "cwd": os.getcwd(), "python": sys.executable, "token": os.environ.get("HF_TOKEN")}
(Path(sys.argv[2]) / "facts.json").write_text(json.dumps(facts))
print("wrote the facts")
"""

CHECK_SCRIPT = """\
import json, os, sys
from pathlib import Path
facts = json.loads((Path(sys.argv[1]) / "facts.json").read_text())
facts |= {"token": os.environ.get("HF_TOKEN"), "offline": os.environ.get("HF_HUB_OFFLINE")}
(Path(sys.argv[3]) / "facts.json").write_text(json.dumps(facts))
print("this is why", file=sys.stderr)
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that another test run has kept is reused."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pipeline_file(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with 'quotes"
    folder.mkdir()
    (folder / "write.py").write_text(WRITE_SCRIPT)
    (folder / "check.py").write_text(CHECK_SCRIPT)
    scripts = str(folder).replace("'", "'\\''")
    (folder / "write.yaml").write_text(WRITE.replace("SCRIPTS", scripts))
    (folder / "check.yaml").write_text(CHECK.replace("SCRIPTS", scripts))
    path = folder / "greet.yaml"
    path.write_text(PIPELINE)
    return path


def facts(folder: str | Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((Path(folder) / "facts.json").read_text())
    return found


def test_steps_hand_their_outputs_on_and_the_run_is_recorded(pipeline_file: Path, tmp_path: Path) -> None:
    record = run_pipeline(Pipeline.read(pipeline_file), tmp_path / "run")
    assert (record.state, record.exit_code) == (State.SUCCEEDED, 0)
    assert [(step.name, step.state, step.exit_code) for step in record.steps] == [
        ("write", State.SUCCEEDED, 0),
        ("check", State.SUCCEEDED, 0),
        ("again", State.SUCCEEDED, 0),
    ]
    assert all(step.seconds is not None and step.started is not None for step in record.steps)
    assert facts(tmp_path / "run" / "outputs" / "checked") == facts(record.outputs["checked"])
    assert log_tail(Path(record.steps[0].log), 5) == ["wrote the facts"]
    assert RunRecord.model_validate_json((tmp_path / "run" / RUN_FILE).read_text()) == record


def test_a_step_runs_in_the_callers_folder_with_the_same_python(pipeline_file: Path, tmp_path: Path) -> None:
    record = run_pipeline(Pipeline.read(pipeline_file), tmp_path / "run")
    found = facts(record.outputs["written"])
    assert found["cwd"] == str(Path.cwd())
    assert found["python"] == sys.executable


@pytest.mark.parametrize(
    "text",
    ["two words", "it's", 'say "hi"', "$(touch owned)", "a; touch owned", "`touch owned`", "${{inputs.text}}", "*\n~"],
)
def test_what_a_person_typed_never_meets_a_shell(pipeline_file: Path, tmp_path: Path, text: str) -> None:
    record = run_pipeline(Pipeline.read(pipeline_file, {"inputs.text": text}), tmp_path / "run")
    argv = facts(record.outputs["written"])["argv"]
    assert isinstance(argv, list)
    assert argv[0] == text
    assert not (tmp_path / "owned").exists()


def test_only_a_step_that_may_reach_the_hub_is_given_its_token(
    pipeline_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "hf_not_a_real_one"
    monkeypatch.setenv("HF_TOKEN", given)
    run_pipeline(Pipeline.read(pipeline_file), tmp_path / "run")
    assert facts(tmp_path / "run" / "write" / "folder")["token"] == given
    checked = facts(tmp_path / "run" / "check" / "folder")
    assert (checked["token"], checked["offline"]) == (None, "1")
    assert given not in (tmp_path / "run" / RUN_FILE).read_text()


def test_a_failing_step_stops_the_run_and_gives_it_its_exit_code(pipeline_file: Path, tmp_path: Path) -> None:
    record = run_pipeline(Pipeline.read(pipeline_file, {"inputs.exit_code": "4"}), tmp_path / "run")
    assert (record.state, record.exit_code) == (State.FAILED, 4)
    assert [step.state for step in record.steps] == [State.SUCCEEDED, State.FAILED, State.SKIPPED]
    assert set(record.outputs) == {"written"}
    assert not (tmp_path / "run" / "again").exists()


def test_a_program_that_is_not_there_is_a_failed_step(pipeline_file: Path, tmp_path: Path) -> None:
    component = pipeline_file.with_name("write.yaml")
    component.write_text(component.read_text().replace("command: python", "command: no-such-program"))
    record = run_pipeline(Pipeline.read(pipeline_file), tmp_path / "run")
    assert record.exit_code == 127
    assert log_tail(Path(record.steps[0].log), 1) == ["no-such-program can't be run: No such file or directory"]


def test_an_earlier_run_in_the_folder_is_replaced_but_nothing_else_is(pipeline_file: Path, tmp_path: Path) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious"
    run_pipeline(Pipeline.read(pipeline_file), run)
    (run / "write" / "left-over").touch()
    run_pipeline(Pipeline.read(pipeline_file), run)
    assert not (run / "write" / "left-over").exists()
    precious.mkdir()
    (precious / "thesis.txt").touch()
    with pytest.raises(UsageError, match="holds no earlier run"):
        run_pipeline(Pipeline.read(pipeline_file), precious)
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]


def test_two_runs_in_one_second_get_two_folders(tmp_path: Path) -> None:
    first = new_folder(Path("pipelines/greet.yaml"), tmp_path / "runs")
    second = new_folder(Path("pipelines/greet.yaml"), tmp_path / "runs")
    assert first.name.startswith("greet-")
    assert second != first
    assert sorted((tmp_path / "runs").iterdir()) == sorted([first, second])


def test_a_run_that_is_under_way_is_not_replaced_by_another(pipeline_file: Path, tmp_path: Path) -> None:
    pipeline = Pipeline.read(pipeline_file)

    def start_another(_: RunRecord) -> None:
        with pytest.raises(StorageError, match="another process writes into it"):
            run_pipeline(pipeline, tmp_path / "run")

    first = run_pipeline(pipeline, tmp_path / "run", start_another)
    assert (first.state, set(first.outputs)) == (State.SUCCEEDED, {"written", "checked"})
    assert run_pipeline(pipeline, tmp_path / "run").state is State.SUCCEEDED


def test_a_run_that_was_killed_at_its_very_start_can_be_replaced(
    pipeline_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline.read(pipeline_file)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(Processes, "program", lambda *_: 1 // 0)  # the first that a step does
        run_pipeline(pipeline, tmp_path / "run")
    assert run_pipeline(pipeline, tmp_path / "run").state is State.SUCCEEDED


def test_the_command_prints_the_record_alone_on_stdout(pipeline_file: Path, tmp_path: Path) -> None:
    call = ["run", str(pipeline_file), "--set", "inputs.text=a b", "--output", str(tmp_path / "run"), "--json"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0
    assert RunRecord.model_validate_json(result.stdout).inputs["text"] == "a b"
    assert "write (1/3): running" in result.stderr
    assert "again (3/3): succeeded after" in result.stderr


def test_the_command_shows_the_end_of_a_failed_steps_log(pipeline_file: Path, tmp_path: Path) -> None:
    call = ["run", str(pipeline_file), "--set", "inputs.exit_code=5", "--output", str(tmp_path / "run")]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 5
    assert "step check ended with exit code 5" in result.stderr
    assert "│ this is why" in result.stderr
    assert str(tmp_path / "run" / "check" / LOG_FILE) in result.stderr


@pytest.mark.parametrize("setting", ["inputs.text", "text=a", "settings.default_compute=x", "inputs.=a"])
def test_a_setting_that_is_not_an_input_is_a_usage_error(pipeline_file: Path, setting: str) -> None:
    result = CliRunner().invoke(app, ["run", str(pipeline_file), "--set", setting])
    assert isinstance(result.exception, UsageError)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_run_ends_the_step_and_says_so(pipeline_file: Path, tmp_path: Path, stop: signal.Signals) -> None:
    pipeline_file.with_name("write.py").write_text(
        "import os, sys, time\nprint(os.getpid())\nsys.stdout.flush()\ntime.sleep(60)\n"
    )
    # As from a terminal, even where this suite runs in the background, which ignores SIGINT.
    hears_ctrl_c = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    call = f"from lerobot_inference.cli.pipeline import app; app(['run', {str(pipeline_file)!r}, '--output', 'run'])"
    process = subprocess.Popen([sys.executable, "-c", f"{hears_ctrl_c}; {call}"], cwd=tmp_path)
    log = tmp_path / "run" / "write" / LOG_FILE
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(stop)
    assert process.wait(30) == 130
    record = RunRecord.model_validate_json((tmp_path / "run" / RUN_FILE).read_text())
    assert [step.state for step in record.steps] == [State.INTERRUPTED, State.SKIPPED, State.SKIPPED]
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text().split()[0]), 0)


INTERRUPTED_START = """
import signal, subprocess, sys
from pathlib import Path
from lerobot_inference.jobs.local import run_pipeline
from lerobot_inference.jobs.pipeline import Pipeline

class Interrupted(subprocess.Popen):
    def _execute_child(self, *arguments):
        super()._execute_child(*arguments)
        print(self.pid)
        signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # as from a terminal, even in the background
subprocess.Popen = Interrupted
run_pipeline(Pipeline.read(Path(sys.argv[1])), Path("run"), cache=Path("cache"))
"""


def test_stopping_the_run_while_a_step_starts_leaves_nothing_behind(pipeline_file: Path, tmp_path: Path) -> None:
    """As where the machine is so busy that the step runs before its start has returned."""
    pipeline_file.with_name("write.py").write_text("import time\ntime.sleep(60)\n")
    command = [sys.executable, "-c", INTERRUPTED_START, str(pipeline_file)]
    program = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    record = RunRecord.model_validate_json((tmp_path / "run" / RUN_FILE).read_text())
    assert [step.state for step in record.steps] == [State.INTERRUPTED, State.SKIPPED, State.SKIPPED]
    with pytest.raises(ProcessLookupError):
        os.kill(int(program.stdout.split()[0]), 0)


def test_a_step_calls_this_very_installation_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "help.yaml").write_text("name: help\ntype: command\ncommand: lerobot-inference pipeline --help\n")
    (tmp_path / "pipeline.yaml").write_text("type: pipeline\njobs:\n  help: {component: help.yaml}\n")
    monkeypatch.setenv("PATH", "")
    record = run_pipeline(Pipeline.read(tmp_path / "pipeline.yaml"), tmp_path / "run")
    assert record.exit_code == 0
    assert record.steps[0].command[0] == "lerobot-inference"
    assert "run" in Path(record.steps[0].log).read_text()
