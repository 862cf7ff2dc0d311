"""What an evaluation says of policies whose worth is known, and what it does when something breaks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot_writer import write_dataset
from scipy.spatial import cKDTree

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import DatasetError, EvaluationError
from lerobot_inference.evaluation.baselines import BASELINES
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.report import render_plots
from lerobot_inference.types import ActionChunk, ActionMode, FloatArray, PolicySpec, Precision, UInt8Array

type Answer = Callable[[FloatArray], FloatArray]


@dataclass
class KnownPolicy:
    """An engine whose chunks are a function of the joint state alone: (S,) -> (chunk, A)."""

    spec: PolicySpec
    answer: Answer
    name: str = "known"
    device: str = "cpu"
    precision: Precision = Precision.F32
    threads: int = 1

    def warm_up(self) -> float:
        return 0.001

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> ActionChunk:
        assert all(len(image) == len(states) for image in images.values())
        return ActionChunk(np.stack([self.answer(state) for state in states]).astype(np.float32))


def recorded_future(dataset: Dataset, chunk_size: int) -> Answer:
    """Look the state up in the recordings and answer the actions that followed it."""
    episodes = [dataset.episode(index) for index in dataset.episode_indices]

    def answer(state: FloatArray) -> FloatArray:
        for episode in episodes:
            for frame in np.flatnonzero((episode.states == state).all(axis=1)):
                future = episode.actions[frame : frame + chunk_size]
                return np.concatenate([future, np.full((chunk_size - len(future), future.shape[1]), 7)])
        raise AssertionError("a state that was never recorded")

    return answer


def score(checkpoint: Path, dataset: Path, output: Path, answer: Answer | None = None, **options: Any) -> EvalResults:
    policy, data = Checkpoint.open(checkpoint), Dataset.open(dataset)
    plan = EvaluationPlan.make(policy, data, **options)
    engine = KnownPolicy(policy.spec, answer) if answer else EngineChoice("lerobot", "cpu").load(policy)
    return evaluate(policy, data, engine, output, plan)


def test_a_perfect_policy_has_no_error_and_full_skill_at_every_horizon(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    perfect = recorded_future(Dataset.open(dataset_folder), 8)
    results = score(checkpoint, dataset_folder, tmp_path, perfect)
    for protocol in results.protocols.values():
        assert protocol.error.mse == protocol.error.p95 == protocol.error.max == 0
        assert protocol.skill == 1
        assert protocol.per_joint_skill == [1] * 6
        assert protocol.direction_cosine == pytest.approx(1)
        assert protocol.drift is not None
        assert protocol.drift.chunk_end == 0
        assert protocol.smoothness.predicted == protocol.smoothness.recorded
        assert protocol.intervals is not None
        assert protocol.intervals.mae == (0, 0)
        assert protocol.intervals.skill == (1, 1)
    assert results.protocols["every_frame"].smoothness.overlap_disagreement == 0
    assert results.protocols["every_frame"].horizon_mae == [0] * 8


def test_nothing_past_an_episodes_end_is_scored(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    """40, 30 and 20 frames whose last action is padding: 39 + 29 + 19 steps, and triangles of the last chunks."""
    results = score(checkpoint, dataset_folder, tmp_path, recorded_future(Dataset.open(dataset_folder), 8))
    assert [episode.steps for episode in results.per_episode] == [39, 29, 19]
    assert results.as_deployed.steps == 87
    assert results.protocols["every_frame"].steps == sum(steps * 8 - 28 for steps in (39, 29, 19))


def test_holding_still_as_a_policy_has_no_skill(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    drift = np.linspace(0, 1e-9, 8)[:, None] * np.ones(6)
    results = score(checkpoint, dataset_folder, tmp_path, lambda _: drift)
    assert results.as_deployed.error.mse == pytest.approx(results.as_deployed.baselines["hold_still"].mse, rel=1e-5)
    assert results.as_deployed.skill is not None
    assert results.as_deployed.skill <= 1e-5


def test_a_constant_offset_in_one_joint_shows_up_there_and_only_there(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    perfect = recorded_future(Dataset.open(dataset_folder), 8)
    offset = np.array([0, 0, 0.01, 0, 0, 0])
    results = score(checkpoint, dataset_folder, tmp_path, lambda state: perfect(state) + offset)
    for protocol in results.protocols.values():
        assert protocol.error.per_joint_mae == pytest.approx(offset, abs=1e-7)
        assert protocol.error.per_joint_max == pytest.approx(offset, abs=1e-7)
        moves = protocol.smoothness
        assert moves.predicted.jerk_rms == pytest.approx(moves.recorded.jerk_rms, rel=1e-3)
        assert moves.predicted.per_joint_border_jump == pytest.approx(moves.recorded.per_joint_border_jump, abs=1e-7)
    drift = results.as_deployed.drift
    assert drift is not None
    ends = [8] * 4 + [7] + [8] * 3 + [5] + [8] * 2 + [3]  # the executed chunks of 39, 29 and 19 steps
    assert drift.per_joint_chunk_end == pytest.approx(offset * np.mean(ends), abs=1e-6)
    assert drift.per_joint_episode_end == pytest.approx(offset * np.mean([39, 29, 19]), abs=1e-5)


def test_the_results_folder_holds_what_the_contract_says(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    results = score(checkpoint, dataset_folder, tmp_path)
    assert load_results(tmp_path) == results
    cases = [json.loads(line) for line in (tmp_path / "failure_cases.jsonl").read_text().splitlines()]
    stopped, worst = (
        [case["episode"] for case in cases if case["kind"] == kind] for kind in ("stopped", "worst_episode")
    )
    assert worst == results.worst_episodes
    assert results.safety_replay is not None
    assert len(stopped) == results.safety_replay.stopped_episodes == 3, "an untrained policy"
    assert len(cases) == len(stopped) + len(worst)
    assert results.failed_episodes == []
    content = json.loads((tmp_path / "eval_results.json").read_text())
    assert content["status"] == "completed"
    assert content["provenance"]["policy_files"]["model.safetensors"]
    assert content["provenance"]["dataset_files"]["meta/info.json"]
    assert json.loads((tmp_path / "provenance.json").read_text()) == content["provenance"]
    ran = {key: content["provenance"][key] for key in ("engine", "device", "precision", "workers")}
    assert ran == {"engine": "lerobot", "device": "cpu", "precision": "f32", "workers": 1}
    assert content["provenance"]["threads"] >= 1
    assert {"torch", "onnx", "onnxruntime", "openvino"} <= content["provenance"]["versions"].keys()
    with np.load(tmp_path / "predictions" / "ep001_predictions.npz", allow_pickle=False) as arrays:
        assert arrays["predicted"].shape == arrays["ground_truth"].shape == (29, 6)
        assert arrays["inference_times"].shape == (29,)
        assert arrays["chunk_starts"].tolist() == [0, 8, 16, 24]


def test_the_figures_follow_from_the_predictions_on_disk(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    results = score(checkpoint, dataset_folder, tmp_path)
    stored = [EpisodePredictions.load(predictions_path(tmp_path, index)) for index in range(3)]
    error = np.concatenate([(p.predicted - p.ground_truth).astype(np.float64) for p in stored])
    assert results.aggregate_mse == pytest.approx(np.mean(error**2))
    assert results.aggregate_mae == pytest.approx(np.mean(np.abs(error)))
    seconds = np.concatenate([p.inference_times for p in stored])
    assert results.aggregate_throughput_hz == pytest.approx(len(seconds) / seconds.sum())


def test_each_episode_carries_the_baselines_that_the_aggregate_pools(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    results = score(checkpoint, dataset_folder, tmp_path, every_frame=False)
    for name, pooled in results.as_deployed.baselines.items():
        by_step = sum(episode.baselines[name].mse * episode.steps for episode in results.per_episode)
        assert by_step / results.as_deployed.steps == pytest.approx(pooled.mse)


def test_both_protocols_agree_where_they_ask_the_same_question(
    checkpoint_factory: Callable[..., Path], dataset_folder: Path, tmp_path: Path
) -> None:
    """With one action executed per chunk, as-deployed is every-frame's first horizon step."""
    results = score(checkpoint_factory(n_action_steps=1), dataset_folder, tmp_path)
    horizon = results.protocols["every_frame"].horizon_mae
    assert horizon is not None
    assert results.aggregate_mae == pytest.approx(horizon[0], rel=1e-5)


def test_with_temporal_ensembling_every_step_is_a_border_between_chunks(
    checkpoint_factory: Callable[..., Path], dataset_folder: Path, tmp_path: Path
) -> None:
    policy = checkpoint_factory(n_action_steps=1, temporal_ensemble_coeff=0.01)
    results = score(policy, dataset_folder, tmp_path, every_frame=False)
    moves = results.as_deployed.smoothness.predicted
    stored = [EpisodePredictions.load(predictions_path(tmp_path, index)).predicted for index in range(3)]
    jumps = np.concatenate([np.abs(np.diff(predicted.astype(np.float64), axis=0)) for predicted in stored])
    assert moves.per_joint_border_jump == pytest.approx(jumps.mean(axis=0))
    assert moves.interior_jump is None
    reason = results.reasons["protocols.as_deployed.smoothness.predicted.interior_jump"]
    assert reason == "a new chunk begins at every step"


def test_stride_and_batch_size_change_the_work_and_not_the_answer(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    one = score(checkpoint, dataset_folder, tmp_path / "a", batch_size=1)
    many = score(checkpoint, dataset_folder, tmp_path / "b", batch_size=16)
    assert one.protocols["every_frame"].error.mse == pytest.approx(many.protocols["every_frame"].error.mse, rel=1e-5)
    every_third = score(checkpoint, dataset_folder, tmp_path / "c", stride=3)
    assert every_third.protocols["every_frame"].steps < many.protocols["every_frame"].steps / 2


def test_one_unreadable_video_does_not_lose_the_other_episodes(checkpoint: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "cell", episodes=[20, 20, 20], files="one_per_episode")
    videos = sorted((folder / "videos").rglob("*.mp4"))
    assert len(videos) == 3
    videos[1].write_bytes(b"not a video")
    results = score(checkpoint, folder, tmp_path / "results")
    assert results.status == "partial"
    assert results.failed_episodes == [1]
    assert [episode.episode for episode in results.per_episode] == [0, 2]
    failure, *worst = map(json.loads, (tmp_path / "results" / "failure_cases.jsonl").read_text().splitlines())
    assert {case["kind"] for case in worst} == {"stopped", "worst_episode"}
    assert results.as_deployed.baselines.keys() == BASELINES.keys()
    assert failure["episode"] == 1
    assert videos[1].name in failure["message"]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda _: np.zeros((8, 6)), "collapsed"),
        (lambda state: np.full((8, 6), state[0]) * [[1], *[[0]] * 7], None),
    ],
    ids=["constant output", "output that changes"],
)
def test_a_collapsed_policy_is_a_failure_and_not_a_number(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, answer: Answer, what: str | None
) -> None:
    if what is None:
        assert score(checkpoint, dataset_folder, tmp_path, answer).episodes_evaluated == 3
        return
    with pytest.raises(EvaluationError, match="none of the 3 episodes could be scored.*collapsed") as caught:
        score(checkpoint, dataset_folder, tmp_path, answer)
    assert caught.value.exit_code == 4
    assert len((tmp_path / "failure_cases.jsonl").read_text().splitlines()) == 3
    assert not (tmp_path / "eval_results.json").exists()


def test_a_failed_run_leaves_no_results_of_an_earlier_one(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    score(checkpoint, dataset_folder, tmp_path)
    with pytest.raises(EvaluationError):
        score(checkpoint, dataset_folder, tmp_path, lambda _: np.zeros((8, 6)))
    assert not (tmp_path / "eval_results.json").exists()
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cameras": {"observation.images.color": (32, 48)}}, '"observation.images.color" is 64x96, the policy was'),
        ({"cameras": {"observation.images.wrist": (64, 96)}}, 'no feature "observation.images.wrist"'),
        ({"state_dim": 7}, '"observation.state" has 6 values, the policy was trained on 7'),
        ({"action_dim": 7}, '"action" has 6 values, the policy was trained on 7'),
        ({"environment_dim": 3}, 'the policy needs "observation.environment_state" \\(3 values\\)'),
    ],
    ids=["image size", "camera", "state", "action", "environment state"],
)
def test_a_policy_that_does_not_fit_the_dataset_is_refused_before_any_work(
    checkpoint_factory: Callable[..., Path],
    dataset_folder: Path,
    tmp_path: Path,
    options: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        score(checkpoint_factory(**options), dataset_folder, tmp_path / "results")
    assert "info.json" in caught.value.message
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["min", "max", "std", "mean"])
@pytest.mark.parametrize("value", ["absent", None, float("nan")])
def test_a_dataset_without_the_statistics_that_figures_need_is_refused_before_any_work(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, name: str, value: str | float | None
) -> None:
    folder = shutil.copytree(dataset_folder, tmp_path / "cell")
    statistics = json.loads((folder / "meta" / "stats.json").read_text())
    if value == "absent":
        del statistics["action"][name]
    else:
        statistics["action"][name][1] = value
    (folder / "meta" / "stats.json").write_text(json.dumps(statistics))
    wrong = "is missing" if value == "absent" else r"is \[.*nan.*\], expected numbers"
    with pytest.raises(DatasetError, match=f"stats.json: action.{name} {wrong}"):
        score(checkpoint, folder, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_one_episode_alone_has_no_neighbour_and_no_interval_and_says_so(checkpoint: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "cell", episodes=[20])
    results = score(checkpoint, folder, tmp_path / "results", every_frame=False)
    assert results.as_deployed.baselines.keys() == BASELINES.keys() - {"nearest_neighbour"}
    assert results.as_deployed.intervals is None
    assert "protocols.as_deployed.baselines.nearest_neighbour" in results.reasons
    assert "protocols.as_deployed.intervals" in results.reasons


def test_the_nearest_neighbour_is_looked_up_in_the_recordings_of_all_other_episodes(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    """As deployed, asked every 8 steps; what followed there is compared with what followed here."""
    data = Dataset.open(dataset_folder)
    recorded = {n: (e.states[:-1], e.actions[:-1]) for n in data.episode_indices for e in [data.episode(n)]}
    std = data.statistics["observation.state"]["std"]
    squared = []
    for number, (states, actions) in recorded.items():
        rows = [(n, t) for n, (others, _) in recorded.items() if n != number for t in range(len(others))]
        tree = cKDTree([recorded[n][0][t] / std for n, t in rows])
        for start in range(0, len(actions), 8):
            n, t = rows[tree.query(states[start] / std)[1]]
            future = recorded[n][1][t:]
            for k in range(min(8, len(actions) - start)):
                squared.append((future[min(k, len(future) - 1)] - actions[start + k]).astype(np.float64) ** 2)
    results = score(checkpoint, dataset_folder, tmp_path, every_frame=False)
    assert results.as_deployed.baselines["nearest_neighbour"].mse == pytest.approx(np.mean(squared))


def test_a_dataset_with_more_cameras_than_the_policy_is_fine(checkpoint: Path, tmp_path: Path) -> None:
    cameras = {"observation.images.color": (64, 96), "observation.images.wrist": (32, 48)}
    folder = write_dataset(tmp_path / "cell", episodes=[12], cameras=cameras)
    assert score(checkpoint, folder, tmp_path / "results").episodes_evaluated == 1


def test_other_joint_counts_evaluate(checkpoint_factory: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "cell", episodes=[12], state_dim=14, action_dim=14)
    results = score(checkpoint_factory(state_dim=14, action_dim=14), folder, tmp_path / "results")
    assert len(results.as_deployed.error.per_joint_mae) == 14


@pytest.mark.parametrize("action_mode", list(ActionMode))
@pytest.mark.parametrize(("state_dim", "action_dim"), [(6, 7), (7, 6)])
def test_more_actions_than_joints_and_fewer_evaluate_and_plot(
    checkpoint_factory: Callable[..., Path],
    tmp_path: Path,
    state_dim: int,
    action_dim: int,
    action_mode: ActionMode,
) -> None:
    folder = write_dataset(tmp_path / "cell", episodes=[12], state_dim=state_dim, action_dim=action_dim)
    policy = checkpoint_factory(state_dim=state_dim, action_dim=action_dim)
    results = score(policy, folder, tmp_path / "results", action_mode=action_mode)
    assert len(results.as_deployed.baselines["hold_still"].per_joint_mae) == action_dim
    plots = render_plots(tmp_path / "results", tmp_path / "report")
    assert plots
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots)


def test_results_never_hold_half_a_prediction_file(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    score(checkpoint, dataset_folder, tmp_path)
    path = predictions_path(tmp_path, 0)
    shutil.copy(path, tmp_path / "whole.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(Exception, match="ep000_predictions.npz: not a predictions file"):
        EpisodePredictions.load(path)
