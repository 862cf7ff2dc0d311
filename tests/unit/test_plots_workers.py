"""Many episodes are drawn by several processes, which give what one gives and end when they must."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
from results_factory import write_results

from lerobot_inference.engine.base import available_cores
from lerobot_inference.errors import ConfigError, LerobotInferenceError
from lerobot_inference.evaluation.predictions import predictions_path
from lerobot_inference.report import drawing, render_plots

MANY = 7

several_cores = pytest.mark.skipif(available_cores() < 2, reason="one core: everything is drawn in this process")


class Observer:
    """A Progress that keeps what it was told, and which processes there were."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.processes: set[int] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        assert what == "plot"
        self.told.append((done, total))
        self.processes |= {child.pid for child in active_children() if child.pid}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plots") / "results"
    write_results(folder, lengths=tuple(range(3, 3 + MANY)), n_action_steps=2, joints=2)
    return folder


@several_cores
def test_several_processes_give_the_pictures_of_one_in_the_same_order(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, alone = Observer(), Observer()
    by_several = render_plots(results, tmp_path / "several", shared)
    monkeypatch.setattr(drawing, "available_cores", lambda: 1)
    by_one = render_plots(results, tmp_path / "one", alone)
    assert [path.relative_to(tmp_path / "several") for path in by_several] == [
        path.relative_to(tmp_path / "one") for path in by_one
    ]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(by_one, by_several, strict=True))
    assert shared.told == alone.told == [(done, MANY) for done in range(MANY + 1)]
    assert len(shared.processes) == min(available_cores(), MANY // drawing.EPISODES_A_WORKER)
    assert not alone.processes
    assert active_children() == []


def test_few_episodes_are_drawn_in_this_process(tmp_path: Path) -> None:
    write_results(tmp_path / "results", lengths=(3, 3), n_action_steps=2, joints=1)
    observer = Observer()
    render_plots(tmp_path / "results", tmp_path, observer)
    assert observer.told == [(0, 2), (1, 2), (2, 2)]
    assert not observer.processes


@several_cores
def test_a_worker_s_error_is_raised_as_it_is_and_nothing_is_written(tmp_path: Path) -> None:
    write_results(tmp_path / "results", lengths=(3,) * MANY, n_action_steps=2, joints=1)
    predictions_path(tmp_path / "results", MANY - 1).unlink()
    with pytest.raises(ConfigError, match=f"ep00{MANY - 1}_predictions.npz") as caught:
        render_plots(tmp_path / "results", tmp_path / "report")
    assert "run evaluate again" in (caught.value.hint or "")
    assert list((tmp_path / "report").iterdir()) == []
    assert active_children() == []


@several_cores
def test_a_worker_that_is_killed_is_an_error_that_says_so_and_nothing_is_written(results: Path, tmp_path: Path) -> None:
    def kill_one(_: str, done: int, __: int) -> None:
        if done == 1:
            os.kill(active_children()[0].pid or 0, signal.SIGKILL)

    with pytest.raises(LerobotInferenceError, match="processes that draw died") as caught:
        render_plots(results, tmp_path / "report", kill_one)
    assert "run again" in (caught.value.hint or "")
    assert list((tmp_path / "report").iterdir()) == []
    assert active_children() == []


@several_cores
def test_the_workers_end_with_the_process_that_started_them(results: Path, tmp_path: Path) -> None:
    script = tmp_path / "draw.py"
    script.write_text(
        "import sys, time\n"
        "from multiprocessing import active_children\n"
        "from pathlib import Path\n"
        "from lerobot_inference.report import render_plots\n"
        "def hang(what, done, total):\n"
        "    print(*(child.pid for child in active_children()), flush=True)\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    render_plots(Path(sys.argv[1]), Path(sys.argv[2]), hang)\n"
    )
    command = [sys.executable, str(script), str(results), str(tmp_path / "report")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(workers) >= 2
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
