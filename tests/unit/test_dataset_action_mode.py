"""Telling joint steps from joint positions by looking at the recordings."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.dataset.action_mode import infer_action_mode
from lerobot_inference.errors import DatasetError
from lerobot_inference.types import ActionMode, FloatArray


@dataclass
class Recorded:
    states: FloatArray
    actions: FloatArray


def motion(seed: int, length: int = 200) -> FloatArray:
    rng = np.random.default_rng(seed)
    t = np.arange(length)[:, None] / 30
    angles = rng.uniform(-2, 2, 6) + 0.5 * np.sin(rng.uniform(0.5, 2, 6) * t + rng.uniform(0, 6, 6))
    return angles.astype(np.float32)


def recorded(states: FloatArray, actions: FloatArray) -> Recorded:
    return Recorded(states, np.concatenate([actions, np.zeros_like(actions[:1])]).astype(np.float32))


@given(st.integers(0, 1000), st.floats(0, 3e-4))
def test_steps_between_states_are_deltas_even_with_encoder_noise(seed: int, noise: float) -> None:
    states = motion(seed)
    steps = np.diff(states, axis=0) + np.random.default_rng(seed).normal(0, noise, (199, 6))
    assert infer_action_mode([recorded(states, steps)]).mode is ActionMode.DELTA


@given(st.integers(0, 1000), st.integers(1, 4))
def test_positions_that_the_arm_reaches_some_frames_later_are_absolute(seed: int, lag: int) -> None:
    states = motion(seed)
    targets = states[np.minimum(np.arange(1, 200) + lag - 1, 199)]
    assert infer_action_mode([recorded(states, targets)]).mode is ActionMode.ABSOLUTE


def test_the_padding_at_the_end_of_an_episode_does_not_count() -> None:
    evidence = infer_action_mode([recorded(motion(s, 50), motion(s, 50)[1:]) for s in range(2)])
    assert evidence.absolute_misfit == 0
    assert evidence.steps == 98
    assert "absolute: over 98 steps" in str(evidence)


def test_actions_that_fit_neither_are_refused_with_the_flag_to_use() -> None:
    noise = np.random.default_rng(0).normal(size=(199, 6))
    with pytest.raises(DatasetError, match="neither") as error:
        infer_action_mode([recorded(motion(0), noise)])
    assert "--action-mode" in (error.value.hint or "")


def test_an_arm_that_never_moves_tells_nothing() -> None:
    with pytest.raises(DatasetError, match="neither clearly"):
        infer_action_mode([recorded(np.zeros((50, 6), np.float32), np.zeros((49, 6)))])


def test_states_and_actions_of_different_size_cannot_be_compared() -> None:
    with pytest.raises(DatasetError, match="differ in size"):
        infer_action_mode([recorded(motion(0), np.zeros((199, 7)))])


@pytest.mark.parametrize("episodes", [[], [Recorded(motion(0, 1), motion(0, 1))]])
def test_too_little_to_compare_is_said(episodes: list[Recorded]) -> None:
    with pytest.raises(DatasetError, match="two frames"):
        infer_action_mode(episodes)
