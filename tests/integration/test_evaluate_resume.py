"""An evaluation that was interrupted goes on where it was, ends as if nothing had happened, and is no other one."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stalling_evaluation
from evaluation_kit import Answer, Scripted, contents, figures, require_equal, run_evaluate
from lerobot_writer import write_dataset

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import ConfigError, EvaluationError, StorageError
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.files import claimed
from lerobot_inference.types import FloatArray, UInt8Array

PERTURB = "jpeg:50,delay:2"
SCORES = ["scores/ep000.npz", "scores/ep001.npz", "scores/ep002.npz"]
PERTURBED_SCORES = [f"scores/{folder}/ep00{n}.npz" for folder in ("delay_2", "jpeg_50") for n in range(3)]


class Interrupted(BaseException):
    """What ends a run from outside, as KeyboardInterrupt does."""


class Run:
    """Evaluations of one policy and dataset with an engine that counts, `answer` aside as pictures and state say."""

    def __init__(self, checkpoint: Path, dataset: Path) -> None:
        self.checkpoint, self.dataset = checkpoint, dataset

    def __call__(
        self,
        output: Path,
        *,
        resume: bool = False,
        answer: Answer | None = None,
        interrupt_at: tuple[str, int] | None = None,
        engine: Mapping[str, Any] = {},
        **options: Any,
    ) -> tuple[EvalResults, int]:
        """The results, and how often the engine was asked."""
        policy, data = Checkpoint.open(self.checkpoint), Dataset.open(self.dataset)
        plan = EvaluationPlan.make(policy, data, **{"perturb": PERTURB, **options})
        scripted = Scripted(policy.spec, answer or follow, **engine)

        def progress(what: str, done: int, _: int) -> None:
            if (what, done) == interrupt_at:
                raise Interrupted

        results = evaluate(policy, data, scripted, output, plan, progress, resume=resume)
        return results, scripted.asked

    def interrupted(self, output: Path, interrupt_at: tuple[str, int]) -> None:
        with pytest.raises(Interrupted):
            self(output, interrupt_at=interrupt_at)


def follow(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
    return state / 100 + sum(image.mean() for image in images.values()) / 1e4


@pytest.fixture
def run(checkpoint: Path, dataset_folder: Path) -> Run:
    return Run(checkpoint, dataset_folder)


def scores(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in (folder / "scores").rglob("*"))


@contextmanager
def stalled(*arguments: object, marks: Path, processes: int) -> Iterator[subprocess.Popen[bytes]]:
    """stalling_evaluation.py, once that many of its processes say no more."""
    marks.mkdir()
    program = subprocess.Popen([sys.executable, stalling_evaluation.__file__, *map(str, arguments)])
    try:
        deadline = time.monotonic() + 60
        while len(list(marks.iterdir())) < processes:
            assert program.poll() is None
            assert time.monotonic() < deadline, "it never stalled"
            time.sleep(0.05)
        yield program
    finally:
        program.kill()
        program.wait()


@pytest.fixture(scope="module")
def uninterrupted(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset of five episodes of 20 frames, the fourth unreadable, and the results of a run of the command line."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    dataset = write_dataset(folder / "cell", episodes=[20] * 5, files="one_per_episode")
    sorted((dataset / "videos").rglob("*.mp4"))[3].write_bytes(b"not a video")
    done = run_evaluate(checkpoint, dataset, folder / "results", "--workers", 1, "--perturb", "jpeg:50")
    assert done.returncode == 4, done.stderr
    return dataset, folder / "results"


@pytest.mark.parametrize("workers", [1, 2])
def test_what_kill_9_interrupted_is_resumed_and_ends_like_an_uninterrupted_run(
    checkpoint: Path, uninterrupted: tuple[Path, Path], tmp_path: Path, workers: int
) -> None:
    """An episode takes 6 predictions: each process is killed in its second episode."""
    dataset, whole = uninterrupted
    output, marks = tmp_path / "results", tmp_path / "marks"
    with stalled(checkpoint, dataset, output, marks, 9, workers, "jpeg:50", marks=marks, processes=workers) as program:
        program.send_signal(signal.SIGKILL)
        program.wait()
    kept = scores(output)
    assert len(kept) == workers
    assert not (output / "eval_results.json").exists()
    finished = {name: data for name, data in contents(output).items() if name in kept}

    resumed = run_evaluate(checkpoint, dataset, output, "--workers", workers, "--perturb", "jpeg:50", "--resume")
    assert resumed.returncode == 4, resumed.stderr
    assert f"evaluate: {workers}/5" in resumed.stderr
    require_equal(output, whole)
    assert load_results(output).failed_episodes == [3]
    assert finished.items() <= contents(output).items(), "what was finished was not done again"


@pytest.mark.parametrize(
    ("interrupt_at", "kept", "left_to_ask"),
    [
        (("evaluate", 0), 0, 2 * 12 + 2 * 12),
        (("evaluate", 1), 1, 2 * 7 + 2 * 12),
        (("evaluate", 3), 3, 2 * 12),
        (("jpeg:50", 2), 5, 3 + 12),
        (("delay:2", 3), 9, 0),
    ],
    ids=str,
)
def test_finished_episodes_are_not_done_again_wherever_it_was_interrupted(
    run: Run, tmp_path: Path, interrupt_at: tuple[str, int], kept: int, left_to_ask: int
) -> None:
    """39, 29 and 19 steps are 5, 4 and 3 chunks as deployed, and 5, 4 and 3 batches of 8."""
    run.interrupted(tmp_path / "results", interrupt_at)
    assert len([name for name in scores(tmp_path / "results") if name.endswith(".npz")]) == kept
    _, asked = run(tmp_path / "results", resume=True)
    _, asked_in_one_go = run(tmp_path / "whole")
    assert asked_in_one_go == 2 * 12 + 2 * 12
    assert asked == left_to_ask
    require_equal(tmp_path / "results", tmp_path / "whole")


def test_an_evaluation_can_be_interrupted_more_than_once(run: Run, tmp_path: Path) -> None:
    run.interrupted(tmp_path / "results", ("evaluate", 1))
    with pytest.raises(Interrupted):
        run(tmp_path / "results", resume=True, interrupt_at=("delay:2", 1))
    run(tmp_path / "results", resume=True)
    run(tmp_path / "whole")
    require_equal(tmp_path / "results", tmp_path / "whole")


def test_resuming_a_complete_folder_computes_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    results, _ = run(tmp_path)
    before = contents(tmp_path)
    assert run(tmp_path, resume=True) == (results, 0)
    assert contents(tmp_path) == before


def test_figures_that_are_missing_or_damaged_are_summed_up_again_from_the_scores(run: Run, tmp_path: Path) -> None:
    results, _ = run(tmp_path)
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("{")):
        damage(tmp_path / "eval_results.json")
        again, asked = run(tmp_path, resume=True)
        assert asked == 0
        assert figures(again) == figures(results)
        assert load_results(tmp_path) == again


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_another_process_evaluates_into_is_left_alone(run: Run, tmp_path: Path, resume: bool) -> None:
    """Two at once would clear each other's scores, and leave the figures of one beside the predictions of the other."""
    run(tmp_path / "results")
    before = contents(tmp_path / "results")
    with claimed(tmp_path / "results"), pytest.raises(StorageError, match="another process writes into it"):
        run(tmp_path / "results", resume=resume)
    assert contents(tmp_path / "results") == before
    run(tmp_path / "results", resume=resume)


def test_resuming_where_nothing_is_begins(run: Run, tmp_path: Path) -> None:
    results, _ = run(tmp_path / "new", resume=True)
    assert figures(results) == figures(run(tmp_path / "other")[0])
    assert scores(tmp_path / "new") == sorted([*SCORES, *PERTURBED_SCORES, "scores/delay_2", "scores/jpeg_50"])


def test_an_episode_that_failed_is_tried_again(run: Run, tmp_path: Path) -> None:
    second = Dataset.open(run.dataset).episode(1).states

    def fail_in_the_second(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
        return np.full(6, np.nan) if (second == state).all(axis=1).any() else follow(images, state)

    failed, _ = run(tmp_path / "results", answer=fail_in_the_second)
    assert failed.failed_episodes == [1]
    again, asked = run(tmp_path / "results", resume=True)
    assert asked == 4 + 4 + 2 * 4
    assert again.status == "completed"
    run(tmp_path / "whole")
    require_equal(tmp_path / "results", tmp_path / "whole")


def test_a_run_that_scored_nothing_can_be_resumed(run: Run, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError):
        run(tmp_path, answer=lambda *_: np.zeros(6))
    assert run(tmp_path, resume=True)[0].status == "completed"


@pytest.mark.parametrize("name", ["scores/ep001.npz", "scores/jpeg_50/ep001.npz", "predictions/ep001_predictions.npz"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_bytes(b"not a score"),
        lambda path: path.write_bytes(path.read_bytes()[:400] + b"\0" * 50 + path.read_bytes()[450:]),
        lambda path: np.savez(path, something=np.zeros(3)),
    ],
    ids=["empty", "cut short", "another file", "zeros in the middle", "another array"],
)
def test_an_episode_whose_file_is_damaged_is_done_again_and_that_is_said(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: Callable[[Path], None]
) -> None:
    results, _ = run(tmp_path)
    damage(tmp_path / name)
    again, asked = run(tmp_path, resume=True)
    assert asked == (4 if "jpeg" in name else 8)
    assert figures(again) == figures(results)
    (message,) = caplog.messages
    assert message.startswith("episode 1 is done again: ")
    assert name in message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"episodes": "2"}, r"episodes is \[0, 1, 2\] there, expected \[0, 1\]"),
        ({"action_mode": "absolute"}, "action_mode is delta there, expected absolute"),
        ({"every_frame": False}, "every_frame is True there, expected False"),
        ({"stride": 2}, "stride is 1 there, expected 2"),
        ({"batch_size": 4}, "batch_size is 8 there, expected 4"),
        ({"perturb": "jpeg:50"}, r"perturbations is \['jpeg:50', 'delay:2'\] there, expected \['jpeg:50'\]"),
        ({"engine": {"name": "other"}}, "engine is scripted there, expected other"),
        ({"engine": {"device": "cuda"}}, "device is cpu there, expected cuda"),
        ({"engine": {"precision": "bf16"}}, "precision is f32 there, expected bf16"),
        ({"engine": {"threads": 2}}, "threads is 1 there, expected 2"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_folder_of_another_evaluation_is_refused_and_left_alone(
    run: Run, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    run.interrupted(tmp_path, ("evaluate", 2))
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=f"plan.json is of another evaluation: {message}") as caught:
        run(tmp_path, resume=True, **changed)
    assert caught.value.exit_code == 3
    assert caught.value.hint is not None
    assert "leave --resume out" in caught.value.hint
    assert contents(tmp_path) == before


def test_another_policy_and_other_dataset_content_are_refused_by_file(
    run: Run, checkpoint_factory: Callable[..., Path], tmp_path: Path
) -> None:
    output = tmp_path / "results"
    run.interrupted(output, ("evaluate", 2))
    with pytest.raises(ConfigError, match=r"policy_files\.model\.safetensors is [0-9a-f]{64} there, expected [0-9a-f]"):
        Run(checkpoint_factory(seed=1), run.dataset)(output, resume=True)
    changed = shutil.copytree(run.dataset, tmp_path / "changed")
    video = next((changed / "videos").rglob("*.mp4"))
    video.write_bytes(video.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match=r"dataset_files\.videos/.*mp4 is [0-9a-f]{64} there, expected [0-9a-f]{64}"):
        Run(run.checkpoint, changed)(output, resume=True)
    (changed / "data" / "more.parquet").write_bytes(b"")
    shutil.copy(next((run.dataset / "videos").rglob("*.mp4")), video)
    with pytest.raises(ConfigError, match=r"dataset_files\.data/more.parquet is absent there, expected [0-9a-f]{64}"):
        Run(run.checkpoint, changed)(output, resume=True)


def test_the_same_policy_and_dataset_may_lie_elsewhere(run: Run, tmp_path: Path) -> None:
    run.interrupted(tmp_path / "results", ("evaluate", 2))
    moved = Run(
        shutil.copytree(run.checkpoint, tmp_path / "policy"), shutil.copytree(run.dataset, tmp_path / "dataset")
    )
    _, asked = moved(tmp_path / "results", resume=True)
    assert asked == 3 + 3 + 2 * 12


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (None, "plan.json: No such file or directory; of which evaluation it is, is not known"),
        ("", "plan.json: Invalid JSON"),
        ("{}", "plan.json: episodes: Field required"),
    ],
)
def test_results_that_do_not_say_of_which_evaluation_they_are_are_refused(
    run: Run, tmp_path: Path, plan: str | None, message: str
) -> None:
    run(tmp_path)
    (tmp_path / "plan.json").unlink()
    if plan is not None:
        (tmp_path / "plan.json").write_text(plan)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=message) as caught:
        run(tmp_path, resume=True)
    assert "leave --resume out" in (caught.value.hint or "")
    assert contents(tmp_path) == before


def test_without_resume_an_evaluation_begins_anew_and_leaves_nothing_of_the_one_before(
    run: Run, tmp_path: Path
) -> None:
    run.interrupted(tmp_path, ("delay:2", 2))
    (tmp_path / "notes.txt").write_text("mine")
    _, asked = run(tmp_path, episodes="1-1", perturb="swap_rb")
    assert asked == 4 + 4 + 4
    assert scores(tmp_path) == ["scores/ep001.npz", "scores/swap_rb", "scores/swap_rb/ep001.npz"]
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["ep001_predictions.npz"]
    assert json.loads((tmp_path / "plan.json").read_text())["perturbations"] == ["swap_rb"]
    assert (tmp_path / "notes.txt").exists()


def test_the_figures_of_an_interrupted_resumption_are_not_those_of_before(run: Run, tmp_path: Path) -> None:
    """A partial evaluation, resumed and interrupted: nothing may look complete."""
    run(tmp_path)
    (tmp_path / "scores" / "ep002.npz").unlink()
    with pytest.raises(Interrupted):
        run(tmp_path, resume=True, interrupt_at=("evaluate", 2))
    assert not (tmp_path / "eval_results.json").exists()
    assert run(tmp_path, resume=True)[1] == 6
