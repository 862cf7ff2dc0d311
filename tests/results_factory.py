"""Results folders like those of a real evaluation, for any number of joints, through the real schema."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from typing import Literal

import numpy as np

from lerobot_inference.evaluation.baselines import BASELINES, BaselineInput, skill
from lerobot_inference.evaluation.metrics import ErrorSum, latency
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results import EpisodeResult, EvalResults, ProtocolResult, Provenance, Timing
from lerobot_inference.evaluation.results_folder import save_failures, save_results
from lerobot_inference.types import ActionMode

FPS = 30.0
UR10E = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")


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
) -> EvalResults:
    """Write eval_results.json and predictions of smooth made-up motions. error: radians, scale of the misprediction."""
    random = np.random.default_rng(seed)
    names = joint_names or [UR10E[j] if joints == 6 else f"joint_{j + 1}" for j in range(joints)]
    episodes = [_motion(random, length, len(names), mode, n_action_steps, error) for length in lengths]
    errors, per_episode, baselines = [], [], []
    for index, data in enumerate(episodes):
        data.save(predictions_path(folder, index))
        errors.append(ErrorSum.of(data.predicted, data.ground_truth))
        baselines.append(_baselines(data, ActionMode(mode)))
        figures, total_s = errors[-1].figures(), float(data.inference_times.sum())
        per_episode.append(
            EpisodeResult(
                episode=index,
                steps=len(data.predicted),
                mse=figures.mse,
                mae=figures.mae,
                avg_inference_ms=1000 * total_s / len(data.predicted),
                throughput_hz=len(data.predicted) / total_s,
                per_joint_mae=figures.per_joint_mae,
                per_joint_mse=figures.per_joint_mse,
                forwards=len(data.chunk_starts),
                baselines={name: sums.figures() for name, sums in baselines[-1].items()},
            )
        )
    deployed = _protocol(reduce(add, errors), baselines, None)
    horizon = np.stack([data.horizon_mae for data in episodes]).mean(axis=0)
    protocols = {"as_deployed": deployed}
    if every_frame:
        protocols["every_frame"] = _protocol(reduce(add, errors), baselines, horizon.tolist())
    times = np.concatenate([data.inference_times for data in episodes])
    results = EvalResults(
        job_name="act-ur10e-cell-evaluation",
        policy_repo_id=policy,
        dataset_repo_id="demo/ur10e-cell",
        device="cpu",
        episodes_evaluated=len(episodes),
        aggregate_mse=deployed.error.mse,
        aggregate_mae=deployed.error.mae,
        aggregate_avg_inference_ms=float(1000 * times.mean()),
        aggregate_throughput_hz=float(1 / times.mean()),
        per_episode=per_episode,
        status="completed",
        engine="lerobot",
        fps=FPS,
        joint_names=names,
        action_mode=mode,
        chunk_size=2 * n_action_steps,
        n_action_steps=n_action_steps,
        protocols=protocols,
        timing=_timing(times),
        failed_episodes=[],
        provenance=_provenance(policy, policy_files or {"model.safetensors": "0" * 64}, len(episodes)),
        reasons={} if every_frame else {"protocols.every_frame": "not asked for"},
    )
    save_failures([], folder)
    save_results(results, folder)
    return results


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
    chunk = np.arange(2 * n_action_steps)
    return EpisodePredictions(
        predicted=predicted.astype(np.float32),
        ground_truth=actions.astype(np.float32),
        inference_times=times,
        states=states.astype(np.float32),
        timestamps=time[:-1],
        frames=np.arange(length),
        chunk_starts=starts,
        horizon_mae=error * (0.4 + 0.6 * (chunk / len(chunk)) ** 0.6) * random.uniform(0.8, 1.3),
    )


def _baselines(data: EpisodePredictions, mode: ActionMode) -> dict[str, ErrorSum]:
    episode = BaselineInput(data.states, data.ground_truth, data.ground_truth.mean(axis=0), mode)
    asked = data.chunk_starts[np.searchsorted(data.chunk_starts, np.arange(len(data.predicted)), side="right") - 1]
    return {name: ErrorSum.of(baseline(episode)[asked], episode.actions) for name, baseline in BASELINES.items()}


def _protocol(error: ErrorSum, baselines: list[dict[str, ErrorSum]], horizon: list[float] | None) -> ProtocolResult:
    pooled = {name: reduce(add, (sums[name] for sums in baselines)).figures() for name in BASELINES}
    best = min(pooled, key=lambda name: pooled[name].mse)
    return ProtocolResult(
        steps=error.steps,
        error=error.figures(),
        horizon_mae=horizon,
        baselines=pooled,
        best_baseline=best,
        skill=skill(error.figures().mse, pooled[best].mse),
    )


def _timing(times: np.ndarray) -> Timing:
    part = latency(list(times))
    assert part is not None
    period = 1 / FPS
    return Timing(
        cold_forward_ms=180.0,
        forward=part,
        preprocess=part,
        postprocess=part,
        queue_pop=part,
        decode=part,
        policy_step=part,
        deadline_ms=1000 * period,
        deadline_misses=int((times > period).sum()),
        realtime_capable=bool(times.max() <= period),
        end_to_end_fps=100.0,
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
