"""Which schedules there are, by the names that a person gives them."""

from __future__ import annotations

from enum import StrEnum

from lerobot_inference.control.prefetch import PrefetchSchedule
from lerobot_inference.control.schedule import EnsembleSchedule, QueueSchedule, Schedule, make_schedule
from lerobot_inference.types import ActionMode, PolicySpec

ENSEMBLE_COEFF = 0.01
"""The ACT paper's weight decay, for a policy that was not saved with one of its own."""


class ScheduleName(StrEnum):
    """POLICY: the one that the policy was saved with."""

    POLICY = "policy"
    QUEUE = "queue"
    PREFETCH = "prefetch"
    ENSEMBLE = "ensemble"


def choose_schedule(name: ScheduleName, spec: PolicySpec, mode: ActionMode, lead: int = 1) -> Schedule:
    """A new schedule. lead: actions before a chunk is used up at which `prefetch` asks for the next.

    Raises UsageError for a lead that leaves nothing of a chunk to play.
    """
    if name is ScheduleName.QUEUE:
        return QueueSchedule(spec.n_action_steps)
    if name is ScheduleName.PREFETCH:
        return PrefetchSchedule(spec.n_action_steps, mode, lead)
    if name is ScheduleName.ENSEMBLE and spec.temporal_ensemble_coeff is None:
        return EnsembleSchedule(ENSEMBLE_COEFF)
    return make_schedule(spec)
