"""Prediction error, summed up so that any grouping of steps gives the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.quantile import Histogram, histogram, quantile
from lerobot_inference.evaluation.results import ErrorFigures
from lerobot_inference.types import ACTION, FloatArray, TimeArray


@dataclass(frozen=True)
class Spread:
    """How far the recorded actions reach in the whole dataset: range and std, (A,) radians; 0 where one never moves."""

    range: TimeArray
    std: TimeArray

    @classmethod
    def of(cls, dataset: Dataset) -> Spread:
        """As meta/stats.json has it. Raises DatasetError when it doesn't."""
        low, high, std = (dataset.statistic(ACTION, name) for name in ("min", "max", "std"))
        return cls(high - low, std)


@dataclass(frozen=True)
class ErrorSum:
    """What every pooled error figure follows from; two of them add up. e = predicted - recorded, radians.

    squared, absolute: (A,) of e^2 and |e|. largest: (A,) largest |e|. magnitudes: (A, BINS) histogram of |e|.
    """

    squared: Mean
    absolute: Mean
    largest: TimeArray
    magnitudes: Histogram

    @classmethod
    def of(cls, predicted: FloatArray | TimeArray, truth: FloatArray | TimeArray) -> ErrorSum:
        """predicted, truth: (N, A) radians, N >= 0."""
        magnitude = np.abs(predicted.astype(np.float64) - truth.astype(np.float64))
        steps = np.asarray(len(magnitude), np.float64)
        return cls(
            squared=Mean((magnitude**2).sum(axis=0), steps),
            absolute=Mean(magnitude.sum(axis=0), steps),
            largest=magnitude.max(axis=0, initial=0.0),
            magnitudes=histogram(magnitude),
        )

    def __add__(self, other: ErrorSum) -> ErrorSum:
        return ErrorSum(
            self.squared + other.squared,
            self.absolute + other.absolute,
            np.maximum(self.largest, other.largest),
            self.magnitudes + other.magnitudes,
        )

    @property
    def steps(self) -> int:
        """How many steps were compared."""
        return int(self.absolute.count)

    def figures(self, spread: Spread) -> ErrorFigures:
        """Pooled over steps and joints: mse = mean e^2, mae = mean |e|, rmse = sqrt(mse); and each joint's own.

        Raises ValueError when no steps were scored.
        """
        if self.steps == 0:
            raise ValueError("no steps were scored")
        mse, mae = self.squared.value, self.absolute.value
        of_range, of_std = _share(mae, spread.range), _share(mae, spread.std)
        by_joint = zip(self.magnitudes, self.largest.tolist(), strict=True)
        largest = float(self.largest.max())
        return ErrorFigures(
            mse=float(mse.mean()),
            mae=float(mae.mean()),
            rmse=float(np.sqrt(mse.mean())),
            p95=quantile(self.magnitudes, 0.95, largest),
            max=largest,
            of_range=_mean_of_known(of_range),
            of_std=_mean_of_known(of_std),
            per_joint_mse=mse.tolist(),
            per_joint_mae=mae.tolist(),
            per_joint_rmse=np.sqrt(mse).tolist(),
            per_joint_p95=[quantile(counts, 0.95, most) for counts, most in by_joint],
            per_joint_max=self.largest.tolist(),
            per_joint_of_range=of_range,
            per_joint_of_std=of_std,
        )


def _share(mae: TimeArray, whole: TimeArray) -> list[float | None]:
    return [float(error / size) if size > 0 else None for error, size in zip(mae, whole, strict=True)]


def _mean_of_known(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None
