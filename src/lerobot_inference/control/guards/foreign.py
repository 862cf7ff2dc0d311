"""Guards that other distributions bring, held to their word: what one does instead of answering latches."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lerobot_inference.control.guards.base import ChunkCheck, Limit, Settings, Severity, Situation, Verdict, Watch
from lerobot_inference.plugins import GUARD_GROUPS, Plugin

CHECKS: dict[str, Callable[..., Verdict]] = {
    GUARD_GROUPS["watches"]: Watch.check,
    GUARD_GROUPS["starts"]: Watch.check,
    GUARD_GROUPS["chunk_checks"]: ChunkCheck.check,
    GUARD_GROUPS["idles"]: Watch.check,
    GUARD_GROUPS["limits"]: Limit.check,
}
"""Group of entry points -> what a guard of that group is asked."""


@dataclass(frozen=True)
class ForeignGuard:
    """Somebody else's guard as the chain asks it: an exception, or an answer that can't be used, latches."""

    guard: Any

    def check(self, *seen: Any) -> Verdict:  # noqa: ANN401 - what a guard of its kind sees
        """What it says to what every guard of its kind sees, the situation last."""
        try:
            verdict = self.guard.check(*seen)
            problem = _problem(verdict, seen[-1])
            if not problem and verdict.target is not None:
                verdict = replace(verdict, target=np.asarray(verdict.target, np.float32))
        except Exception as error:
            problem = f"failed: {type(error).__name__}: {error}"
        return Verdict(Severity.LATCH, problem) if problem else verdict


def _problem(verdict: object, situation: Situation) -> str:
    if not isinstance(verdict, Verdict) or not isinstance(verdict.severity, Severity):
        return f"answered {verdict!r}, which is no Verdict"
    target = verdict.target
    if target is None and verdict.severity is not Severity.SCALE:
        return ""
    if target is not None and np.shape(target) == situation.measured.shape and np.isfinite(target).all():
        return ""
    return f"asked for the target {target}"


def foreign_kind(plugin: Plugin) -> type[Settings]:
    """A guard's class. Raises UsageError, naming the distribution, when it can't be a guard of its group."""
    kind = plugin.load()
    if not (isinstance(kind, type) and issubclass(kind, Settings)):
        raise plugin.refused("is no subclass of lerobot_inference.control.guards.Settings")
    expected = list(inspect.signature(CHECKS[plugin.group]).parameters)
    check = getattr(kind, "check", None)
    found = list(inspect.signature(check).parameters) if callable(check) else []
    if len(found) != len(expected):
        raise plugin.refused(f"has check({', '.join(found)}), expected check({', '.join(expected)})")
    return kind
