"""Pool the scores of all episodes into EvalResults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.baselines import skill
from lerobot_inference.evaluation.metrics import ErrorSum, latency
from lerobot_inference.evaluation.replay import EveryFrame, Stopwatch
from lerobot_inference.evaluation.results import (
    EpisodeResult,
    EvalResults,
    Failure,
    ProtocolResult,
    Provenance,
    Timing,
)
from lerobot_inference.types import ActionMode, PolicySpec


@dataclass(frozen=True)
class EpisodeScore:
    """One episode's sums. times: of its as-deployed run."""

    episode: int
    as_deployed: ErrorSum
    baselines: dict[str, ErrorSum]
    times: Stopwatch
    every_frame: EveryFrame | None


def summarise(
    scores: Sequence[EpisodeScore],
    failures: Sequence[Failure],
    cold_forward_s: float,
    *,
    spec: PolicySpec,
    dataset: Dataset,
    action_mode: ActionMode,
    provenance: Provenance,
) -> EvalResults:
    """Aggregates pool over steps: a long episode weighs more than a short one. Needs at least one score."""
    deployed = _protocol(
        reduce(add, (s.as_deployed for s in scores)),
        {name: [s.baselines[name] for s in scores] for name in scores[0].baselines},
    )
    protocols: dict[Literal["as_deployed", "every_frame"], ProtocolResult] = {"as_deployed": deployed}
    reasons = {}
    every = [s.every_frame for s in scores if s.every_frame is not None]
    if every:
        protocols["every_frame"] = _every_frame(every)
    else:
        reasons["protocols.every_frame"] = "not asked for"
    for name, protocol in protocols.items():
        if protocol.skill is None:
            reasons[f"protocols.{name}.skill"] = f"the baseline {protocol.best_baseline} has no error to improve on"
    times = Stopwatch()
    for score in scores:
        times.add(score.times)
    seconds, steps = sum(times.policy_step), deployed.steps
    return EvalResults(
        job_name=f"{provenance.policy_source.rstrip('/').split('/')[-1]}-evaluation",
        policy_repo_id=provenance.policy_source,
        dataset_repo_id=provenance.dataset_source,
        device=provenance.device,
        episodes_evaluated=len(scores),
        aggregate_mse=deployed.error.mse,
        aggregate_mae=deployed.error.mae,
        aggregate_avg_inference_ms=1000 * seconds / steps,
        aggregate_throughput_hz=steps / seconds,
        per_episode=[_episode(score) for score in scores],
        status="partial" if failures else "completed",
        engine=provenance.engine,
        fps=dataset.fps,
        joint_names=list(dataset.joint_names),
        action_mode=action_mode.value,
        chunk_size=spec.chunk_size,
        n_action_steps=spec.n_action_steps,
        protocols=protocols,
        timing=timing(times, cold_forward_s, dataset.fps),
        failed_episodes=[f.episode for f in failures if f.episode is not None],
        provenance=provenance,
        reasons=reasons,
    )


def _episode(score: EpisodeScore) -> EpisodeResult:
    figures, steps = score.as_deployed.figures(), score.as_deployed.steps
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
        baselines={name: sums.figures() for name, sums in score.baselines.items()},
    )


def _protocol(error: ErrorSum, baselines: dict[str, list[ErrorSum]]) -> ProtocolResult:
    pooled = {name: reduce(add, sums).figures() for name, sums in baselines.items()}
    best = min(pooled, key=lambda name: pooled[name].mse)
    figures = error.figures()
    return ProtocolResult(
        steps=error.steps,
        error=figures,
        baselines=pooled,
        best_baseline=best,
        skill=skill(figures.mse, pooled[best].mse),
    )


def _every_frame(runs: Sequence[EveryFrame]) -> ProtocolResult:
    pooled = reduce(add, runs)
    protocol = _protocol(pooled.error, {name: [sums] for name, sums in pooled.baselines.items()})
    return protocol.model_copy(update={"horizon_mae": pooled.horizon_mae.tolist()})


def timing(stopwatch: Stopwatch, cold_forward_s: float, fps: float) -> Timing:
    """Distributions of every part, and whether the slowest step fits into one period of `fps`."""
    period_s = 1 / fps
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
        end_to_end_fps=len(stopwatch.policy_step) / stopwatch.total_s,
    )
