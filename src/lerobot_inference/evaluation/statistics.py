"""How far figures would move if other episodes had been recorded: the bootstrap over episodes.

Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: percentile intervals. Steps of an episode are
alike, so that whole episodes are drawn. Where resampling needs a ratio of sums, it draws sum and count together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lerobot_inference.evaluation.metrics import Mean
from lerobot_inference.evaluation.results import Interval
from lerobot_inference.types import TimeArray

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0


def bootstrap_weights(episodes: int) -> TimeArray:
    """(RESAMPLES, episodes): how often each resample drew each episode, as many as there are with replacement."""
    random = np.random.Generator(np.random.PCG64(SEED))
    return random.multinomial(episodes, np.full(episodes, 1 / episodes), RESAMPLES).astype(np.float64)


def resample(weights: TimeArray, means: Sequence[Mean]) -> TimeArray:
    """Pool one mean (...) for each of E episodes by weights (R, E) -> (R, ...), one of each resample.

    NaN where a resample has no terms.
    """
    totals = np.stack([mean.total for mean in means])
    counts = np.stack([mean.counts for mean in means])
    with np.errstate(invalid="ignore"):
        return np.asarray(np.tensordot(weights, totals, 1) / np.tensordot(weights, counts, 1))


def percentile_interval(figures: TimeArray) -> Interval:
    """What LEVEL of a figure's resamples (R,) lie in."""
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def finite_interval(figures: TimeArray) -> Interval | None:
    """The same of those resamples (R,) in which the figure is finite; None: there are none."""
    finite = figures[np.isfinite(figures)]
    return percentile_interval(finite) if finite.size else None


def ratio_interval(numerators: Sequence[Mean], denominators: Sequence[Mean]) -> Interval | None:
    """Of pooled mean over pooled mean, each () of the same episodes in the same order; None for fewer than two."""
    if len(numerators) < 2:
        return None
    weights = bootstrap_weights(len(numerators))
    with np.errstate(divide="ignore", invalid="ignore"):
        return finite_interval(resample(weights, numerators) / resample(weights, denominators))
