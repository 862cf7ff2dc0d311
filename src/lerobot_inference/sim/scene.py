"""What differs from one episode to the next: the target, the start, the light, the colours, the camera.

Everything is drawn from one generator, so the same seed gives the same episodes.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

type Vector = NDArray[np.float64]

WORKSPACE = ((0.50, -0.30), (0.90, 0.30))
"""Where targets lie: the near right and far left corner on the table, metres in the robot's base frame."""

BALL_RADIUS = 0.04
"""Metres. The target is a ball on the table."""

HOVER = 0.03
"""Metres between the ball's top and the point the tool's tip must reach."""


@dataclass(frozen=True)
class Scene:
    """One episode's circumstances. Positions in metres in the robot's base frame, colours RGB in [0, 1].

    target: (2,) where the ball lies on the table. start_tip: (3,) where the tool's tip is at first.
    start_noise: (6,) radians added to the joints of that pose. camera_offset, look_offset: (3,) how far the camera
    and the point it looks at are moved. light_position (3,), light and ambient: brightness of the two lights.
    """

    target: Vector
    start_tip: Vector
    start_noise: Vector
    camera_offset: Vector
    look_offset: Vector
    light_position: Vector
    light: float
    ambient: float
    ball_colour: Vector
    table_colour: Vector
    floor_colour: Vector
    arm_colour: Vector

    @property
    def goal(self) -> Vector:
        """(3,) the point that the tool's tip must reach: just above the ball."""
        return np.array([*self.target, 2 * BALL_RADIUS + HOVER])

    def near_goal(self, rng: np.random.Generator) -> Scene:
        """The same scene, started within 12 cm of the goal: where a policy that missed a little finds itself."""
        tip = self.goal + rng.uniform(-0.12, 0.12, 3)
        return replace(self, start_tip=np.maximum(tip, [-np.inf, -np.inf, 0.05]))

    def with_target(self, target: Vector) -> Scene:
        """The same scene with the ball somewhere else."""
        return replace(self, target=target)


def scene_rng(purpose: str, seed: int, index: int) -> np.random.Generator:
    """The generator of one scene.

    Its purpose ("record", "train", "rollout") is part of the seed, so that no episode that scores a policy was among
    those it was trained on.
    """
    return np.random.default_rng([*purpose.encode(), seed, index])


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene: uniform over the workspace, with randomised light, colours and camera."""
    low, high = np.array(WORKSPACE)
    return Scene(
        target=rng.uniform(low, high),
        start_tip=rng.uniform([*low, 0.2], [*high, 0.45]),
        start_noise=rng.normal(0.0, [0.03, 0.03, 0.03, 0.1, 0.1, 0.1]),
        camera_offset=rng.uniform(-0.01, 0.01, 3),
        look_offset=rng.uniform(-0.01, 0.01, 3),
        light_position=rng.uniform([-0.5, -1.5, 1.8], [1.5, 1.5, 2.6]),
        light=rng.uniform(0.4, 0.8),
        ambient=rng.uniform(0.2, 0.45),
        ball_colour=_colour(rng, hue=(-0.03, 0.03), saturation=(0.75, 1.0), value=(0.7, 1.0)),
        table_colour=_colour(rng, hue=(0.0, 1.0), saturation=(0.0, 0.25), value=(0.35, 0.8)),
        floor_colour=_colour(rng, hue=(0.0, 1.0), saturation=(0.0, 0.25), value=(0.1, 0.5)),
        arm_colour=_colour(rng, hue=(0.55, 0.65), saturation=(0.0, 0.2), value=(0.6, 0.9)),
    )


def other_target(rng: np.random.Generator, target: Vector, at_least: float = 0.2) -> Vector:
    """A place in the workspace that is `at_least` metres away from `target`."""
    low, high = np.array(WORKSPACE)
    while True:
        candidate: Vector = rng.uniform(low, high)
        if np.linalg.norm(candidate - target) >= at_least:
            return candidate


def _colour(
    rng: np.random.Generator, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]
) -> Vector:
    h, s, v = (rng.uniform(*bounds) for bounds in (hue, saturation, value))
    return np.array(colorsys.hsv_to_rgb(h % 1.0, s, v))
