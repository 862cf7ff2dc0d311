"""What the arm's trajectory controller is sent at each tick: where to be in the next moments, and how to come to rest.

A new trajectory replaces the one before it at each tick. Where no new one comes, because the program died, the arm
comes to rest by itself at the end of the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerobot_inference.types import FloatArray, TimeArray

REST_PERIODS = 3
"""The point of rest is at least this many control periods ahead, so that a missed tick doesn't stop the arm."""
LAG_S = 0.05
"""An arm is behind its command by this long at most, where nothing keeps it: a UR's servos by about 0.034 s."""
CATCH_UP = 0.5
"""rad/s at which an arm that was kept from moving is brought back to its command."""


@dataclass(frozen=True)
class Trajectory:
    """positions, velocities: (n, J) radians and rad/s; times_s: (n,) seconds from now. The last velocity is zero."""

    positions: FloatArray
    velocities: FloatArray
    times_s: TimeArray


def catch_up(command: FloatArray, velocity: FloatArray, measured: FloatArray) -> float:
    """Seconds that an arm at `measured` needs besides to be where its command is: 0 where it only lags.

    An arm whose speed slider or program stood still sets out from where it is for the newest point it was sent. All are
    (J,), radians and rad/s.
    """
    behind = np.abs(command - measured) - LAG_S * np.abs(velocity)
    return max(float(behind.max()), 0.0) / CATCH_UP


def rest(position: FloatArray, period_s: float, behind_s: float = 0.0) -> Trajectory:
    """Be at (J,) `position`, and stay there. behind_s: see catch_up."""
    seconds = max(REST_PERIODS * period_s, period_s + behind_s)
    return Trajectory(position[None], np.zeros_like(position)[None], np.array([seconds]))


def move(
    previous: FloatArray, targets: FloatArray, stop: FloatArray, stop_s: float, period_s: float, behind_s: float = 0.0
) -> Trajectory:
    """Pass through `targets` (n, J), one a period, and come to rest at `stop` (J,) `stop_s` seconds after the last.

    previous: (J,) the command before them. behind_s: how much later than a period from now the first is due, see
    catch_up. Velocities are those of the curve through the neighbours on either side (Catmull and Rom 1974), at the
    last target those of its own step, so that cubics between the points are C1.
    """
    path = np.concatenate([previous[None], targets])
    steps = np.diff(path, axis=0) / period_s
    velocities = np.concatenate([(steps[:-1] + steps[1:]) / 2, steps[-1:], np.zeros_like(steps[:1])])
    times = behind_s + period_s * np.arange(1, len(targets) + 1)
    positions = np.concatenate([targets, stop[None]])
    return Trajectory(positions.astype(np.float32), velocities.astype(np.float32), np.append(times, times[-1] + stop_s))


def braking(velocity: FloatArray, acceleration: float, targets: int, period_s: float) -> tuple[float, FloatArray]:
    """How long (seconds) and how far ((J,) radians) an arm goes on after that many targets, slowing down evenly.

    velocity: (J,) rad/s. As hard as `acceleration` (rad/s^2), or softer where the rest would come too soon.
    """
    hard = float(np.abs(velocity).max()) / acceleration
    seconds = max(hard, period_s, (REST_PERIODS - targets) * period_s)
    return seconds, (velocity * np.float32(seconds / 2)).astype(np.float32)
