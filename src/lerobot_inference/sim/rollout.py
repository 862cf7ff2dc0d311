"""Close the loop: let a policy move the simulated arm, and count how often it reaches the ball."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from lerobot_inference.control import (
    UR10E,
    Controller,
    ControlSettings,
    Decision,
    Guards,
    ScheduleName,
    State,
    choose_schedule,
)
from lerobot_inference.control.guards.known import Origin, origins
from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.control.predictor import InlinePredictor
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import EngineError, UsageError
from lerobot_inference.sim.cell import CAMERA, CONTROL_HZ, REACH_RADIUS, Cell
from lerobot_inference.sim.scene import Scene, other_target, sample_scene, scene_rng
from lerobot_inference.types import ActionMode, Progress, silent

TICKS = 6 * CONTROL_HZ
"""Length of a run: six seconds; the expert needs at most five."""

_STAY_TICKS = CONTROL_HZ // 2


class RolloutRun(BaseModel):
    """One run. The distances are metres between the tool's tip and the goal, at the start and at the end.

    border_jump, interior_jump: mean over the joints of the largest change of the commanded step (radians a tick) where
    a chunk ends or the next takes over, and elsewhere. held_ticks: at which the arm stood still for want of an action
    or by a guard.
    """

    episode: int
    success: bool
    start_distance: float
    final_distance: float
    border_jump: float
    interior_jump: float
    held_ticks: int
    guards: dict[str, int]


class RolloutResults(BaseModel):
    """What `sim rollout` measured.

    interval: 95 % Wilson score interval of the success rate. limits_from: where the guards that go by what was recorded
    have their limits from.
    """

    policy: str
    engine: str
    device: str
    action_mode: ActionMode
    schedule: ScheduleName
    latency_ticks: int
    limits_from: dict[str, Origin]
    wrong_image: bool
    seed: int
    episodes: int
    successes: int
    success_rate: float
    interval: tuple[float, float]
    reach_radius: float
    median_final_distance: float
    runs: list[RolloutRun]


@dataclass(frozen=True)
class Loop:
    """How the loop is closed. latency_ticks: control periods from asking for a chunk to having it.

    known: what the policy's contract says for the guards, see `known_limits`.
    """

    schedule: ScheduleName = ScheduleName.POLICY
    latency_ticks: int = 0
    action_mode: ActionMode = ActionMode.DELTA
    wrong_image: bool = False
    guards: Path = UR10E
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def chain(self) -> Guards:
        """The guards of the arm. A run's start is drawn and is to be tried, recorded or not. Raises ConfigError."""
        return Guards.load(self.guards, {name: known for name, known in self.known.items() if name != "start_pose"})


def rollout(
    engine: Engine, policy: str, episodes: int = 50, seed: int = 0, loop: Loop = Loop(), progress: Progress = silent
) -> RolloutResults:
    """Run `episodes` seeded episodes through the controller that the robot has, with control on.

    A run is a success when the tip stays within `REACH_RADIUS` of the goal for the last half second.
    wrong_image: show the ball at another place than the goal's, at least 20 cm away. A policy that uses its image then
    goes to the wrong place, so the success rate must fall to about zero.
    Raises UsageError when the policy isn't one for six joints and this cell's camera, ConfigError for a bad guards
    file, EngineError when control can't be switched on.
    """
    if episodes < 1:
        raise UsageError(f"can't run {episodes} episodes", hint="give --episodes 1 or more")
    spec = engine.spec
    if (spec.state_dim, spec.action_dim, list(spec.cameras)) != (6, 6, [CAMERA]):
        raise UsageError(
            f"{policy}: state {spec.state_dim}, action {spec.action_dim}, cameras {', '.join(spec.cameras)}; "
            f"the simulated cell has 6, 6 and {CAMERA}",
            hint="train one with: lerobot-inference sim train",
        )
    cell = Cell(spec.cameras[CAMERA])
    runs = []
    for episode in range(episodes):
        runs.append(_run(cell, engine, episode, seed, loop))
        progress("closing the loop", episode + 1, episodes)
    cell.close()
    successes = sum(run.success for run in runs)
    return RolloutResults(
        policy=policy,
        engine=engine.name,
        device=engine.device,
        action_mode=loop.action_mode,
        schedule=loop.schedule,
        latency_ticks=loop.latency_ticks,
        limits_from=origins(loop.chain().settings, loop.known),
        wrong_image=loop.wrong_image,
        seed=seed,
        episodes=episodes,
        successes=successes,
        success_rate=successes / episodes,
        interval=wilson_interval(successes, episodes),
        reach_radius=REACH_RADIUS,
        median_final_distance=float(np.median([run.final_distance for run in runs])),
        runs=runs,
    )


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion (Wilson 1927); honest at 0 and 1, unlike the normal one."""
    z = 1.959964
    rate, spread = successes / trials, z * z / trials
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials))
    # At 0 and 1 a bound is the rate itself, up to rounding.
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))


def _run(cell: Cell, engine: Engine, episode: int, seed: int, loop: Loop) -> RolloutRun:
    rng = scene_rng("rollout", seed, episode)
    scene = sample_scene(rng)
    cell.reset(scene)
    if loop.wrong_image:
        cell.show_target(other_target(rng, scene.target))
    controller = _controller(engine, loop)
    decisions, distances = [], [_distance(cell, scene)]
    for tick in range(TICKS):
        now_s = 1.0 + tick / CONTROL_HZ
        controller.senses.see_joints(JOINTS, cell.joint_positions().tolist(), now_s, now_s)
        controller.senses.see_image(cell.render(), now_s, now_s)
        if tick == 0 and (refused := controller.arm(now_s)):
            raise EngineError(f"control can't be switched on: {refused}")
        decisions.append(controller.tick(now_s))
        cell.step(decisions[-1].command)
        distances.append(_distance(cell, scene))
    border, interior = _jumps(decisions)
    return RolloutRun(
        episode=episode,
        success=max(distances[-_STAY_TICKS:]) <= REACH_RADIUS,
        start_distance=distances[0],
        final_distance=distances[-1],
        border_jump=border,
        interior_jump=interior,
        held_ticks=sum(decision.state is not State.RUNNING for decision in decisions),
        guards=dict(controller.counts),
    )


def _controller(engine: Engine, loop: Loop) -> Controller:
    spec, mode = engine.spec, loop.action_mode
    return Controller(
        ControlSettings(JOINTS, mode, CONTROL_HZ),
        loop.chain(),
        choose_schedule(loop.schedule, spec, mode, lead=loop.latency_ticks),
        InlinePredictor(engine, loop.latency_ticks),
    )


def _distance(cell: Cell, scene: Scene) -> float:
    return float(np.linalg.norm(cell.tip_position() - scene.goal))


def _jumps(decisions: Sequence[Decision]) -> tuple[float, float]:
    """The largest change of step at a chunk's border and inside chunks, mean over joints, radians a tick.

    Where an arm comes to a halt for want of the next chunk is a border as well.
    """
    steps = np.diff([decision.command for decision in decisions], axis=0)
    change = np.abs(np.diff(steps, axis=0))
    chunks = np.array([decision.chunk for decision in decisions])
    held = np.array([decision.state is not State.RUNNING for decision in decisions])
    border = (np.diff(chunks)[1:] > 0) | held[2:]
    largest = [change[which].max(axis=0, initial=0.0).mean() for which in (border, ~border)]
    return float(largest[0]), float(largest[1])
