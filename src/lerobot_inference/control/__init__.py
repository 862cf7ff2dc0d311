"""Action chunk in, one checked joint command per tick out: the schedule, the action mode, the guards, the controller.

The evaluator and the robot run this very code.
"""

from lerobot_inference.control.action_mode import to_action, to_target
from lerobot_inference.control.schedule import EnsembleSchedule, QueueSchedule, Schedule, make_schedule

__all__ = ["EnsembleSchedule", "QueueSchedule", "Schedule", "make_schedule", "to_action", "to_target"]
