"""Several episodes at a time: the same results as one at a time, and no process that outlives the evaluation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import worker_engines
from evaluation_kit import figures
from lerobot_writer import write_dataset
from process_kit import runs, wait_until
from worker_engines import Misbehaving

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import EvaluationError, UsageError
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.workers import evaluate_with_workers, share_cores
from lerobot_inference.export import ExportOptions, export
from lerobot_inference.types import Precision

ONE_THREAD = EngineChoice("openvino", "cpu", threads=1)


class Observer:
    """A Progress that keeps what it was told, and how many child processes there were at most."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.most_children = 0

    def __call__(self, _: str, done: int, total: int) -> None:
        self.told.append((done, total))
        self.most_children = max(self.most_children, len(active_children()))


def evaluate(
    checkpoint: Path, dataset: Path, output: Path, workers: int, choice: EngineChoice = ONE_THREAD, **options: Any
) -> EvalResults:
    policy, data = Checkpoint.open(checkpoint), Dataset.open(dataset)
    plan = EvaluationPlan.make(policy, data)
    return evaluate_with_workers(policy, data, choice, output, plan, workers, **options)


def test_workers_give_what_one_process_gives_bit_for_bit_and_in_the_same_order(
    checkpoint: Path, tmp_path: Path
) -> None:
    """The first episode is the longest, so that it is the last to be scored; the third can't be read."""
    dataset = write_dataset(tmp_path / "cell", episodes=[60, 12, 12, 20, 12], files="one_per_episode")
    sorted((dataset / "videos").rglob("*.mp4"))[2].write_bytes(b"not a video")
    observer = Observer()
    alone = evaluate(checkpoint, dataset, tmp_path / "alone", workers=1)
    shared = evaluate(checkpoint, dataset, tmp_path / "shared", workers=2, progress=observer)
    assert observer.told == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert observer.most_children == 2
    assert active_children() == []
    assert figures(shared) == figures(alone)
    assert [episode.episode for episode in shared.per_episode] == [0, 1, 3, 4]
    assert shared.failed_episodes == [2]
    assert (shared.provenance.workers, shared.provenance.threads, shared.provenance.engine) == (2, 1, "openvino")
    assert shared.provenance.precision is Precision.F32
    assert (tmp_path / "shared" / "failure_cases.jsonl").read_bytes() == (
        tmp_path / "alone" / "failure_cases.jsonl"
    ).read_bytes()
    for index in (0, 1, 3, 4):
        one, other = (EpisodePredictions.load(predictions_path(tmp_path / name, index)) for name in ("alone", "shared"))
        assert np.array_equal(one.predicted, other.predicted)
        assert np.array_equal(one.horizon_mae, other.horizon_mae)


def test_wall_times_that_were_taken_side_by_side_are_said_to_be_whoever_resumes(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Else the gate would take the times of a loaded machine for those of an idle one."""
    dataset = write_dataset(tmp_path / "cell", episodes=[12] * 3, files="one_per_episode")
    sorted((dataset / "videos").rglob("*.mp4"))[2].write_bytes(b"not a video")
    evaluate(checkpoint, dataset, tmp_path / "results", workers=2)
    resumed = evaluate(checkpoint, dataset, tmp_path / "results", workers=1, resume=True)
    assert resumed.provenance.workers == 2


def test_a_bundle_is_evaluated_like_the_checkpoint_it_was_made_from(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    data = Dataset.open(dataset_folder)
    bundle = export(Checkpoint.open(checkpoint), data, tmp_path / "bundle", ExportOptions())
    of_checkpoint = evaluate(checkpoint, dataset_folder, tmp_path / "a", workers=1)
    plan = EvaluationPlan.make(bundle, data)
    of_bundle = evaluate_with_workers(bundle, data, ONE_THREAD, tmp_path / "b", plan, workers=2)
    assert of_bundle.protocols == of_checkpoint.protocols
    assert of_bundle.provenance.policy_files == bundle.file_hashes


def test_one_worker_is_this_process(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    observer = Observer()
    assert evaluate(checkpoint, dataset_folder, tmp_path, 1, progress=observer).provenance.workers == 1
    assert observer.told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert observer.most_children == 0


def test_a_worker_that_dies_ends_the_evaluation_with_what_happened(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    choice = Misbehaving(marks=tmp_path, dies=True)
    with pytest.raises(EvaluationError, match="one of 2 worker processes died") as caught:
        evaluate(checkpoint, dataset_folder, tmp_path / "results", 2, choice)
    assert "fewer --workers" in (caught.value.hint or "")
    assert active_children() == []
    assert not (tmp_path / "results" / "eval_results.json").exists()


def test_an_engine_that_cannot_be_built_is_named_before_any_result_is_removed(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "eval_results.json").write_text("{}")
    with pytest.raises(UsageError, match="engine 'none' is unknown") as caught:
        evaluate(checkpoint, dataset_folder, tmp_path, 2, EngineChoice("none"))
    assert "openvino" in (caught.value.hint or "")
    assert (tmp_path / "eval_results.json").exists()
    assert active_children() == []


@contextmanager
def stalled(checkpoint: Path, dataset: Path, output: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A program whose two workers, whose numbers are yielded, never end."""
    output.mkdir()
    program = subprocess.Popen(
        [sys.executable, worker_engines.__file__, str(checkpoint), str(dataset), str(output)],
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        wait_until(lambda: len(marks(output)) == 2)
        yield program, marks(output)
    finally:
        program.kill()
        program.communicate()


def marks(output: Path) -> list[int]:
    return [int(path.name) for path in output.iterdir() if path.name.isdigit()]


@pytest.mark.parametrize("whole_group", [True, False], ids=["a terminal's Ctrl-C", "a signal to the program alone"])
def test_ctrl_c_ends_all_workers_at_once(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, whole_group: bool
) -> None:
    with stalled(checkpoint, dataset_folder, tmp_path / "out") as (program, workers):
        (os.killpg if whole_group else os.kill)(program.pid, signal.SIGINT)
        assert program.wait(timeout=30) == -signal.SIGINT
        wait_until(lambda: not any(map(runs, workers)))
        assert program.stderr is not None
        assert program.stderr.read().count("KeyboardInterrupt") == 1


def test_no_worker_outlives_a_program_that_is_killed(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    with stalled(checkpoint, dataset_folder, tmp_path / "out") as (program, workers):
        program.kill()
        wait_until(lambda: not any(map(runs, workers)))


@pytest.mark.parametrize(
    ("cores", "threads", "asked", "episodes", "workers", "each"),
    [
        (2, None, None, 10, 1, None),
        (2, 2, None, 10, 1, 2),
        (2, 1, None, 10, 2, 1),
        (16, None, None, 10, 2, 8),
        (16, 4, None, 10, 4, 4),
        (16, 4, None, 3, 3, 4),
        (16, None, 4, 10, 4, 4),
        (2, None, 4, 10, 4, 1),
        (2, 4, None, 10, 1, 4),
        (16, None, 1, 10, 1, None),
        (16, None, 16, 1, 1, None),
    ],
)
def test_workers_and_threads_fill_the_cores(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    threads: int | None,
    asked: int | None,
    episodes: int,
    workers: int,
    each: int | None,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert share_cores(EngineChoice(threads=threads), asked, episodes) == (EngineChoice(threads=each), workers)


def test_another_device_has_one_engine() -> None:
    choice = EngineChoice(device="cuda")
    assert share_cores(choice, None, 10) == (choice, 1)
    assert share_cores(choice, 1, 10) == (choice, 1)
    with pytest.raises(UsageError, match="--workers is 2 and --device is cuda"):
        share_cores(choice, 2, 10)


def test_the_command_line_takes_workers_and_says_how_many_there_were(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    arguments = ["evaluate", "--policy", checkpoint, "--dataset", dataset_folder, "--output", tmp_path / "results"]
    arguments += ["--device", "cpu", "--engine", "openvino", "--workers", "2", "--protocol", "as-deployed", "--json"]
    result = subprocess.run(
        [sys.executable, "-m", "lerobot_inference", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["provenance"]["workers"] == 2
    assert "evaluate: 3/3" in result.stderr
