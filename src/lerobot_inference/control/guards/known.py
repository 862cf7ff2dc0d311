"""What a policy's contract says of the recorded states, for the guards that ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lerobot_inference.checkpoint import Bundle, Policy


def known_limits(policy: Policy) -> Mapping[str, Mapping[str, Any]]:
    """Guard -> values that a guards file need not give, in the robot's own joint angles. A checkpoint says nothing."""
    if not isinstance(policy, Bundle):
        return {}
    envelope, signs = policy.contract.state_envelope, policy.contract.signs
    ends = [sorted((s * a, s * b)) for s, a, b in zip(signs, envelope.min, envelope.max, strict=True)]
    low, high = zip(*ends, strict=True)
    mean = [sign * value for sign, value in zip(signs, envelope.mean, strict=True)]
    return {
        "start_pose": {"min": low, "max": high, "std": envelope.std},
        "out_of_distribution": {"mean": mean, "std": envelope.std},
    }
