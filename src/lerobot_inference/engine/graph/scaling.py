"""lerobot's normalisation as x -> (x - offset) * scale + shift, the form that is exact for constant features too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerobot_inference.checkpoint import FeatureNormalization, NormalizationMode
from lerobot_inference.engine.graph.builder import GraphBuilder
from lerobot_inference.engine.graph.weights import Array


@dataclass(frozen=True)
class Scaling:
    """Each value's offset and scale (dim,), and the shift that is -1 where a range is mapped to [-1, 1]."""

    offset: Array
    scale: Array
    shift: float

    @classmethod
    def of(cls, feature: FeatureNormalization, dim: int) -> Scaling:
        """How lerobot's NormalizerProcessorStep scales `feature` with `dim` values or channels."""
        statistics = [feature.statistics[name].reshape(-1).astype(np.float64) for name in feature.mode.statistics]
        if feature.mode is NormalizationMode.IDENTITY:
            return cls(np.zeros(dim), np.ones(dim), 0.0)
        low, high = statistics
        if feature.mode is NormalizationMode.MEAN_STD:
            return cls(low, 1 / (high + feature.eps), 0.0)
        span = np.where(high == low, feature.eps, high - low)
        return cls(low, 2 / span, -1.0)

    def emit(self, graph: GraphBuilder, x: str) -> str:
        """x: (B, dim) in its own units -> normalised."""
        x = graph.op("Mul", graph.op("Sub", x, graph.constant(self.offset)), graph.constant(self.scale))
        return graph.op("Add", x, graph.constant(self.shift)) if self.shift else x


def emit_actions(graph: GraphBuilder, x: str, feature: FeatureNormalization) -> str:
    """Scale x (B, chunk, A) back to radians, as lerobot's UnnormalizerProcessorStep does."""
    if feature.mode is NormalizationMode.IDENTITY:
        return x
    low, high = (feature.statistics[name].astype(np.float64) for name in feature.mode.statistics)
    if feature.mode is NormalizationMode.MEAN_STD:
        scale, offset = high, low
    else:
        scale = np.where(high == low, feature.eps, high - low) / 2
        offset = low + scale
    return graph.op("Add", graph.op("Mul", x, graph.constant(scale)), graph.constant(offset))
