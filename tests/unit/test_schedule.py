"""The queue hands out chunks as lerobot's select_action does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.control import EnsembleSchedule, QueueSchedule, make_schedule, to_action, to_target
from lerobot_inference.errors import UsageError
from lerobot_inference.types import ActionMode, ImageShape, PolicySpec


def chunk(first: int, length: int = 8) -> np.ndarray:
    """Actions whose one joint counts up from `first`."""
    return np.arange(first, first + length, dtype=np.float32)[:, None]


def run(schedule: QueueSchedule | EnsembleSchedule, ticks: int) -> tuple[list[float], list[int]]:
    """Give a chunk that says the tick's own number whenever one is needed; return actions and asking ticks."""
    actions, asked = [], []
    for tick in range(ticks):
        if schedule.needs_chunk:
            schedule.add_chunk(chunk(tick))
            asked.append(tick)
        actions.append(float(schedule.next_action()[0]))
    return actions, asked


@given(n_action_steps=st.integers(1, 8), ticks=st.integers(1, 40))
def test_the_queue_executes_each_chunk_in_order_and_asks_every_n_action_steps(n_action_steps: int, ticks: int) -> None:
    schedule = QueueSchedule(n_action_steps)
    actions, asked = run(schedule, ticks)
    assert actions == list(range(ticks))
    assert asked == list(schedule.chunk_ticks(ticks)) == list(range(0, ticks, n_action_steps))


def test_a_reset_queue_asks_for_a_chunk_at_once() -> None:
    schedule = QueueSchedule(8)
    schedule.add_chunk(chunk(0))
    schedule.next_action()
    assert not schedule.needs_chunk
    schedule.reset()
    assert schedule.needs_chunk


def test_a_chunk_shorter_than_n_action_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="n_action_steps is 9, but a chunk holds 8 actions"):
        QueueSchedule(9).add_chunk(chunk(0))


@given(coeff=st.floats(-1, 1), ticks=st.integers(1, 40))
def test_the_ensemble_of_agreeing_chunks_is_what_they_agree_on(coeff: float, ticks: int) -> None:
    actions, asked = run(EnsembleSchedule(coeff), ticks)
    assert actions == pytest.approx(range(ticks), abs=1e-4)
    assert asked == list(range(ticks))


def test_the_ensemble_weighs_the_oldest_chunk_most_for_a_positive_coefficient() -> None:
    schedule = EnsembleSchedule(1.0)
    schedule.add_chunk(np.zeros((2, 1), np.float32))
    schedule.next_action()
    schedule.add_chunk(np.ones((2, 1), np.float32))
    newest_share = np.exp(-1) / (1 + np.exp(-1))
    assert schedule.next_action()[0] == pytest.approx(newest_share)


@pytest.mark.parametrize(("coeff", "kind"), [(None, QueueSchedule), (0.01, EnsembleSchedule)])
def test_the_schedule_is_the_one_the_policy_was_saved_with(coeff: float | None, kind: type) -> None:
    spec = PolicySpec(6, 6, {"observation.images.color": ImageShape(480, 848)}, 100, 1, coeff)
    assert isinstance(make_schedule(spec), kind)


def test_a_zero_delta_leaves_the_arm_where_it_is_and_a_small_one_moves_it_by_that_much() -> None:
    reference = np.array([0.1, -1.2, 2.0, 0.0, 0.5, 3.0], np.float32)
    step = np.full(6, 0.001, np.float32)
    assert np.array_equal(to_target(np.zeros(6, np.float32), reference, ActionMode.DELTA), reference)
    assert to_target(step, reference, ActionMode.DELTA) - reference == pytest.approx(step, abs=1e-6)


def test_an_absolute_action_is_the_target_wherever_the_arm_is() -> None:
    target = np.array([0.1, -1.2], np.float32)
    assert np.array_equal(to_target(target, np.ones(2, np.float32), ActionMode.ABSOLUTE), target)


@given(mode=st.sampled_from(ActionMode), values=st.lists(st.floats(-6, 6, width=32), min_size=4, max_size=4))
def test_to_action_undoes_to_target(mode: ActionMode, values: list[float]) -> None:
    action, reference = np.array(values[:2], np.float32), np.array(values[2:], np.float32)
    assert to_action(to_target(action, reference, mode), reference, mode) == pytest.approx(action, abs=1e-5)
