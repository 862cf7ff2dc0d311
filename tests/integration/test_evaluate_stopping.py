"""When an evaluation ends without a result, or with less than all: exit codes, what is kept, and what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from evaluation_kit import Answer, Scripted, run_evaluate
from lerobot_writer import write_dataset

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import EngineError, EvaluationError
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_results


def score(checkpoint: Path, dataset: Path, output: Path, answer: Answer, **options: Any) -> EvalResults:
    policy, data = Checkpoint.open(checkpoint), Dataset.open(dataset)
    plan = EvaluationPlan.make(policy, data, **options)
    return evaluate(policy, data, Scripted(policy.spec, answer), output, plan)


def failures(output: Path) -> list[dict[str, Any]]:
    """Those of failure_cases.jsonl in which something went wrong."""
    lines = map(json.loads, (output / "failure_cases.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] not in ("worst_episode", "stopped")]


def in_episode(dataset: Path, number: int, there: Answer) -> Answer:
    """Answer `there` in one episode; the state elsewhere."""
    states = Dataset.open(dataset).episode(number).states
    return lambda images, state: there(images, state) if (states == state).all(axis=1).any() else state


def never(*_: object) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full(6, np.nan, np.float32)


def always(*_: object) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full(6, 0.25, np.float32)


def test_one_unreadable_video_of_ten_costs_one_episode_and_says_so(checkpoint: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "cell", episodes=[12] * 10, files="one_per_episode")
    video = sorted((folder / "videos").rglob("*.mp4"))[6]
    video.write_bytes(video.read_bytes()[:300])
    output = tmp_path / "results"
    done = run_evaluate(checkpoint, folder, output)
    assert done.returncode == 4
    assert "warning: episodes [6] failed; see failure_cases.jsonl" in done.stderr
    results = load_results(output)
    assert (results.status, results.failed_episodes, results.episodes_evaluated) == ("partial", [6], 9)
    assert len(list((output / "predictions").iterdir())) == len(list((output / "scores").iterdir())) == 9
    (failure,) = failures(output)
    assert (failure["episode"], failure["kind"]) == (6, "DatasetError")
    assert video.name in failure["message"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [(never, "the policy gave a NaN or an infinity"), (always, "the policy has collapsed")],
    ids=["NaN", "constant"],
)
def test_what_the_policy_does_in_one_episode_costs_that_one(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, answer: Answer, message: str
) -> None:
    results = score(checkpoint, dataset_folder, tmp_path, in_episode(dataset_folder, 1, answer))
    assert (results.status, results.failed_episodes, results.episodes_evaluated) == ("partial", [1], 2)
    (failure,) = failures(tmp_path)
    assert (failure["episode"], failure["kind"]) == (1, "EngineError")
    assert message in failure["message"]
    assert not list(tmp_path.rglob("ep001*"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (never, "the policy gave a NaN or an infinity"),
        (always, "the policy has collapsed: its output is the same at every step"),
    ],
    ids=["NaN", "constant"],
)
def test_what_the_policy_does_in_every_episode_is_an_error_that_is_said_once(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, answer: Answer, message: str
) -> None:
    with pytest.raises(EvaluationError) as caught:
        score(checkpoint, dataset_folder, tmp_path, answer)
    assert caught.value.exit_code == 4
    assert caught.value.message == f"none of the 3 episodes could be scored, all for the same reason: {message}"
    assert [failure["episode"] for failure in failures(tmp_path)] == [0, 1, 2]
    assert {failure["message"] for failure in failures(tmp_path)} == {message}
    assert not (tmp_path / "eval_results.json").exists()
    assert not list(tmp_path.rglob("*.npz"))


def test_episodes_that_fail_for_reasons_of_their_own_are_all_listed(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    first = Dataset.open(dataset_folder).episode(0).states
    with pytest.raises(EvaluationError, match="none of the 3 episodes could be scored, the first: .* a NaN") as caught:
        score(checkpoint, dataset_folder, tmp_path, lambda _, s: (never if (first == s).all(1).any() else always)())
    assert caught.value.hint is not None
    assert str(tmp_path / "failure_cases.jsonl") in caught.value.hint
    assert len({failure["message"] for failure in failures(tmp_path)}) == 2


@pytest.mark.parametrize(
    ("bias", "said"),
    [(3.4e38, "the policy gave a NaN or an infinity"), (0.5, "the policy has collapsed")],
    ids=["infinity", "constant"],
)
def test_the_command_line_ends_with_4_for_weights_that_say_nothing(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, bias: float, said: str
) -> None:
    """Real weights: those of the last layer are zeros, and its bias is all that is left to say."""
    from safetensors.numpy import load_file, save_file

    broken = shutil.copytree(checkpoint, tmp_path / "policy")
    weights = load_file(broken / "model.safetensors")
    weights["model.action_head.weight"][:] = 0
    weights["model.action_head.bias"][:] = bias
    save_file(weights, broken / "model.safetensors")
    done = run_evaluate(broken, dataset_folder, tmp_path / "results")
    assert done.returncode == 4
    assert done.stderr.count(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results" / "eval_results.json").exists()


def test_a_policy_that_says_nan_at_once_leaves_the_results_of_before(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    class SaysNaN(Scripted):
        def warm_up(self) -> float:
            raise EngineError("the policy gave a NaN or an infinity")

    policy, data = Checkpoint.open(checkpoint), Dataset.open(dataset_folder)
    score(checkpoint, dataset_folder, tmp_path, lambda _, state: state)
    with pytest.raises(EngineError):
        evaluate(policy, data, SaysNaN(policy.spec, never), tmp_path, EvaluationPlan.make(policy, data))
    assert (tmp_path / "eval_results.json").exists()


@pytest.mark.parametrize("episodes", ["0", "", "none"])
def test_no_episodes_asked_for_is_a_usage_error(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, episodes: str
) -> None:
    done = run_evaluate(checkpoint, dataset_folder, tmp_path / "results", "--episodes", episodes)
    assert done.returncode == 2
    assert f"episodes {episodes!r} is not understood" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_dataset_without_episodes_is_bad_input(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    empty = shutil.copytree(dataset_folder, tmp_path / "cell")
    (table,) = (empty / "meta" / "episodes").rglob("*.parquet")
    pq.write_table(pq.read_table(table).slice(0, 0), table)
    done = run_evaluate(checkpoint, empty, tmp_path / "results")
    assert done.returncode == 3
    assert "episodes" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_an_episode_with_nothing_to_compare_with_is_a_failure_of_that_episode(checkpoint: Path, tmp_path: Path) -> None:
    """One frame, whose action is padding."""
    folder = write_dataset(tmp_path / "cell", episodes=[12, 1, 12], vcodec=None)
    results = score(checkpoint, folder, tmp_path / "results", lambda _, state: state, perturb="delay:1")
    assert results.failed_episodes == [1]
    (failure,) = failures(tmp_path / "results")
    assert failure["message"] == "episode 1 has no recorded action to compare with"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cameras": {"observation.images.wrist": (64, 96)}}, 'no feature "observation.images.wrist"'),
        ({"cameras": {"observation.images.color": (32, 48)}}, "64x96, the policy was trained on 32x48"),
        ({"state_dim": 7}, "the policy was trained on 7"),
    ],
    ids=["camera", "image size", "joints"],
)
def test_a_feature_that_does_not_fit_is_bad_input_and_leaves_the_results_of_before(
    checkpoint_factory: Callable[..., Path],
    dataset_folder: Path,
    tmp_path: Path,
    options: dict[str, object],
    message: str,
) -> None:
    (tmp_path / "eval_results.json").write_text("{}")
    done = run_evaluate(checkpoint_factory(**options), dataset_folder, tmp_path)
    assert done.returncode == 3
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["eval_results.json"]


def test_resuming_another_evaluation_is_bad_input_on_the_command_line(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    score(checkpoint, dataset_folder, tmp_path, lambda _, state: state)
    done = run_evaluate(checkpoint, dataset_folder, tmp_path, "--resume")
    assert done.returncode == 3
    assert "engine is scripted there, expected openvino" in done.stderr
    assert "leave --resume out" in done.stderr


def test_an_unknown_condition_is_a_usage_error_with_an_example_of_each(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    done = run_evaluate(checkpoint, dataset_folder, tmp_path / "results", "--perturb", "fog:1")
    assert done.returncode == 2
    assert "'fog:1' is unknown" in done.stderr
    assert "jpeg:50,exposure:0.7,swap_rb,delay:3,drop:0.1" in done.stderr
    assert not (tmp_path / "results").exists()
