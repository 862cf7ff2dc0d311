"""Pool the scores of all episodes into EvalResults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.baselines import skill
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import Spread, latency
from lerobot_inference.evaluation.protocol_summary import pool
from lerobot_inference.evaluation.reasons import explain_nulls
from lerobot_inference.evaluation.replay import Stopwatch
from lerobot_inference.evaluation.results import (
    EpisodeResult,
    EvalResults,
    Failure,
    PerturbedResult,
    ProtocolResult,
    Provenance,
    SafetyReplay,
    Timing,
)
from lerobot_inference.types import ActionMode, PolicySpec

MOST_WORST = 5
WORST_EPISODE = "worst_episode"


def summarise(
    scores: Sequence[EpisodeScore],
    failures: Sequence[Failure],
    cold_forward_s: float,
    *,
    spec: PolicySpec,
    dataset: Dataset,
    action_mode: ActionMode,
    provenance: Provenance,
    robustness: Mapping[str, PerturbedResult] = {},
    safety_replay: SafetyReplay | None = None,
) -> EvalResults:
    """Aggregates pool over steps: a long episode weighs more than a short one. Needs at least one score.

    The order of the scores does not matter. Raises DatasetError when the dataset lacks the actions' statistics.
    """
    scores = sorted(scores, key=lambda score: score.episode)
    spread = Spread.of(dataset)
    deployed = pool([score.as_deployed for score in scores], spread)
    protocols: dict[Literal["as_deployed", "every_frame"], ProtocolResult] = {"as_deployed": deployed}
    every = [score.every_frame for score in scores if score.every_frame is not None]
    if every:
        protocols["every_frame"] = pool(every, spread)
    times = Stopwatch()
    for score in scores:
        times.add(score.times)
    seconds, steps = sum(times.policy_step), deployed.steps
    scored = {score.episode for score in scores}
    per_episode = [_episode(score, spread, deployed.best_baseline) for score in scores]
    results = EvalResults(
        job_name=f"{provenance.policy_source.rstrip('/').split('/')[-1]}-evaluation",
        policy_repo_id=provenance.policy_source,
        dataset_repo_id=provenance.dataset_source,
        device=provenance.device,
        episodes_evaluated=len(scores),
        aggregate_mse=deployed.error.mse,
        aggregate_mae=deployed.error.mae,
        aggregate_avg_inference_ms=1000 * seconds / steps,
        aggregate_throughput_hz=steps / seconds,
        per_episode=per_episode,
        status="partial" if failures else "completed",
        engine=provenance.engine,
        fps=dataset.fps,
        joint_names=list(dataset.joint_names),
        action_mode=action_mode.value,
        chunk_size=spec.chunk_size,
        n_action_steps=spec.n_action_steps,
        protocols=protocols,
        timing=timing(times, cold_forward_s, dataset.fps),
        robustness=dict(robustness),
        safety_replay=safety_replay,
        worst_episodes=[e.episode for e in sorted(per_episode, key=lambda e: -e.mae)[:MOST_WORST]],
        failed_episodes=[f.episode for f in failures if f.episode is not None and f.episode not in scored],
        provenance=provenance,
    )
    return results.model_copy(update={"reasons": explain_nulls(results)})


def worst_cases(results: EvalResults) -> list[Failure]:
    """A line of failure_cases.jsonl for each of the worst episodes: nothing failed there, but look at them first."""
    by_number = {episode.episode: episode for episode in results.per_episode}
    cases = []
    for episode in (by_number[number] for number in results.worst_episodes):
        gain = "unknown" if episode.skill is None else f"{episode.skill:.3f}"
        message = f"MAE {episode.mae:.4g} rad, skill {gain}"
        cases.append(Failure(episode=episode.episode, kind=WORST_EPISODE, message=message))
    return cases


def _episode(score: EpisodeScore, spread: Spread, best_baseline: str) -> EpisodeResult:
    deployed = score.as_deployed
    figures, steps = deployed.error.figures(spread), deployed.error.steps
    baselines = {name: sums.figures(spread) for name, sums in deployed.baselines.items()}
    seconds = sum(score.times.policy_step)
    return EpisodeResult(
        episode=score.episode,
        steps=steps,
        mse=figures.mse,
        mae=figures.mae,
        avg_inference_ms=1000 * seconds / steps,
        throughput_hz=steps / seconds,
        per_joint_mae=figures.per_joint_mae,
        per_joint_mse=figures.per_joint_mse,
        forwards=len(score.times.forward),
        skill=skill(figures.mse, baselines[best_baseline].mse),
        baselines=baselines,
    )


def timing(stopwatch: Stopwatch, cold_forward_s: float, fps: float) -> Timing:
    """Distributions of every part, and whether it keeps up with `fps` frames a second."""
    period_s = 1 / fps
    parts = (stopwatch.preprocess, stopwatch.forward, stopwatch.postprocess)
    call_p99_s = float(np.percentile(np.sum(parts, axis=0), 99))
    return Timing(
        cold_forward_ms=1000 * cold_forward_s,
        forward=latency(stopwatch.forward),
        preprocess=latency(stopwatch.preprocess),
        postprocess=latency(stopwatch.postprocess),
        queue_pop=latency(stopwatch.queue_pop),
        decode=latency(stopwatch.decode),
        policy_step=latency(stopwatch.policy_step),
        deadline_ms=1000 * period_s,
        deadline_misses=sum(seconds > period_s for seconds in stopwatch.policy_step),
        realtime_capable=max(stopwatch.policy_step) <= period_s,
        prefetch_lead_steps=math.ceil(call_p99_s / period_s),
        end_to_end_fps=len(stopwatch.policy_step) / stopwatch.total_s,
    )
