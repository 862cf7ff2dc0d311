"""Error and latency figures, against numpy and against what must be true of any data."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lerobot_inference.evaluation.baselines import BASELINES, BaselineInput, skill
from lerobot_inference.evaluation.metrics import ErrorSum, latency
from lerobot_inference.types import ActionMode

steps = st.integers(1, 20)
joints = st.sampled_from([1, 2, 6, 7, 14])
radians = st.floats(-6.25, 6.25, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(steps), draw(joints))
    arrays = hnp.arrays(np.float32, shape, elements=radians)
    return draw(arrays), draw(arrays)


@given(pairs())
def test_figures_equal_numpys_means(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = (array.astype(np.float64) for array in pair)
    figures = ErrorSum.of(*pair).figures()
    assert figures.mse == pytest.approx(np.mean((predicted - truth) ** 2))
    assert figures.mae == pytest.approx(np.mean(np.abs(predicted - truth)))
    assert figures.rmse == pytest.approx(np.sqrt(figures.mse))
    assert figures.max == pytest.approx(np.abs(predicted - truth).max())
    assert figures.per_joint_mae == pytest.approx(np.abs(predicted - truth).mean(axis=0))


@given(pairs(), st.integers(0, 20))
def test_sums_of_parts_equal_the_whole(pair: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    predicted, truth = pair
    parts = ErrorSum.of(predicted[:cut], truth[:cut]) + ErrorSum.of(predicted[cut:], truth[cut:])
    whole, summed = ErrorSum.of(predicted, truth).figures(), parts.figures()
    assert summed.mse == pytest.approx(whole.mse)
    assert summed.max == whole.max


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_steps_changes_nothing(pair: tuple[np.ndarray, np.ndarray], random: Random) -> None:
    predicted, truth = pair
    order = list(range(len(truth)))
    random.shuffle(order)
    assert ErrorSum.of(predicted[order], truth[order]).figures().mse == pytest.approx(
        ErrorSum.of(predicted, truth).figures().mse
    )


def test_a_perfect_prediction_has_no_error_and_full_skill() -> None:
    truth = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    figures = ErrorSum.of(truth, truth).figures()
    assert figures.mse == figures.mae == figures.max == 0
    assert skill(figures.mse, 0.5) == 1


@given(offset=st.floats(0.001, 1))
def test_a_constant_offset_shows_up_in_its_own_joint_only(offset: float) -> None:
    truth = np.zeros((5, 3), np.float32)
    predicted = truth + np.array([0, offset, 0], np.float32)
    figures = ErrorSum.of(predicted, truth).figures()
    assert figures.per_joint_mae == pytest.approx([0, offset, 0], rel=1e-5)


def test_no_steps_give_an_error_and_never_a_zero() -> None:
    empty = np.zeros((0, 6), np.float32)
    with pytest.raises(ValueError, match="no steps"):
        ErrorSum.of(empty, empty).figures()


def test_skill_is_zero_for_the_baseline_itself_negative_for_worse_and_unknown_for_a_perfect_baseline() -> None:
    assert skill(0.2, 0.2) == 0
    assert skill(0.4, 0.2) == -1
    assert skill(0.1, 0.0) is None


@given(st.lists(st.floats(1e-6, 2), min_size=1, max_size=50))
def test_latency_percentiles_are_ordered_and_in_milliseconds(seconds: list[float]) -> None:
    result = latency(seconds)
    ordered = [result.p50_ms, result.p95_ms, result.p99_ms, result.max_ms]
    assert ordered == sorted(ordered)
    assert result.max_ms == pytest.approx(1000 * max(seconds))
    assert result.mean_ms == pytest.approx(1000 * sum(seconds) / len(seconds))
    assert result.count == len(seconds)


def example(mode: ActionMode) -> BaselineInput:
    states = np.arange(8, dtype=np.float32).reshape(4, 2)
    actions = np.array([[1, 1], [2, 2], [3, 3], [4, 4]], np.float32)
    return BaselineInput(states, actions, np.array([9, 9], np.float32), mode)


def test_hold_still_is_a_zero_delta_or_the_present_position() -> None:
    hold = BASELINES["hold_still"]
    assert not hold(example(ActionMode.DELTA)).any()
    assert np.array_equal(hold(example(ActionMode.ABSOLUTE)), example(ActionMode.ABSOLUTE).states)


def test_an_action_beyond_the_state_is_held_at_its_last_value_and_at_the_mean_before_any() -> None:
    states = np.array([[0.1], [0.2], [0.3]], np.float32)
    actions = np.array([[1, 5], [2, 6], [3, 7]], np.float32)
    recorded = BaselineInput(states, actions, np.array([0, 9], np.float32), ActionMode.ABSOLUTE)
    held = BASELINES["hold_still"](recorded)
    assert held[:, 0] == pytest.approx([0.1, 0.2, 0.3])
    assert held[:, 1].tolist() == [9, 5, 6]


def test_repeat_last_says_what_was_done_a_step_before_and_holds_still_at_first() -> None:
    assert BASELINES["repeat_last"](example(ActionMode.DELTA))[:, 0].tolist() == [0, 1, 2, 3]


def test_dataset_mean_says_the_mean_at_every_step() -> None:
    assert (BASELINES["dataset_mean"](example(ActionMode.DELTA)) == 9).all()
