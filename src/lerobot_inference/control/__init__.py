"""Action chunk in, one checked joint command per tick out: the schedule, the action mode, the guards, the controller.

The evaluator and the robot run this very code.
"""

from lerobot_inference.control.action_mode import to_action, to_target
from lerobot_inference.control.controller import Controller
from lerobot_inference.control.decision import ControlSettings, Decision, State
from lerobot_inference.control.guards import UR10E, GuardEvent, Guards, Severity
from lerobot_inference.control.schedule import EnsembleSchedule, QueueSchedule, Schedule, make_schedule
from lerobot_inference.control.schedules import ScheduleName, choose_schedule

__all__ = [
    "UR10E",
    "ControlSettings",
    "Controller",
    "Decision",
    "EnsembleSchedule",
    "GuardEvent",
    "Guards",
    "QueueSchedule",
    "Schedule",
    "ScheduleName",
    "Severity",
    "State",
    "choose_schedule",
    "make_schedule",
    "to_action",
    "to_target",
]
