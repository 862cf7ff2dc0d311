"""Results folders like those of a real evaluation, for any number of joints, through the functions that score one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Literal

import numpy as np

from lerobot_inference.control import ControlSettings, Severity
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.baselines import BaselineInput
from lerobot_inference.evaluation.demonstrations import Demonstrations
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import ProtocolScore
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.replay import AsDeployed, Stopwatch, score_chunks
from lerobot_inference.evaluation.results import EvalResults, Failure, PerturbedResult, Provenance
from lerobot_inference.evaluation.results_folder import save_failures, save_results
from lerobot_inference.evaluation.safety_replay import GuardedArm, GuardScore, SafetyRun, SafetyScore
from lerobot_inference.evaluation.safety_summary import pool_safety
from lerobot_inference.evaluation.score import score_deployed
from lerobot_inference.evaluation.summary import summarise, worst_cases
from lerobot_inference.types import ACTION, STATE, ActionMode, PolicySpec

FPS = 30.0
UR10E = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
BATCH_SIZE = 8


@dataclass(frozen=True)
class MadeUp:
    """A scored evaluation of smooth made-up motions, not yet pooled."""

    episodes: list[EpisodePredictions]
    scores: list[EpisodeScore]
    dataset: Dataset
    mode: ActionMode
    n_action_steps: int

    def pooled(
        self,
        scores: Sequence[EpisodeScore] | None = None,
        *,
        failed: Sequence[Failure] = (),
        robustness: Mapping[str, PerturbedResult] = {},
        policy: str = "demo/act-ur10e-cell",
        policy_files: dict[str, str] | None = None,
    ) -> EvalResults:
        """The results of `scores`; None: of all."""
        joints = self.dataset.action_dim
        return summarise(
            self.scores if scores is None else scores,
            failed,
            cold_forward_s=0.18,
            spec=PolicySpec(joints, joints, {}, 2 * self.n_action_steps, self.n_action_steps),
            dataset=self.dataset,
            action_mode=self.mode,
            provenance=_provenance(policy, policy_files or {"model.safetensors": "0" * 64}, len(self.episodes)),
            robustness=robustness,
            safety_replay=pool_safety(self.scores if scores is None else scores, self.arm)[0],
        )

    @property
    def arm(self) -> GuardedArm:
        """What the safety replay is said to have been made with."""
        settings = ControlSettings(tuple(self.dataset.joint_names), self.mode, FPS)
        return GuardedArm(settings, {"joint_velocity": {}, "workspace": {}}, {})


def make_up(
    *,
    joints: int = 6,
    joint_names: list[str] | None = None,
    lengths: tuple[int, ...] = (120, 90, 150),
    mode: Literal["delta", "absolute"] = "delta",
    n_action_steps: int = 30,
    error: float = 0.0015,
    every_frame: bool = True,
    seed: int = 0,
) -> MadeUp:
    """Score made-up predictions of made-up motions. error: radians, scale of the misprediction."""
    random = np.random.default_rng(seed)
    names = joint_names or [UR10E[j] if joints == 6 else f"joint_{j + 1}" for j in range(joints)]
    episodes = [_motion(random, length, len(names), mode, n_action_steps, error) for length in lengths]
    dataset = made_up_dataset(episodes, names)
    recordings = [_Recording(number, data.states, data.ground_truth) for number, data in enumerate(episodes)]
    demonstrations = Demonstrations.join(recordings, dataset.statistic(STATE, "std"))
    assert demonstrations is not None
    made_up = MadeUp([], [], dataset, ActionMode(mode), n_action_steps)
    for number, data in enumerate(episodes):
        recorded = BaselineInput(
            states=data.states,
            actions=data.ground_truth,
            mean_action=dataset.statistic(ACTION, "mean").astype(np.float32),
            action_mode=made_up.mode,
            fps=FPS,
            others=demonstrations.without(number),
        )
        deployed = score_deployed(recorded, AsDeployed(data.predicted, data.inference_times, data.chunk_starts))
        every = _every_frame(random, recorded, 2 * n_action_steps, error) if every_frame else None
        horizon = every.means["horizon_error"].reached if every else np.zeros(0)
        safety = _safety(len(data.predicted))
        made_up.scores.append(EpisodeScore(number, deployed, every, _times(data), safety.score))
        made_up.episodes.append(replace(data, horizon_mae=horizon, safety=safety.answers))
    return made_up


def write_results(
    folder: Path,
    *,
    joints: int = 6,
    joint_names: list[str] | None = None,
    lengths: tuple[int, ...] = (120, 90, 150),
    mode: Literal["delta", "absolute"] = "delta",
    n_action_steps: int = 30,
    error: float = 0.0015,
    every_frame: bool = True,
    policy: str = "demo/act-ur10e-cell",
    policy_files: dict[str, str] | None = None,
    seed: int = 0,
    failed: Sequence[Failure] = (),
    robustness: Mapping[str, PerturbedResult] = {},
) -> EvalResults:
    """Write eval_results.json, predictions and failures of what `make_up` makes up."""
    made_up = make_up(
        joints=joints,
        joint_names=joint_names,
        lengths=lengths,
        mode=mode,
        n_action_steps=n_action_steps,
        error=error,
        every_frame=every_frame,
        seed=seed,
    )
    results = made_up.pooled(failed=failed, robustness=robustness, policy=policy, policy_files=policy_files)
    for number, data in enumerate(made_up.episodes):
        data.save(predictions_path(folder, number))
    save_failures([*failed, *worst_cases(results)], folder)
    save_results(results, folder)
    return results


def made_up_dataset(episodes: Sequence[EpisodePredictions], joint_names: Sequence[str]) -> Dataset:
    """A dataset with the statistics of `episodes` and no files."""
    recorded = {
        STATE: np.concatenate([data.states for data in episodes]).astype(np.float64),
        ACTION: np.concatenate([data.ground_truth for data in episodes]).astype(np.float64),
    }
    return Dataset(
        root=Path("made-up"),
        fps=FPS,
        cameras={},
        joint_names=tuple(joint_names),
        state_dim=recorded[STATE].shape[1],
        action_dim=recorded[ACTION].shape[1],
        statistics={
            feature: {name: getattr(values, name)(axis=0) for name in ("mean", "std", "min", "max")}
            for feature, values in recorded.items()
        },
        _entries={},
    )


@dataclass(frozen=True)
class _Recording:
    index: int
    states: np.ndarray
    actions: np.ndarray

    @property
    def scored_length(self) -> int:
        return len(self.actions)


def _motion(
    random: np.random.Generator, length: int, joints: int, mode: str, n_action_steps: int, error: float
) -> EpisodePredictions:
    time = np.arange(length + 1) / FPS
    phase, speed = random.uniform(0, 6, joints), random.uniform(0.4, 1.3, joints)
    reach = random.uniform(0.1, 0.6, joints)
    poses = random.uniform(-1.5, 1.5, joints) + reach * np.sin(time[:, None] * speed + phase) * np.tanh(time[:, None])
    states, actions = poses[:-1], np.diff(poses, axis=0) if mode == "delta" else poses[1:]
    starts = np.arange(0, length, n_action_steps)
    within = np.arange(length) - starts[np.searchsorted(starts, np.arange(length), side="right") - 1]
    wander = np.cumsum(random.normal(0, error / 5, (length, joints)), axis=0) / (1 + 0.05 * np.arange(length)[:, None])
    bias = random.normal(0, error, (len(starts), joints))[np.searchsorted(starts, np.arange(length), side="right") - 1]
    predicted = actions + wander + bias * (within[:, None] / n_action_steps) ** 0.7
    times = random.lognormal(np.log(25e-6), 0.25, length)
    times[starts] = random.lognormal(np.log(0.021), 0.12, len(starts))
    times[0] = 0.045
    return EpisodePredictions(
        predicted=predicted.astype(np.float32),
        ground_truth=actions.astype(np.float32),
        inference_times=times,
        states=states.astype(np.float32),
        timestamps=time[:-1],
        frames=np.arange(length),
        chunk_starts=starts,
        horizon_mae=np.zeros(0),
        safety=np.zeros(0, np.int64),
    )


def _safety(steps: int) -> SafetyRun:
    """The arm is slowed down at every tenth step, and never stopped."""
    answers = np.where(np.arange(steps) % 10, Severity.ACCEPT, Severity.SCALE)
    scaled = int((answers == Severity.SCALE).sum())
    spoke = GuardScore(scaled, Severity.SCALE, 0, Severity.SCALE, "elbow: 1.20 times the speed allowed")
    return SafetyRun(SafetyScore(steps, scaled, 0, -1, "", {"joint_velocity": spoke}), answers)


def _every_frame(random: np.random.Generator, recorded: BaselineInput, chunk_size: int, error: float) -> ProtocolScore:
    """Chunks from each frame that are right at first and stray the farther they reach."""
    frames, ahead = np.arange(len(recorded.actions)), np.arange(chunk_size)
    bias = random.normal(0, error, (len(frames), 1, recorded.actions.shape[1]))
    future = recorded.actions[np.minimum(frames[:, None] + ahead, len(frames) - 1)]
    chunks = (future + bias * (0.4 + 0.6 * (ahead[:, None] / chunk_size) ** 0.6)).astype(np.float32)
    batches = [slice(first, first + BATCH_SIZE) for first in range(0, len(frames), BATCH_SIZE)]
    return reduce(add, score_chunks(((frames[batch], chunks[batch]) for batch in batches), recorded, stride=1))


def _times(data: EpisodePredictions) -> Stopwatch:
    calls = data.inference_times[data.chunk_starts]
    return Stopwatch(
        preprocess=(0.05 * calls).tolist(),
        forward=(0.9 * calls).tolist(),
        postprocess=(0.05 * calls).tolist(),
        queue_pop=np.minimum(data.inference_times, 30e-6).tolist(),
        decode=(0.2 * calls).tolist(),
        policy_step=data.inference_times.tolist(),
        total_s=1.2 * float(data.inference_times.sum()),
    )


def _provenance(policy: str, policy_files: dict[str, str], episodes: int) -> Provenance:
    return Provenance(
        created="2026-01-01T00:00:00+00:00",
        command=["lerobot-inference", "evaluate"],
        policy_source=policy,
        policy_revision="a" * 40,
        policy_files=policy_files,
        dataset_source="demo/ur10e-cell",
        dataset_revision=None,
        dataset_files={"meta/info.json": "1" * 64},
        episodes=list(range(episodes)),
        engine="lerobot",
        device="cpu",
        versions={"python": "3.12"},
        machine="Linux x86_64",
    )
