"""How far figures would move if other episodes had been recorded: the bootstrap over episodes.

Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: percentile intervals; made as wide as few
episodes need by Hesterberg, "What Teachers Should Know About the Bootstrap" (The American Statistician 69, 2015), whose
expanded percentiles these are. Steps of an episode are alike, so that whole episodes are drawn. Where resampling needs
a ratio of sums, it draws sum and count together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

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


def tail(episodes: int) -> float:
    """The part of the resamples to leave out at each end, so that LEVEL of such intervals hold the truth.

    Resamples spread less than figures of n episodes do, by sqrt((n - 1) / n), and as if their spread were known:
    Student's t allows for that. Its quantile is that of Abramowitz and Stegun 26.7.5.
    """
    normal, freedom = NormalDist(), episodes - 1
    z = normal.inv_cdf((1 + LEVEL) / 2)
    student = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    student += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return normal.cdf(-student * math.sqrt(episodes / freedom))


def interval(figures: TimeArray, episodes: int) -> Interval:
    """Where a figure of so many episodes lies, by its resamples (R,)."""
    left_out = tail(episodes)
    low, high = np.quantile(figures, [left_out, 1 - left_out])
    return float(low), float(high)


def finite_interval(figures: TimeArray, episodes: int) -> Interval | None:
    """The same of those resamples (R,) in which the figure is finite; None: there are none."""
    finite = figures[np.isfinite(figures)]
    return interval(finite, episodes) if finite.size else None


def ratio_interval(numerators: Sequence[Mean], denominators: Sequence[Mean]) -> Interval | None:
    """Of pooled mean over pooled mean, each () of the same episodes in the same order; None for fewer than two."""
    if len(numerators) < 2:
        return None
    weights = bootstrap_weights(len(numerators))
    with np.errstate(divide="ignore", invalid="ignore"):
        return finite_interval(resample(weights, numerators) / resample(weights, denominators), len(numerators))
