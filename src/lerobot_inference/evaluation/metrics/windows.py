"""The steps that metrics look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.types import ActionMode, FloatArray, IntArray, TimeArray


@dataclass(frozen=True)
class Windows:
    """N stretches of up to K steps, each from its first step on.

    predicted, recorded: (N, K, A) radians. states: (N, K, S) radians, before each step. scored: (N, K), False from a
    stretch's end on, where the other arrays hold anything.
    """

    predicted: TimeArray
    recorded: TimeArray
    states: TimeArray
    scored: NDArray[np.bool_]
    action_mode: ActionMode
    fps: float

    @property
    def error(self) -> TimeArray:
        """Of the prediction (N, K, A), radians; 0 where nothing is scored."""
        return np.where(self.scored[..., None], self.predicted - self.recorded, 0.0)


@dataclass(frozen=True)
class Deployed:
    """One episode as deployed: predicted, recorded (T, A) and states (T, S), radians; chunk_starts (K,) into T."""

    predicted: FloatArray
    recorded: FloatArray
    states: FloatArray
    chunk_starts: IntArray
    action_mode: ActionMode
    fps: float

    @cached_property
    def whole(self) -> Windows:
        """The episode as one stretch."""
        return self._windows(np.arange(len(self.predicted))[None], np.array([len(self.predicted)]))

    @cached_property
    def executed(self) -> Windows:
        """What was executed of each chunk."""
        ends = np.append(self.chunk_starts[1:], len(self.predicted))
        longest = int((ends - self.chunk_starts).max())
        return self._windows(self.chunk_starts[:, None] + np.arange(longest), ends)

    def _windows(self, steps: IntArray, ends: IntArray) -> Windows:
        within = np.minimum(steps, len(self.predicted) - 1)
        return Windows(
            predicted=self.predicted[within].astype(np.float64),
            recorded=self.recorded[within].astype(np.float64),
            states=self.states[within].astype(np.float64),
            scored=steps < ends[:, None],
            action_mode=self.action_mode,
            fps=self.fps,
        )


@dataclass(frozen=True)
class Chunks:
    """Chunks predicted from every stride-th frame, in order. before: (0 or 1, K, A), the chunk ahead of the first."""

    windows: Windows
    before: TimeArray
    stride: int
