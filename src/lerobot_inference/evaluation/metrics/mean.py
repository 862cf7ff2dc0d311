"""A figure as a sum and a count, so that episodes pool and resample alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.types import TimeArray


@dataclass(frozen=True)
class Mean:
    """A sum and how many terms it has, float64; two of them add up to that of all terms.

    total: (...), one sum for each joint, chunk step or whatever is told apart. count: broadcasts to it.
    """

    total: TimeArray
    count: TimeArray

    @classmethod
    def over(cls, values: TimeArray, counted: NDArray[np.bool_]) -> Mean:
        """Of values (..., A) or (...), where counted (...) holds: one sum for each of A."""
        return cls(np.asarray(values[counted].sum(axis=0)), np.asarray(counted.sum(), np.float64))

    @classmethod
    def none(cls, *shape: int) -> Mean:
        """Of no terms."""
        return cls(np.zeros(shape), np.zeros(()))

    def __add__(self, other: Mean) -> Mean:
        return Mean(np.asarray(self.total + other.total), np.asarray(self.count + other.count))

    @property
    def value(self) -> TimeArray:
        """The mean (...); NaN where there are no terms."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.total / self.count)

    @property
    def reached(self) -> TimeArray:
        """The means (N,) of those of (...) that have terms."""
        return self.value[self.counts > 0]

    @property
    def pooled(self) -> Mean:
        """The same over everything that was told apart."""
        return Mean(np.asarray(self.total.sum()), np.asarray(self.counts.sum()))

    @property
    def counts(self) -> TimeArray:
        """`count` in the shape of `total`."""
        return np.broadcast_to(self.count, self.total.shape)
