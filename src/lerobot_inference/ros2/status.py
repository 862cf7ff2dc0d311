"""`/lerobot/status`: one JSON object that says all an operator needs to know."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel

from lerobot_inference.control.guards.known import Origin

type NodeState = Literal["starting", "waiting", "dry_run", "running", "holding", "latched", "stopped"]
KEPT = 3000
"""Ticks and predictions that the percentiles are over."""


class ForwardTimes(BaseModel):
    """Milliseconds from asking for a chunk to having it; null before the first."""

    last: float | None = None
    p50: float | None = None
    p95: float | None = None
    max: float | None = None


class Jitter(BaseModel):
    """Milliseconds by which a tick came other than one period after the one before it."""

    p99: float | None = None
    max: float | None = None


class Ages(BaseModel):
    """Milliseconds since what was last seen was made; null before the first."""

    joint: float | None = None
    image: float | None = None


class PolicyIdentity(BaseModel):
    """Which policy runs. sha256: of its weights."""

    source: str
    revision: str | None = None
    sha256: str = ""


class Status(BaseModel):
    """/lerobot/status. Joint vectors are radians in the order of joint_names; null before there is one.

    schema_version: rises when a field changes its meaning. state: what the node does. reason: why, where it doesn't
    simply run. step: ticks so far. armed: commands are published. joint_names: in the policy's training order.
    command: the last accepted one. target: what the policy asked for. measured: where the arm is.
    action_mode, schedule: as the parameters say. engine: with its precision and device.
    queue_length: actions known beyond the one that was last due. chunk: number of the one that the action is from.
    forward_ms: from asking for a chunk to having it. tick_jitter_ms: how uneven the ticks are.
    missed_ticks: those that didn't come. ages_ms: since the newest joint state and image were made.
    guards: how often each has said something. limits_from: where those that go by what was recorded have their limits
    from; `nowhere`: such a guard says nothing. dropped: messages that were not taken, by reason.
    policy: its source, revision and the sha256 of its weights.
    """

    schema_version: Literal[1] = 1
    state: NodeState
    reason: str
    step: int
    armed: bool
    joint_names: list[str]
    command: list[float] | None
    target: list[float] | None
    measured: list[float] | None
    action_mode: str
    schedule: str
    engine: str
    queue_length: int
    chunk: int
    forward_ms: ForwardTimes
    tick_jitter_ms: Jitter
    missed_ticks: int
    ages_ms: Ages
    guards: dict[str, int]
    limits_from: dict[str, Origin]
    dropped: dict[str, int]
    policy: PolicyIdentity


@dataclass
class Clockwork:
    """How evenly the ticks come. period_s: as asked for."""

    period_s: float
    missed: int = 0
    _off_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _last_s: float | None = None

    def tick(self, now_s: float) -> None:
        """A tick comes now (a monotonic clock); one that is half a period late or more has missed others."""
        if self._last_s is not None:
            passed = now_s - self._last_s
            self._off_ms.append(1000 * abs(passed - self.period_s))
            self.missed += max(0, round(passed / self.period_s) - 1)
        self._last_s = now_s

    def jitter(self) -> Jitter:
        """Over the last ticks."""
        if not self._off_ms:
            return Jitter()
        return Jitter(p99=percentile(self._off_ms, 99), max=max(self._off_ms))


def forward_times(milliseconds: Sequence[float]) -> ForwardTimes:
    """Over the last predictions."""
    if not milliseconds:
        return ForwardTimes()
    return ForwardTimes(
        last=milliseconds[-1],
        p50=percentile(milliseconds, 50),
        p95=percentile(milliseconds, 95),
        max=max(milliseconds),
    )


def percentile(values: Iterable[float], percent: float) -> float:
    """Linear between the neighbours, as numpy does."""
    return float(np.percentile(list(values), percent))
