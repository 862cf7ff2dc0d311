"""The scripted expert: knows where the ball is and moves the joints there smoothly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from lerobot_inference.sim.cell import CONTROL_HZ, Cell
from lerobot_inference.sim.scene import Scene, Vector
from lerobot_inference.types import FloatArray, UInt8Array

_TOP_SPEED = 0.5  # rad/s, length of the joint velocity vector
_ACCELERATION = 4.0  # rad/s^2 when starting; a slow start could not be told from the middle of a movement in one frame
_APPROACH = 2.5  # 1/s: near the goal the speed is this times the remaining distance
_ARRIVED = 0.005  # rad
_HOLD_TICKS = 15  # half a second at the goal


def expert_commands(start: Vector, goal: Vector) -> Vector:
    """(T, 6) joint positions to command, one a tick: straight from start to goal (6,), in radians.

    Quick start, steady middle, exponential approach: the speed depends on little but the remaining distance, so
    what to do next can be seen in a single frame.
    """
    remaining, speed, held = goal - start, 0.0, 0
    commands = []
    while held < _HOLD_TICKS:
        distance = float(np.linalg.norm(remaining))
        speed = min(_TOP_SPEED, _APPROACH * distance, speed + _ACCELERATION / CONTROL_HZ)
        remaining = remaining * (1.0 - speed / CONTROL_HZ / max(distance, 1e-9))
        commands.append(goal - remaining)
        held += distance < _ARRIVED
    return np.stack(commands)


@dataclass(frozen=True)
class Demonstration:
    """One episode of the expert. states: (T, 6) measured radians. images: tick -> (H, W, 3) uint8 RGB."""

    states: FloatArray
    images: dict[int, UInt8Array]

    @property
    def actions(self) -> FloatArray:
        """(T, 6) radians: state[t+1] - state[t], the last one zero."""
        return np.diff(self.states, axis=0, append=self.states[-1:])


def demonstrate(cell: Cell, scene: Scene, choose: Callable[[int], Iterable[int]] = range) -> Demonstration:
    """Let the expert reach the scene's target and stay there for half a second.

    choose: which of the episode's ticks to render, given how many there are; all of them by default.
    """
    cell.reset(scene)
    commands = expert_commands(cell.joint_positions().astype(np.float64), cell.solve(scene.goal))
    rendered = set(choose(len(commands)))
    states, images = [], {}
    for tick, command in enumerate(commands):
        states.append(cell.joint_positions())
        if tick in rendered:
            images[tick] = cell.render()
        cell.step(command)
    return Demonstration(np.stack(states), images)
