"""Every metric of a protocol, by name: the one place where a metric is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lerobot_inference.evaluation.metrics.arc_length import arc_length
from lerobot_inference.evaluation.metrics.direction import direction_cosine
from lerobot_inference.evaluation.metrics.drift import drift
from lerobot_inference.evaluation.metrics.error import ErrorSum
from lerobot_inference.evaluation.metrics.horizon import horizon_error
from lerobot_inference.evaluation.metrics.jerk import squared_jerk
from lerobot_inference.evaluation.metrics.jumps import border_jump, interior_jump
from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.overlap import squared_disagreement
from lerobot_inference.evaluation.metrics.windows import Chunks, Deployed
from lerobot_inference.types import TimeArray

AS_DEPLOYED: Mapping[str, Callable[[Deployed], Mean]] = {
    "direction_cosine": lambda run: direction_cosine(run.whole),
    "drift.chunk_end": lambda run: drift(run.executed),
    "drift.episode_end": lambda run: drift(run.whole),
}
AS_DEPLOYED_MOTION: Mapping[str, Callable[[Deployed, TimeArray], Mean]] = {
    "jerk": lambda run, actions: squared_jerk(run.whole, actions[None]),
    "spectral_arc_length": lambda run, actions: arc_length(actions, run.action_mode, run.fps),
    "border_jump": lambda run, actions: border_jump(actions, run.chunk_starts),
    "interior_jump": lambda run, actions: interior_jump(actions, run.chunk_starts),
}
"""Asked of the predicted actions (T, A) and of the recorded ones."""

EVERY_FRAME: Mapping[str, Callable[[Chunks], Mean]] = {
    "direction_cosine": lambda chunks: direction_cosine(chunks.windows),
    "drift.chunk_end": lambda chunks: drift(chunks.windows),
    "horizon_error": lambda chunks: horizon_error(chunks.windows),
    "overlap_disagreement": squared_disagreement,
    "predicted.jerk": lambda chunks: squared_jerk(chunks.windows, chunks.windows.predicted),
    "recorded.jerk": lambda chunks: squared_jerk(chunks.windows, chunks.windows.recorded),
}


@dataclass(frozen=True)
class ProtocolScore:
    """What all figures of a protocol follow from; two of them add up.

    error: the policy's. baselines: name -> the error of that policy-free predictor on the same steps.
    means: metric -> its sums, under the names above; those of AS_DEPLOYED_MOTION behind `predicted.` or `recorded.`.
    """

    error: ErrorSum
    baselines: dict[str, ErrorSum]
    means: dict[str, Mean]

    def __add__(self, other: ProtocolScore) -> ProtocolScore:
        return ProtocolScore(
            self.error + other.error,
            {name: sums + other.baselines[name] for name, sums in self.baselines.items()},
            {name: mean + other.means[name] for name, mean in self.means.items()},
        )


def measure_deployed(run: Deployed) -> dict[str, Mean]:
    """Every metric of one episode as deployed."""
    means = {name: metric(run) for name, metric in AS_DEPLOYED.items()}
    for side, actions in {"predicted": run.predicted, "recorded": run.recorded}.items():
        precise = actions.astype(np.float64)
        means |= {f"{side}.{name}": metric(run, precise) for name, metric in AS_DEPLOYED_MOTION.items()}
    return means


def measure_chunks(chunks: Chunks) -> dict[str, Mean]:
    """Every metric of some chunks of one episode."""
    return {name: metric(chunks) for name, metric in EVERY_FRAME.items()}
