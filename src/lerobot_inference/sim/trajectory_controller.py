"""The robot's own trajectory controller: what ros2_control's joint_trajectory_controller makes of a trajectory message.

With UR's settings: a whole set of joints, a path tolerance of 0.2 rad, a velocity of zero at the end. Time is an
argument.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from lerobot_inference.sim.scene import Vector

PATH_TOLERANCE = 0.2
"""Radians between desired and measured, at which a trajectory is aborted: `trajectory` in ur_controllers.yaml."""

_AT_REST = 1e-9  # rad/s; a last velocity above it is refused


@dataclass(frozen=True)
class Goal:
    """A trajectory message. positions, velocities: radians and rad/s, one list a point, in the order of joint_names.

    velocities: an empty list for a point that has none. times_s: after the start; stamp_s: the start, 0 for now.
    """

    joint_names: Sequence[str]
    positions: Sequence[Sequence[float]]
    velocities: Sequence[Sequence[float]]
    times_s: Sequence[float]
    stamp_s: float = 0.0


@dataclass(frozen=True)
class Setpoint:
    """Where the joints should be and how fast they should move: (J,) radians, (J,) rad/s."""

    position: Vector
    velocity: Vector

    @classmethod
    def rest(cls, position: Vector) -> Self:
        """At `position`, not moving."""
        return cls(np.array(position, np.float64), np.zeros(len(position)))


@dataclass(frozen=True)
class Curve:
    """Cubics of Hermite between points with velocities, straight lines where an end has none (NaN).

    times_s: (n,); positions, velocities: (n, J). Before the first point and after the last it stands still.
    """

    times_s: Vector
    positions: Vector
    velocities: Vector

    def at(self, now_s: float) -> Setpoint:
        """Where it is now."""
        if now_s >= self.times_s[-1]:
            return Setpoint.rest(self.positions[-1])
        index = int(np.searchsorted(self.times_s, now_s, side="right")) - 1
        if index < 0:
            return Setpoint.rest(self.positions[0])
        (p0, p1), (v0, v1) = self.positions[index : index + 2], self.velocities[index : index + 2]
        seconds = self.times_s[index + 1] - self.times_s[index]
        s = (now_s - self.times_s[index]) / seconds
        slope = (p1 - p0) / seconds
        if np.isnan(v0 + v1).any():
            return Setpoint(p0 + s * (p1 - p0), slope)
        position = p0 + seconds * s * (v0 + s * (3 * slope - 2 * v0 - v1 + s * (v0 + v1 - 2 * slope)))
        velocity = v0 + s * (2 * (3 * slope - 2 * v0 - v1) + 3 * s * (v0 + v1 - 2 * slope))
        return Setpoint(position, velocity)


class TrajectoryController:
    """Executes the newest trajectory; a new one replaces what is left of the one before.

    Where a new one begins: at the present setpoint, as with ros2_control's `interpolate_from_desired_state`, or at the
    measured joints, as without. refused: how many messages were not taken, by reason.
    """

    def __init__(
        self, joint_names: Sequence[str], position: Vector, *, interpolate_from_desired_state: bool = True
    ) -> None:
        self.joint_names = tuple(joint_names)
        self.accepted = self.aborted = 0
        self.refused: Counter[str] = Counter()
        self.running = True
        """False while the robot runs no program: whatever comes is refused."""
        self._from_desired = interpolate_from_desired_state
        self._setpoint = Setpoint.rest(position)
        self._coming: Goal | None = None
        self._curve: Curve | None = None

    def receive(self, goal: Goal, now_s: float) -> bool:
        """Take a trajectory, to begin with the next `update`; False for one that is refused."""
        reason = "the robot is not running" if not self.running else self._problem(goal, now_s)
        if reason:
            self.refused[reason] += 1
            return False
        self.accepted += 1
        self._coming = goal
        return True

    def update(self, now_s: float, measured: Setpoint) -> Vector:
        """(J,) radians for the servos now. A trajectory that the arm can't follow is aborted: it holds where it is."""
        fresh = self._coming is not None
        if self._coming is not None:
            self._curve = self._through(self._coming, now_s, self._setpoint if self._from_desired else measured)
            self._coming = None
        if self._curve is None:
            return self._setpoint.position
        setpoint = self._curve.at(now_s)
        moving = fresh or now_s < self._curve.times_s[-1]
        if moving and np.abs(setpoint.position - measured.position).max() > PATH_TOLERANCE:
            self.aborted += 1
            self.hold(measured.position)
        else:
            self._setpoint = setpoint
        return self._setpoint.position

    def hold(self, position: Vector) -> None:
        """Forget the trajectory and stay at (J,) `position`."""
        self._coming = self._curve = None
        self._setpoint = Setpoint.rest(position)

    def _through(self, goal: Goal, now_s: float, before: Setpoint) -> Curve:
        order = [list(goal.joint_names).index(name) for name in self.joint_names]
        positions = np.array(goal.positions, np.float64)[:, order]
        nothing = [math.nan] * len(order)
        velocities = np.array([given or nothing for given in goal.velocities], np.float64)[:, order]
        times = (goal.stamp_s or now_s) + np.array(goal.times_s, np.float64)
        if times[0] <= now_s:  # joined on its way
            return Curve(times, positions, velocities)
        return Curve(
            np.append(now_s, times),
            np.vstack([before.position, positions]),
            np.vstack([before.velocity, velocities]),
        )

    def _problem(self, goal: Goal, now_s: float) -> str:
        """Why a trajectory is refused; empty for a good one."""
        joints = len(self.joint_names)
        if sorted(goal.joint_names) != sorted(self.joint_names):
            return "its joints are not the controller's"
        if not goal.positions or not len(goal.positions) == len(goal.velocities) == len(goal.times_s):
            return "it has no points"
        if any(len(point) != joints for point in goal.positions) or any(
            len(point) not in (0, joints) for point in goal.velocities
        ):
            return "a point has another number of joints"
        if not all(map(math.isfinite, _flat([goal.times_s, *goal.positions, *goal.velocities]))):
            return "it is not finite"
        if goal.times_s[0] < 0.0 or any(after <= before for before, after in pairwise(goal.times_s)):
            return "its times don't increase"
        if any(abs(velocity) > _AT_REST for velocity in goal.velocities[-1]):
            return "it ends with a velocity"
        if goal.stamp_s and goal.stamp_s + goal.times_s[-1] < now_s:
            return "it ends in the past"
        return ""


def _flat(rows: Iterable[Iterable[float]]) -> Iterable[float]:
    return (value for row in rows for value in row)
