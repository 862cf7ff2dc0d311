"""Close the loop: let a policy move the simulated arm, and count how often it reaches the ball."""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel

from lerobot_inference.control import make_schedule, to_target
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import UsageError
from lerobot_inference.sim.cell import CAMERA, CONTROL_HZ, REACH_RADIUS, Cell
from lerobot_inference.sim.scene import other_target, sample_scene, scene_rng
from lerobot_inference.types import ActionMode, Progress, silent

TICKS = 6 * CONTROL_HZ
"""Length of a run: six seconds; the expert needs at most five."""

_STAY_TICKS = CONTROL_HZ // 2


class RolloutRun(BaseModel):
    """One run. The distances are metres between the tool's tip and the goal, at the start and at the end."""

    episode: int
    success: bool
    start_distance: float
    final_distance: float


class RolloutResults(BaseModel):
    """What `sim rollout` measured. interval: 95 % Wilson score interval of the success rate."""

    policy: str
    engine: str
    device: str
    action_mode: ActionMode
    wrong_image: bool
    seed: int
    episodes: int
    successes: int
    success_rate: float
    interval: tuple[float, float]
    reach_radius: float
    median_final_distance: float
    runs: list[RolloutRun]


def rollout(
    engine: Engine,
    policy: str,
    episodes: int = 50,
    seed: int = 0,
    *,
    wrong_image: bool = False,
    action_mode: ActionMode = ActionMode.DELTA,
    progress: Progress = silent,
) -> RolloutResults:
    """Run `episodes` seeded episodes of six seconds with the schedule the policy was saved with.

    A run is a success when the tip stays within `REACH_RADIUS` of the goal for the last half second.
    wrong_image: show the ball at another place than the goal's, at least 20 cm away. A policy that uses its image then
    goes to the wrong place, so the success rate must fall to about zero.
    Raises UsageError when the policy isn't one for six joints and this cell's camera, EngineError when it misbehaves.
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
        runs.append(_run(cell, engine, episode, seed, wrong_image, action_mode))
        progress("closing the loop", episode + 1, episodes)
    cell.close()
    successes = sum(run.success for run in runs)
    return RolloutResults(
        policy=policy,
        engine=engine.name,
        device=engine.device,
        action_mode=action_mode,
        wrong_image=wrong_image,
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


def _run(cell: Cell, engine: Engine, episode: int, seed: int, wrong_image: bool, action_mode: ActionMode) -> RolloutRun:
    rng = scene_rng("rollout", seed, episode)
    scene = sample_scene(rng)
    cell.reset(scene)
    if wrong_image:
        cell.show_target(other_target(rng, scene.target))
    schedule = make_schedule(engine.spec)
    command = cell.joint_positions()
    distances = [float(np.linalg.norm(cell.tip_position() - scene.goal))]
    for _ in range(TICKS):
        if schedule.needs_chunk:
            chunk = engine.predict({CAMERA: cell.render()[None]}, cell.joint_positions()[None])
            schedule.add_chunk(chunk.actions[0])
        command = to_target(schedule.next_action(), command, action_mode)
        cell.step(command)
        distances.append(float(np.linalg.norm(cell.tip_position() - scene.goal)))
    return RolloutRun(
        episode=episode,
        success=max(distances[-_STAY_TICKS:]) <= REACH_RADIUS,
        start_distance=distances[0],
        final_distance=distances[-1],
    )
