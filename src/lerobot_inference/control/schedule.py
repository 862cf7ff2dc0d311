"""When to predict the next chunk, and which action is due at each tick."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lerobot_inference.errors import UsageError
from lerobot_inference.types import FloatArray, PolicySpec


class Schedule(Protocol):
    """Turns chunks into one action per tick. Hand it a chunk whenever it `needs_chunk`, at once or some ticks later."""

    @property
    def needs_chunk(self) -> bool:
        """True when a chunk should be predicted from the observation of the coming tick."""

    @property
    def ready(self) -> bool:
        """True when `next_action` has one to give."""

    def chunk_ticks(self, ticks: int) -> range:
        """The ticks, of `ticks` since the reset, at which a chunk is needed: the only frames a replay must decode."""

    def add_chunk(self, chunk: FloatArray, late: int = 0) -> None:
        """chunk: (chunk, A) radians. late: actions given since the observation that it was predicted from."""

    def next_action(self) -> FloatArray:
        """The action (A,) that is due now. Raises IndexError when none is `ready`."""

    def coming(self, count: int) -> FloatArray:
        """(up to count, A) the actions after that, as far as they are known now."""

    def reset(self) -> None:
        """Forget everything; call at an episode's start."""


class QueueSchedule:
    """Execute the first `n_action_steps` of a chunk, then ask for the next: lerobot's `select_action`."""

    def __init__(self, n_action_steps: int) -> None:
        if n_action_steps < 1:
            raise UsageError(f"n_action_steps is {n_action_steps}, expected at least 1")
        self.n_action_steps = n_action_steps
        self._queue: deque[FloatArray] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def needs_chunk(self) -> bool:
        """True when the queue is empty."""
        return not self._queue

    @property
    def ready(self) -> bool:
        """True unless the queue is empty."""
        return bool(self._queue)

    def chunk_ticks(self, ticks: int) -> range:
        """Every n_action_steps-th tick."""
        return range(0, ticks, self.n_action_steps)

    def add_chunk(self, chunk: FloatArray, late: int = 0) -> None:  # noqa: ARG002 - while it waits, nothing moves
        """Queue the first n_action_steps of chunk (chunk, A), replacing what was left."""
        if len(chunk) < self.n_action_steps:
            raise UsageError(f"n_action_steps is {self.n_action_steps}, but a chunk holds {len(chunk)} actions")
        self._queue = deque(chunk[: self.n_action_steps])

    def next_action(self) -> FloatArray:
        """The oldest queued action (A,). Raises IndexError when a chunk is needed first."""
        return self._queue.popleft()

    def coming(self, count: int) -> FloatArray:
        """What is queued, (up to count, A)."""
        return stack(list(self._queue)[:count])

    def reset(self) -> None:
        """Empty the queue."""
        self._queue.clear()


class EnsembleSchedule:
    """Predict at every tick and average what all chunks say about it.

    Algorithm 2 of the ACT paper (arXiv 2304.13705) with lerobot's weights: w_i = exp(-coeff * i), i = 0 the oldest.
    """

    def __init__(self, coeff: float) -> None:
        self.coeff = coeff
        self._chunks: deque[FloatArray] = deque()

    @property
    def needs_chunk(self) -> bool:
        """Always: one chunk a tick."""
        return True

    @property
    def ready(self) -> bool:
        """True while a chunk reaches the coming tick."""
        return bool(self._chunks)

    def chunk_ticks(self, ticks: int) -> range:
        """Every tick."""
        return range(ticks)

    def add_chunk(self, chunk: FloatArray, late: int = 0) -> None:
        """chunk: (chunk, A) radians, whose first `late` actions are for ticks that have passed."""
        if late < len(chunk):
            self._chunks.append(chunk[late:])

    def next_action(self) -> FloatArray:
        """The weighted mean (A,) over all chunks that reach the coming tick. Raises IndexError when none does."""
        mean = self._mean(0)
        self._chunks = deque(chunk[1:] for chunk in self._chunks if len(chunk) > 1)
        return mean

    def coming(self, count: int) -> FloatArray:
        """The means (up to count, A) of what is known of the next ticks."""
        longest = max(map(len, self._chunks), default=0)
        return stack([self._mean(step) for step in range(min(count, longest))])

    def _mean(self, step: int) -> FloatArray:
        opinions = [chunk[step] for chunk in self._chunks if len(chunk) > step]
        if not opinions:
            raise IndexError("no chunk reaches the coming tick")
        weights = np.exp(-self.coeff * np.arange(len(opinions)))
        mean: FloatArray = (weights[:, None] * np.stack(opinions)).sum(axis=0) / weights.sum()
        return mean.astype(np.float32)

    def reset(self) -> None:
        """Forget all chunks."""
        self._chunks.clear()


def stack(actions: Sequence[FloatArray]) -> FloatArray:
    """(n, A); (0, 0) for none."""
    return np.stack(actions) if actions else np.empty((0, 0), np.float32)


def make_schedule(spec: PolicySpec) -> QueueSchedule | EnsembleSchedule:
    """The schedule the policy was saved with: ensembling where its config asks for it, else the queue."""
    if spec.temporal_ensemble_coeff is not None:
        return EnsembleSchedule(spec.temporal_ensemble_coeff)
    return QueueSchedule(spec.n_action_steps)
