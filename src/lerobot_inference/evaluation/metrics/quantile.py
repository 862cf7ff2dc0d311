"""Quantiles of any number of magnitudes from a histogram that adds up.

Bins grow geometrically, so that a quantile's relative error is bounded: the mapping of DDSketch (Masson, Rim & Lee,
"DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.types import TimeArray

RELATIVE_ERROR = 0.01
SMALLEST, LARGEST = 1e-8, 1e3
"""Magnitudes below the first count as 0; from the second on they share a bin."""
LOG_GROWTH = float(np.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)))
BINS = 2 + int(np.ceil(np.log(LARGEST / SMALLEST) / LOG_GROWTH))

type Histogram = NDArray[np.int32]
"""(A, BINS): how many magnitudes of each joint. Bin 0: zeros; bin i: below SMALLEST * growth^i; the last: the rest."""


def histogram(magnitudes: TimeArray) -> Histogram:
    """Count magnitudes (N, A), all >= 0."""
    joints = magnitudes.shape[1]
    bins = np.zeros(magnitudes.shape, np.int64)
    counted = magnitudes >= SMALLEST
    exponents = np.floor(np.log(magnitudes[counted] / SMALLEST) / LOG_GROWTH)
    bins[counted] = np.minimum(exponents + 1, BINS - 1)
    counts = np.bincount((bins + BINS * np.arange(joints)).ravel(), minlength=joints * BINS)
    return counts.reshape(joints, BINS).astype(np.int32)


def quantile(counts: Histogram, share: float, largest: float) -> float:
    """The `share` quantile of all that is counted in (..., BINS), to 1 %; largest: the largest of it.

    Interpolates linearly between the two nearest magnitudes, as numpy does.
    """
    cumulative = np.cumsum(counts.reshape(-1, BINS).sum(axis=0, dtype=np.int64))
    rank = share * (cumulative[-1] - 1)
    low, high = np.searchsorted(cumulative, [np.floor(rank), np.ceil(rank)], side="right")
    return float(np.interp(rank % 1, [0, 1], [_magnitude(int(low), largest), _magnitude(int(high), largest)]))


def _magnitude(index: int, largest: float) -> float:
    """What a bin's magnitudes are taken for."""
    if index == 0:
        return 0.0
    if index == BINS - 1:
        return largest
    return min(largest, SMALLEST * float(np.exp(index * LOG_GROWTH)) * (1 - RELATIVE_ERROR))
