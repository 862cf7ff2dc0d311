"""Pool the scores of all episodes under one protocol into its figures and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np

from lerobot_inference.evaluation.baselines import skill
from lerobot_inference.evaluation.metrics import Mean, ProtocolScore, Spread
from lerobot_inference.evaluation.results import Drift, Interval, Intervals, Motion, ProtocolResult, Smoothness
from lerobot_inference.evaluation.statistics import bootstrap_weights, finite_interval, interval, resample
from lerobot_inference.types import TimeArray

type Means = Mapping[str, Mean]


def pool(scores: Sequence[ProtocolScore], spread: Spread) -> ProtocolResult:
    """The figures of one protocol, one score an episode: a long episode weighs more than a short one."""
    whole = reduce(add, scores)
    error = whole.error.figures(spread)
    baselines = {name: sums.figures(spread) for name, sums in whole.baselines.items()}
    best = min(baselines, key=lambda name: baselines[name].mse)
    per_joint = zip(error.per_joint_mse, baselines[best].per_joint_mse, strict=True)
    horizon = whole.means.get("horizon_error")
    return ProtocolResult(
        steps=whole.error.steps,
        error=error,
        direction_cosine=_figure(whole.means.get("direction_cosine")),
        drift=_drift(whole.means),
        smoothness=_smoothness(whole.means),
        horizon_mae=None if horizon is None else horizon.reached.tolist(),
        baselines=baselines,
        best_baseline=best,
        skill=skill(error.mse, baselines[best].mse),
        per_joint_skill=[skill(mse, of_baseline) for mse, of_baseline in per_joint],
        intervals=_intervals(scores, best) if len(scores) > 1 else None,
    )


def _drift(means: Means) -> Drift | None:
    chunk_end, episode_end = means.get("drift.chunk_end"), means.get("drift.episode_end")
    pooled, per_joint = _figure(chunk_end), _per_joint(chunk_end)
    if pooled is None or per_joint is None:
        return None
    return Drift(
        chunk_end=pooled,
        per_joint_chunk_end=per_joint,
        episode_end=_figure(episode_end),
        per_joint_episode_end=_per_joint(episode_end),
    )


def _smoothness(means: Means) -> Smoothness:
    disagreement = means.get("overlap_disagreement")
    return Smoothness(
        predicted=_motion(means, "predicted"),
        recorded=_motion(means, "recorded"),
        overlap_disagreement=_root(_figure(disagreement)),
        per_joint_overlap_disagreement=_roots(_per_joint(disagreement)),
    )


def _motion(means: Means, side: str) -> Motion:
    jerk, border, interior = (means.get(f"{side}.{name}") for name in ("jerk", "border_jump", "interior_jump"))
    return Motion(
        jerk_rms=_root(_figure(jerk)),
        per_joint_jerk_rms=_roots(_per_joint(jerk)),
        spectral_arc_length=_figure(means.get(f"{side}.spectral_arc_length")),
        border_jump=_figure(border),
        per_joint_border_jump=_per_joint(border),
        interior_jump=_figure(interior),
        per_joint_interior_jump=_per_joint(interior),
    )


def _intervals(scores: Sequence[ProtocolScore], best: str) -> Intervals:
    """Resample episodes; the best baseline stays that of the whole run."""
    weights = bootstrap_weights(len(scores))
    mse = resample(weights, [score.error.squared for score in scores])
    mae = resample(weights, [score.error.absolute for score in scores])
    of_best = resample(weights, [score.baselines[best].squared for score in scores])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain, gain_by_joint = 1 - mse.mean(axis=1) / of_best.mean(axis=1), 1 - mse / of_best
    count = len(scores)
    return Intervals(
        mse=interval(mse.mean(axis=1), count),
        mae=interval(mae.mean(axis=1), count),
        rmse=interval(np.sqrt(mse.mean(axis=1)), count),
        skill=finite_interval(gain, count),
        per_joint_mae=[interval(joint, count) for joint in mae.T],
        per_joint_skill=[finite_interval(joint, count) for joint in gain_by_joint.T],
        horizon_mae=_horizon_intervals(weights, [score.means for score in scores]),
    )


def _horizon_intervals(weights: TimeArray, means: Sequence[Means]) -> list[Interval] | None:
    """Of each chunk step that any frame reaches, over the resamples that have such a frame."""
    if "horizon_error" not in means[0]:
        return None
    by_step = resample(weights, [each["horizon_error"] for each in means]).T
    return [found for step in by_step if (found := finite_interval(step, len(means)))]


def _figure(mean: Mean | None) -> float | None:
    """Pooled over joints; None where there are no terms."""
    if mean is None or not mean.counts.all():
        return None
    return float(mean.value.mean())


def _per_joint(mean: Mean | None) -> list[float] | None:
    if mean is None or not mean.counts.all():
        return None
    return [float(value) for value in mean.value]


def _root(figure: float | None) -> float | None:
    return None if figure is None else float(np.sqrt(figure))


def _roots(figures: list[float] | None) -> list[float] | None:
    return None if figures is None else np.sqrt(figures).tolist()
