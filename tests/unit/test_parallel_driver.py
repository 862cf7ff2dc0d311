"""The driver of parallel components: mini-batches, worker processes, and what happens when they fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from process_kit import runs, wait_until

from lerobot_inference.engine.base import available_cores
from lerobot_inference.errors import ConfigError, LerobotInferenceError, UsageError
from lerobot_inference.jobs.component import Component
from lerobot_inference.jobs.parallel_driver import drive
from lerobot_inference.jobs.parallel_worker import BatchError

COMPONENT = """\
name: work
type: parallel
inputs:
  items: {type: uri_folder}
  word: {type: string, optional: true}
outputs:
  folder: {type: uri_folder}
  rows: {type: uri_file}
input_data: ${{inputs.items}}
mini_batch_size: "2"
mini_batch_error_threshold: 0
max_concurrency_per_instance: 2
retry_settings: {max_retries: 1, timeout: 30}
task:
  type: run_function
  code: code
  entry_script: entry.py
  program_arguments: --folder ${{outputs.folder}} $[[--word '${{inputs.word}}']]
  append_row_to: ${{outputs.rows}}
"""

SCRIPT = """\
import argparse, os, sys, time
from pathlib import Path

def init():
    global folder
    options = argparse.ArgumentParser(allow_abbrev=False)
    options.add_argument("--folder", type=Path)
    options.add_argument("--word")
    given, others = options.parse_known_args()
    assert others, "a driver adds arguments of its own"
    folder = given.folder
    note("init", given.word)

def run(mini_batch):
    return [work(Path(path).name, Path(path).read_text()) for path in mini_batch]

def work(name, order):
    first = not (folder / f"tried-{name}").exists()
    (folder / f"tried-{name}").touch()
    if order == "die" or (order == "die once" and first):
        os._exit(9)
    if order == "raise":
        raise ValueError(f"{name} is wrong")
    if order == "stall" or (order == "stall once" and first):
        note("stalled", "")
        time.sleep(600)
    return name

def shutdown():
    note("shutdown", "")

def note(what, text):
    (folder / f"{what}-{os.getpid()}").write_text(str(text))
"""


class Work:
    """A parallel component, its items and its output folder."""

    def __init__(self, folder: Path) -> None:
        self.file, self.output, self.items = folder / "component.yaml", folder / "out", folder / "items"
        for made in (folder / "code", self.output, self.items):
            made.mkdir()
        self.script = folder / "code" / "entry.py"
        self.script.write_text(SCRIPT)
        self.file.write_text(COMPONENT)
        self.said: list[str] = []

    def change(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def order(self, *orders: str) -> None:
        for number, order in enumerate(orders):
            (self.items / f"item{number}").write_text(order)

    def drive(self) -> list[str]:
        return drive(Component.read(self.file), self.items, ["--folder", str(self.output)], self.said.append)

    def argv(self) -> list[str]:
        outputs = {"folder": self.output, "rows": self.output / "rows.txt"}
        python, *arguments = Component.read(self.file).argv({"items": str(self.items), "word": "two words"}, outputs)
        assert python == "python"
        return [sys.executable, *arguments]

    def notes(self, what: str) -> list[Path]:
        return sorted(self.output.glob(f"{what}-*"))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_a_components_command_line_is_the_driver_with_the_scripts_arguments(work: Work) -> None:
    work.order("", "", "", "", "")
    done = subprocess.run(work.argv(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (work.output / "rows.txt").read_text().split() == [f"item{number}" for number in range(5)]
    assert "work: 5 files in 3 mini-batches" in done.stderr
    assert done.stderr.splitlines()[-1] == "3/3 mini-batches"
    workers = min(2, available_cores())
    assert [path.read_text() for path in work.notes("init")] == ["two words"] * workers
    assert len(work.notes("shutdown")) == workers


@pytest.mark.parametrize(
    ("order", "said"),
    [("die once", "the worker process died with exit code 9"), ("stall once", "not done after 1 s (retry_settings.ti")],
)
def test_a_mini_batch_that_fails_once_is_tried_again_in_a_new_process(work: Work, order: str, said: str) -> None:
    work.order("", "", order, "")
    if "stall" in order:
        work.change("timeout: 30", "timeout: 1")
    assert work.drive() == ["item0", "item1", "item2", "item3"]
    assert [line for line in work.said if "failed" in line] == [
        line for line in work.said if f"mini-batch 2 (item2, item3) failed, attempt 1 of 2: {said}" in line
    ]


@pytest.mark.parametrize("order", ["die", "raise"])
def test_one_failed_mini_batch_too_many_ends_it_and_is_named(work: Work, order: str) -> None:
    work.order("", order)
    with pytest.raises(BatchError, match=r"1 mini-batches failed and 0 may; the last is mini-batch 1 \(item0, item1\)"):
        work.drive()
    assert sum("attempt" in line for line in work.said) == 2


def test_the_end_of_a_traceback_is_shown(work: Work) -> None:
    work.order("raise")
    with pytest.raises(BatchError) as caught:
        work.drive()
    assert caught.value.message.endswith("ValueError: item0 is wrong")
    assert 'entry.py", line' in caught.value.message


def test_as_many_mini_batches_may_fail_as_the_component_says(work: Work) -> None:
    work.change("mini_batch_error_threshold: 0", "mini_batch_error_threshold: 1")
    work.order("", "", "", "raise", "", "")
    assert work.drive() == ["item0", "item1", "item4", "item5"]
    assert work.said[-1] == "3/3 mini-batches, 1 failed"


def test_files_that_failed_are_counted_too(work: Work) -> None:
    """A mini-batch of two fails as a whole."""
    work.change("mini_batch_error_threshold: 0", "mini_batch_error_threshold: 9\nerror_threshold: 1")
    work.order("", "", "", "raise")
    with pytest.raises(BatchError, match="2 files failed and 1 may"):
        work.drive()


def test_fewer_results_than_files_is_a_failure_of_the_files_that_are_missing(work: Work) -> None:
    work.change("mini_batch_error_threshold: 0", "mini_batch_error_threshold: 9\nerror_threshold: 1")
    work.order("", "", "")
    work.script.write_text(SCRIPT.replace("for path in mini_batch]", "for path in mini_batch[:1]]"))
    work.drive()
    assert any("run() returned 1 results for 2 files" in line for line in work.said)
    assert work.said[-1] == "2/2 mini-batches, 1 failed"


@pytest.mark.parametrize(
    ("script", "said", "exit_code"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'", 1),
        ("def init(): raise ValueError('no')", "ValueError: no", 1),
        (
            "from lerobot_inference.errors import UsageError\n"
            "def init(): raise UsageError('no such device', hint='take another')",
            "can't begin: no such device\n       take another",
            2,
        ),
        ("import os\ndef init(): os._exit(5)", "died with exit code 5", 1),
    ],
)
def test_a_script_that_cannot_begin_ends_it_at_once(work: Work, script: str, said: str, exit_code: int) -> None:
    work.order("", "")
    work.script.write_text(script)
    with pytest.raises(LerobotInferenceError) as caught:
        work.drive()
    assert caught.value.message.endswith(said)
    assert caught.value.exit_code == exit_code
    assert not any("attempt 2" in line for line in work.said)


def test_a_failure_is_told_and_ends_the_program_with_its_exit_code(work: Work) -> None:
    work.order("raise")
    done = subprocess.run(work.argv(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("work: 1 files in 1 mini-batches, 1 worker processes\n")
    assert "error: 1 mini-batches failed and 0 may; the last is mini-batch 1 (item0): Traceback" in done.stderr
    assert not (work.output / "rows.txt").exists()


def test_an_empty_folder_is_refused(work: Work) -> None:
    with pytest.raises(UsageError, match="holds no file to work on"):
        work.drive()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_driver(work: Work, stop: signal.Signals) -> None:
    work.order("stall")
    # As from a terminal, even where this suite runs in the background, which ignores SIGINT.
    program = subprocess.Popen(work.argv(), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    try:
        wait_until(lambda: work.notes("stalled") != [])
        program.send_signal(stop)
        assert program.wait(timeout=30) != 0
        worker = int(work.notes("stalled")[0].name.removeprefix("stalled-"))
        wait_until(lambda: not runs(worker))
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("input_data: ${{inputs.items}}", "input_data: ${{inputs.word}}", "input_data"),
        ("entry_script: entry.py", "entry_script: absent.py", "absent.py: no such file"),
        ('mini_batch_size: "2"', 'mini_batch_size: "10kb"', "mini_batch_size"),
        ("append_row_to: ${{outputs.rows}}", "append_row_to: ${{outputs.lines}}", "append_row_to"),
        ("--folder ${{outputs.folder}}", "--folder ${{outputs.file}}", "program_arguments"),
    ],
)
def test_a_parallel_component_that_cannot_run_is_refused(work: Work, old: str, new: str, said: str) -> None:
    work.change(old, new)
    with pytest.raises(ConfigError, match="component.yaml") as caught:
        Component.read(work.file)
    assert said in caught.value.message


class Launcher:
    """jobs/distributed.py with a program that says who it is."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "program.py"

    def __call__(self, program: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
        self.script.write_text(program)
        launcher = [sys.executable, "-m", "lerobot_inference.jobs.distributed", "--processes", str(processes)]
        command = [*launcher, "--", "python", str(self.script), "--flag", "two words"]
        environment = {**os.environ, "RANK": "7"}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


WHO = """\
import os, sys
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
os.write(1, f"{' '.join(os.environ[name] for name in names)} {sys.argv[1:]}\\n".encode())
"""


@pytest.mark.parametrize("processes", [1, 2, 99])
def test_each_process_has_its_rank_and_there_are_no_more_than_cores(launch: Launcher, processes: int) -> None:
    count = min(processes, available_cores())
    done = launch(WHO, processes)
    assert done.returncode == 0, done.stderr
    said = [f"{rank} {rank} {count} ['--flag', 'two words']" for rank in range(count)]
    assert sorted(done.stdout.splitlines()) == sorted(said)


@pytest.mark.skipif(available_cores() < 2, reason="one core runs one process")
def test_the_first_process_that_fails_ends_the_others(launch: Launcher) -> None:
    done = launch("import os, sys, time\nsys.exit(4) if os.environ['RANK'] == '1' else time.sleep(600)")
    assert done.returncode == 4
    assert "rank 1 ended with exit code 4" in done.stderr
