"""Prediction error and latency, summed up so that any grouping of steps gives the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.evaluation.results import ErrorFigures, Latency
from lerobot_inference.types import FloatArray


@dataclass(frozen=True)
class ErrorSum:
    """Sums over steps from which every pooled error figure follows; two of them add up.

    squared, absolute: (A,) sums over steps, float64. largest: the largest absolute error. steps: how many.
    """

    squared: NDArray[np.float64]
    absolute: NDArray[np.float64]
    largest: float
    steps: int

    @classmethod
    def of(cls, predicted: FloatArray, truth: FloatArray) -> ErrorSum:
        """predicted, truth: (N, A) radians, N >= 0."""
        error = predicted.astype(np.float64) - truth.astype(np.float64)
        magnitude = np.abs(error)
        return cls((error**2).sum(axis=0), magnitude.sum(axis=0), float(magnitude.max(initial=0.0)), len(error))

    def __add__(self, other: ErrorSum) -> ErrorSum:
        return ErrorSum(
            self.squared + other.squared,
            self.absolute + other.absolute,
            max(self.largest, other.largest),
            self.steps + other.steps,
        )

    def figures(self) -> ErrorFigures:
        """Pooled over steps and joints: mse = mean e^2, mae = mean |e|, rmse = sqrt(mse).

        Raises ValueError when no steps were scored.
        """
        if self.steps == 0:
            raise ValueError("no steps were scored")
        per_joint_mse, per_joint_mae = self.squared / self.steps, self.absolute / self.steps
        mse = float(per_joint_mse.mean())
        return ErrorFigures(
            mse=mse,
            mae=float(per_joint_mae.mean()),
            rmse=float(np.sqrt(mse)),
            max=self.largest,
            per_joint_mse=per_joint_mse.tolist(),
            per_joint_mae=per_joint_mae.tolist(),
        )


def latency(seconds: Sequence[float]) -> Latency:
    """Distribution of at least one wall time, in milliseconds. Percentiles interpolate linearly."""
    milliseconds = np.asarray(seconds, np.float64) * 1000
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return Latency(
        count=len(milliseconds),
        mean_ms=float(milliseconds.mean()),
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        max_ms=float(milliseconds.max()),
    )
