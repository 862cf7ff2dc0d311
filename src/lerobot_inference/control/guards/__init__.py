"""Guards between the policy and the arm: one hazard a file. They keep a policy inside what it was trained for and stop
early and predictably; they are no safety function, which is the robot controller's and the operator's.

A guard is added by writing its file and its line in chain.py; those of other distributions come by entry points.
"""

from lerobot_inference.control.guards.base import (
    ACCEPT,
    ChunkCheck,
    Limit,
    Settings,
    Severity,
    Situation,
    Verdict,
    Watch,
)
from lerobot_inference.control.guards.chain import UR10E, GuardEvent, Guards, Outcome

__all__ = [
    "ACCEPT",
    "UR10E",
    "ChunkCheck",
    "GuardEvent",
    "Guards",
    "Limit",
    "Outcome",
    "Settings",
    "Severity",
    "Situation",
    "Verdict",
    "Watch",
]
