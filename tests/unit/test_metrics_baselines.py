"""What predictors without a policy say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from lerobot_inference.evaluation import demonstrations
from lerobot_inference.evaluation.baselines import BASELINES, BaselineInput, skill
from lerobot_inference.evaluation.demonstrations import Demonstrations
from lerobot_inference.types import ActionMode

EACH_FRAME = np.arange(4)


@dataclass(frozen=True)
class Recorded:
    """An episode whose actions say where they were recorded: episode * 1000 + frame."""

    index: int
    states: np.ndarray

    @property
    def actions(self) -> np.ndarray:
        frames = self.index * 1000 + np.arange(len(self.states), dtype=np.float32)
        return np.stack([frames, frames], axis=1)

    @property
    def scored_length(self) -> int:
        return len(self.states) - 1


def example(mode: ActionMode) -> BaselineInput:
    states = np.arange(8, dtype=np.float32).reshape(4, 2)
    actions = np.array([[1, 1], [2, 2], [3, 3], [4, 4]], np.float32)
    return BaselineInput(states, actions, np.array([9, 9], np.float32), mode, 30.0)


def ask(name: str, episode: BaselineInput, ahead: int = 0) -> np.ndarray:
    frames = np.arange(len(episode.actions))
    return BASELINES[name](episode, frames, np.full(len(frames), ahead))


def test_skill_is_one_for_a_perfect_policy_zero_for_the_baseline_negative_for_worse_and_unknown_without_error() -> None:
    assert skill(0.0, 0.2) == 1
    assert skill(0.2, 0.2) == 0
    assert skill(0.4, 0.2) == -1
    assert skill(0.1, 0.0) is None


@pytest.mark.parametrize("ahead", [0, 2])
def test_hold_still_is_a_zero_delta_or_the_present_position(ahead: int) -> None:
    assert not ask("hold_still", example(ActionMode.DELTA), ahead).any()
    absolute = example(ActionMode.ABSOLUTE)
    assert np.array_equal(ask("hold_still", absolute, ahead), absolute.states)


def test_an_action_beyond_the_state_is_held_at_its_last_value_and_at_the_mean_before_any() -> None:
    states = np.array([[0.1], [0.2], [0.3]], np.float32)
    actions = np.array([[1, 5], [2, 6], [3, 7]], np.float32)
    held = ask("hold_still", BaselineInput(states, actions, np.array([0, 9], np.float32), ActionMode.ABSOLUTE, 30.0))
    assert held[:, 0] == pytest.approx([0.1, 0.2, 0.3])
    assert held[:, 1].tolist() == [9, 5, 6]


def test_a_state_beyond_the_action_is_no_part_of_what_is_held() -> None:
    recorded = replace(example(ActionMode.ABSOLUTE), states=np.arange(12, dtype=np.float32).reshape(4, 3))
    assert np.array_equal(ask("hold_still", recorded), recorded.states[:, :2])


def test_repeat_last_says_what_was_done_a_step_before_and_holds_still_at_first() -> None:
    assert ask("repeat_last", example(ActionMode.DELTA))[:, 0].tolist() == [0, 1, 2, 3]


def test_dataset_mean_says_the_mean_at_every_step() -> None:
    assert (ask("dataset_mean", example(ActionMode.DELTA)) == 9).all()


def test_a_baselines_answer_meets_what_was_recorded_that_far_ahead() -> None:
    asked, ahead = np.array([0, 0, 2]), np.array([0, 3, 1])
    found = example(ActionMode.DELTA).score(asked, ahead)
    assert found["hold_still"].absolute.total.tolist() == [1 + 4 + 4] * 2
    assert found["repeat_last"].absolute.total.tolist() == [1 + 4 + 2] * 2
    assert "nearest_neighbour" not in found


def recordings(seed: int, lengths: list[int], joints: int) -> list[Recorded]:
    random = np.random.default_rng(seed)
    return [
        Recorded(3 * n, random.normal(size=(length, joints)).astype(np.float32)) for n, length in enumerate(lengths)
    ]


@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(2, 30), min_size=2, max_size=5),
    joints=st.sampled_from([1, 2, 7]),
    left_out=st.integers(0, 1),
)
def test_the_nearest_neighbour_is_as_near_as_a_kd_tree_finds_in_any_other_episode(
    seed: int, lengths: list[int], joints: int, left_out: int
) -> None:
    episodes = recordings(seed, lengths, joints)
    std = np.linspace(0.1, 2, joints)
    asking = episodes.pop(left_out)
    everyone = Demonstrations.join([*episodes, asking], std)
    assert everyone is not None
    others = everyone.without(asking.index)
    assert others is not None
    tree = cKDTree(np.concatenate([e.states[:-1] for e in episodes]) / std)
    distances, _ = tree.query(asking.states / std)
    by_number = {e.index: e for e in episodes}
    for state, distance, action in zip(
        asking.states, distances, others.action(others.nearest(asking.states), np.array([0])), strict=True
    ):
        number, frame = divmod(int(action[0]), 1000)
        found = by_number[number].states[frame]
        assert np.linalg.norm((found - state) / std) == pytest.approx(distance, rel=1e-4, abs=1e-6)


def test_the_nearest_neighbour_goes_on_as_its_episode_did_and_repeats_its_last_action() -> None:
    """Episode 3 passes 0.5, the last state it has an action for; its end is not episode 6's beginning."""
    episodes = [
        Recorded(0, np.array([[0.0], [9.0], [9.0]], np.float32)),
        Recorded(3, np.array([[0.3], [0.4], [0.5], [0.6]], np.float32)),
        Recorded(6, np.array([[5.0], [6.0]], np.float32)),
    ]
    everyone = Demonstrations.join(episodes, np.ones(1))
    assert everyone is not None
    states = np.full((4, 1), 0.41, np.float32)
    recorded = replace(example(ActionMode.DELTA), states=states, others=everyone.without(0))
    said = [int(ask("nearest_neighbour", recorded, ahead)[0, 0]) for ahead in (0, 1, 2, 50)]
    assert said == [3001, 3002, 3002, 3002]


def test_a_joint_that_never_moves_is_no_distance_and_the_scale_decides_who_is_near() -> None:
    episodes = [
        Recorded(n, np.array([state] * 2, np.float32)) for n, state in enumerate([[0, 0, 5], [1, 0, 5], [0, 3, 5]])
    ]
    everyone = Demonstrations.join(episodes, np.array([0.1, 10.0, 0.0]))
    assert everyone is not None
    others = everyone.without(0)
    assert others is not None
    nearest = others.nearest(np.array([[0, 0, 5]], np.float32))
    assert others.episodes[nearest].tolist() == [2]


def test_the_neighbours_do_not_depend_on_how_many_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = Demonstrations.join(recordings(0, [50, 60], 6), np.ones(6))
    assert everyone is not None
    asked = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    at_once = everyone.nearest(asked)
    monkeypatch.setattr(demonstrations, "BLOCK", 300)
    assert np.array_equal(everyone.nearest(asked), at_once)
    assert [int(everyone.nearest(state[None])[0]) for state in asked] == at_once.tolist()


def test_one_episode_alone_has_no_neighbour() -> None:
    alone = Demonstrations.join(recordings(0, [5], 2), np.ones(2))
    assert alone is not None
    assert alone.without(0) is None
    assert Demonstrations.join([], np.ones(2)) is None
