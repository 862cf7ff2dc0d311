"""The simulated cell in real time: physics that keeps up with the clock, under the robot's own trajectory controller.

Joint vectors are (6,) radians in the order of control.kinematics.JOINTS; times are seconds of one clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel

from lerobot_inference.control import UR10E, Guards
from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.sim.cell import PHYSICS_HZ, REACH_RADIUS, Cell
from lerobot_inference.sim.scene import Scene, sample_scene, scene_rng
from lerobot_inference.sim.trajectory_controller import Goal, Setpoint, TrajectoryController
from lerobot_inference.types import FloatArray

STEP_S = 1.0 / PHYSICS_HZ
MOST_BEHIND_S = 0.25
"""A cell that is further behind the clock lets the rest of that time go by without physics."""
STAY_S = 0.5
"""The ball is reached once the tip has stayed within REACH_RADIUS of the goal for so long."""


class CellReport(BaseModel):
    """What the arm has done since the episode began. Radians, rad/s, metres, m/s, seconds; in the order of JOINTS.

    commands: trajectories taken; refused: those that were not, by reason; aborted: those that the arm could not follow.
    speed: of the fastest joint now; top_speed: of each joint; top_tool_speed: of the tool's tip.
    limits_exceeded: how often a joint was faster than the robot allows, or out of its range, by name.
    lost_s: for how long the cell could not keep up with the clock and stood still.
    joints_s, image_s: stamps of the newest messages sent in good order; images: how many were sent.
    """

    time_s: float
    episode: int
    running: bool
    faults: list[str]
    commands: int
    refused: dict[str, int]
    aborted: int
    positions: list[float]
    speed: float
    top_speed: list[float]
    top_tool_speed: float
    limits_exceeded: dict[str, int]
    distance: float
    reached: bool
    lost_s: float
    joints_s: float = 0.0
    image_s: float = 0.0
    images: int = 0


@dataclass
class Figures:
    """What is measured while the arm moves."""

    top_speed: FloatArray = field(default_factory=lambda: np.zeros(len(JOINTS), np.float32))
    top_tool_speed: float = 0.0
    limits_exceeded: Counter[str] = field(default_factory=Counter)
    lost_s: float = 0.0
    near_since_s: float | None = None


class LiveCell:
    """A Cell, its trajectory controller and a clock. Use it from one thread.

    speed_scaling: 0 to 1, the robot's speed slider: how fast time passes for its trajectory.
    """

    def __init__(self, cell: Cell, seed: int, episode: int, now_s: float, *, from_desired: bool = True) -> None:
        """seed, episode: which of `sim rollout`'s scenes. from_desired: see TrajectoryController."""
        self.cell, self.seed = cell, seed
        self._from_desired = from_desired
        limits = Guards.load(UR10E).settings
        self._fastest = np.asarray(limits["joint_velocity"]["limits"])
        self._low, self._high = np.asarray(limits["joint_position"]["limits"]).T
        self.reset(episode, now_s)

    def reset(self, episode: int, now_s: float) -> None:
        """Begin an episode: its scene, the arm at its start and at rest, the robot running."""
        self.episode = episode
        self._scene = self._sample(episode)
        self.cell.reset(self._scene)
        self.controller = TrajectoryController(
            JOINTS, self._measured().position, interpolate_from_desired_state=self._from_desired
        )
        self.figures = Figures()
        self.time_s = now_s
        self.speed_scaling = 1.0
        self._slowed_s = 0.0
        self._tip, self._tip_s = self.cell.tip_position(), now_s

    def receive(self, goal: Goal, now_s: float) -> bool:
        """See TrajectoryController."""
        self.advance(now_s)
        return self.controller.receive(goal, now_s)

    def brake(self) -> None:
        """Stop at once, wherever the arm is, and forget what was commanded."""
        self.controller.hold(self._measured().position)

    def advance(self, now_s: float) -> None:
        """Let physics pass up to now."""
        behind = now_s - self.time_s - MOST_BEHIND_S
        if behind > 0.0:
            self.figures.lost_s += behind
            self.time_s += behind
        while self.time_s + STEP_S <= now_s:
            self._slowed_s += STEP_S * (1.0 - self.speed_scaling)
            self.cell.advance(self.controller.update(self.time_s - self._slowed_s, self._measured()))
            self.time_s += STEP_S
            self._measure_joints()
        self._measure_tool()

    def report(self, faults: list[str]) -> CellReport:
        """What the arm has done so far."""
        figures = self.figures
        near = figures.near_since_s
        return CellReport(
            time_s=self.time_s,
            episode=self.episode,
            running=self.controller.running,
            faults=faults,
            commands=self.controller.accepted,
            refused=dict(self.controller.refused),
            aborted=self.controller.aborted,
            positions=self.cell.joint_positions().tolist(),
            speed=float(np.abs(self.cell.joint_velocities()).max()),
            top_speed=figures.top_speed.tolist(),
            top_tool_speed=figures.top_tool_speed,
            limits_exceeded=dict(figures.limits_exceeded),
            distance=self._distance(),
            reached=near is not None and self.time_s - near >= STAY_S,
            lost_s=figures.lost_s,
        )

    def _measured(self) -> Setpoint:
        return Setpoint(self.cell.joint_positions().astype(np.float64), self.cell.joint_velocities().astype(np.float64))

    def _measure_joints(self) -> None:
        figures, position, speed = self.figures, self.cell.joint_positions(), np.abs(self.cell.joint_velocities())
        figures.top_speed = np.maximum(figures.top_speed, speed)
        exceeded = (speed > self._fastest) | (position < self._low) | (position > self._high)
        figures.limits_exceeded.update(name for name, beyond in zip(JOINTS, exceeded, strict=True) if beyond)

    def _measure_tool(self) -> None:
        passed = self.time_s - self._tip_s
        if passed < 4 * STEP_S:
            return
        tip = self.cell.tip_position()
        speed = float(np.linalg.norm(tip - self._tip)) / passed
        self.figures.top_tool_speed = max(self.figures.top_tool_speed, speed)
        self._tip, self._tip_s = tip, self.time_s
        if self._distance() > REACH_RADIUS:
            self.figures.near_since_s = None
        elif self.figures.near_since_s is None:
            self.figures.near_since_s = self.time_s

    def _distance(self) -> float:
        return float(np.linalg.norm(self._tip - self._scene.goal))

    def _sample(self, episode: int) -> Scene:
        return sample_scene(scene_rng("rollout", self.seed, episode))
