"""What the scripted expert commands, without physics."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lerobot_inference.sim.expert import expert_commands
from lerobot_inference.sim.scene import WORKSPACE, other_target, sample_scene, scene_rng

joints = arrays(np.float64, 6, elements=st.floats(-2.0, 2.0))


@given(start=joints, goal=joints)
def test_the_expert_arrives_and_stays(start: np.ndarray, goal: np.ndarray) -> None:
    commands = expert_commands(start, goal)
    assert np.linalg.norm(commands[-1] - goal) < 0.005
    assert np.linalg.norm(commands[-15:] - goal, axis=1).max() < 0.006


@given(start=joints, goal=joints)
def test_the_expert_is_smooth(start: np.ndarray, goal: np.ndarray) -> None:
    commands = np.vstack([start, expert_commands(start, goal)])
    speed = np.linalg.norm(np.diff(commands, axis=0), axis=1) * 30
    assert speed.max() <= 0.5 + 1e-9
    assert np.abs(np.diff(speed)).max() * 30 <= 4.0 + 1e-9


def test_every_purpose_and_every_seed_has_scenes_of_its_own() -> None:
    targets = [
        tuple(sample_scene(scene_rng(purpose, seed, index)).target)
        for purpose in ("record", "train", "rollout")
        for seed in (0, 1)
        for index in range(5)
    ]
    assert len(set(targets)) == len(targets)


def test_targets_cover_the_workspace() -> None:
    low, high = np.array(WORKSPACE)
    targets = np.array([sample_scene(scene_rng("record", 0, index)).target for index in range(200)])
    assert (targets >= low).all()
    assert (targets <= high).all()
    assert (np.ptp(targets, axis=0) > 0.9 * (high - low)).all()


def test_the_wrong_place_is_far_from_the_goal() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        target = rng.uniform(*np.array(WORKSPACE))
        assert np.linalg.norm(other_target(rng, target) - target) >= 0.2
