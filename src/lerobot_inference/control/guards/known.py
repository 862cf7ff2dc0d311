"""What a policy's contract says of the recordings, for the guards that ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from lerobot_inference.checkpoint import Bundle, Policy

RECORDED = {"start_pose": "min", "out_of_distribution": "mean", "chunk_overlap": "by_stride"}
"""Guard -> the setting without which it has nothing to go by and says nothing."""


class Origin(StrEnum):
    """Where a guard has its limits from. NOWHERE: it has none and says nothing."""

    CONTRACT = "contract"
    GUARDS_FILE = "guards file"
    NOWHERE = "nowhere"


def known_limits(policy: Policy) -> Mapping[str, Mapping[str, Any]]:
    """Guard -> values that a guards file need not give, in the robot's own joint angles. A checkpoint says nothing."""
    if not isinstance(policy, Bundle):
        return {}
    envelope, signs = policy.contract.state_envelope, policy.contract.signs
    ends = [sorted((s * a, s * b)) for s, a, b in zip(signs, envelope.min, envelope.max, strict=True)]
    low, high = zip(*ends, strict=True)
    mean = [sign * value for sign, value in zip(signs, envelope.mean, strict=True)]
    known: dict[str, Mapping[str, Any]] = {
        "start_pose": {"min": low, "max": high, "std": envelope.std},
        "out_of_distribution": {"mean": mean, "std": envelope.std},
    }
    if thresholds := policy.contract.guard_thresholds:
        known["chunk_overlap"] = {"by_stride": thresholds.chunk_overlap}
    return known


def origins(settings: Mapping[str, Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Origin]:
    """Guard -> where it has its limits from, of those that go by what was recorded. settings: of all that are on."""
    return {
        name: _origin(settings[name].get(key), known.get(name, {}).get(key))
        for name, key in RECORDED.items()
        if name in settings
    }


def _origin(found: Sequence[float] | None, known: Sequence[float] | None) -> Origin:
    if not found:
        return Origin.NOWHERE
    return Origin.CONTRACT if known and list(found) == list(known) else Origin.GUARDS_FILE
