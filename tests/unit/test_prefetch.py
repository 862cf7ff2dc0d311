"""A chunk hands over to the next without a jump."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_inference.control.prefetch import FADE_TICKS, PrefetchSchedule, fade
from lerobot_inference.control.trajectory import braking, catch_up, move, rest
from lerobot_inference.errors import UsageError
from lerobot_inference.types import ActionMode, FloatArray


def wave(phase: float, steps: int = 30, offset: float = 0.0) -> FloatArray:
    """(steps, 1) positions of a slow sine."""
    return (0.1 * np.sin(0.15 * (phase + np.arange(steps))) + offset)[:, None].astype(np.float32)


def play(schedule: PrefetchSchedule, ticks: int) -> FloatArray:
    return np.stack([schedule.next_action() for _ in range(ticks)])


def test_the_next_chunk_is_asked_for_early_and_takes_over_at_the_action_that_is_due() -> None:
    schedule = PrefetchSchedule(10, ActionMode.ABSOLUTE, lead=4)
    assert schedule.needs_chunk
    schedule.add_chunk(wave(0))
    play(schedule, 5)
    assert not schedule.needs_chunk
    play(schedule, 1)
    assert schedule.needs_chunk
    play(schedule, 3)
    schedule.add_chunk(wave(6), late=3)
    assert play(schedule, 5) == pytest.approx(wave(9, 5), abs=1e-6)


@pytest.mark.parametrize("mode", list(ActionMode))
def test_positions_are_smooth_over_a_border_between_chunks_that_disagree(mode: ActionMode) -> None:
    schedule = PrefetchSchedule(10, mode, lead=4)
    first, second = wave(0), wave(9, offset=0.05)
    if mode is ActionMode.DELTA:
        first, second = np.diff(first, axis=0), np.diff(wave(9) * np.float32(1.5), axis=0)
    schedule.add_chunk(first)
    before = play(schedule, 12)
    schedule.add_chunk(second, late=3)
    after = play(schedule, 12)
    given_actions = np.concatenate([before, after])
    positions = np.cumsum(given_actions, axis=0) if mode is ActionMode.DELTA else given_actions
    speed = np.diff(positions[:, 0])
    border = len(before) - 1
    inside = np.abs(np.diff(speed[: border - 1])).max()
    assert abs(speed[border] - speed[border - 1]) <= max(inside, 0.25 * 0.05) + 1e-4
    assert after[FADE_TICKS:] == pytest.approx(second[3 + FADE_TICKS : 15], abs=1e-6)


@given(old=st.floats(-0.02, 0.02), new=st.floats(-0.02, 0.02), late=st.integers(1, 6))
def test_a_step_never_changes_by_more_than_a_fifth_of_what_two_chunks_disagree_by(
    old: float, new: float, late: int
) -> None:
    schedule = PrefetchSchedule(10, ActionMode.DELTA, lead=late)
    schedule.add_chunk(np.full((30, 1), old, np.float32))
    before = play(schedule, 10)
    schedule.add_chunk(np.full((30, 1), new, np.float32), late)
    steps = np.concatenate([before, play(schedule, 20)])
    assert np.abs(np.diff(steps, axis=0)).max() <= abs(old - new) / FADE_TICKS + 1e-6
    assert steps[10 + FADE_TICKS :] == pytest.approx(new)


def test_a_chunk_that_comes_late_finds_the_rest_of_the_one_before_it_played() -> None:
    schedule = PrefetchSchedule(4, ActionMode.DELTA, lead=1)
    schedule.add_chunk(wave(0, 8))
    play(schedule, 8)
    assert not schedule.ready
    schedule.add_chunk(wave(0, 8), late=8)
    assert not schedule.ready, "all of it has passed"
    with pytest.raises(IndexError):
        schedule.next_action()


def test_a_lead_that_leaves_nothing_to_play_is_refused() -> None:
    with pytest.raises(UsageError, match="5 actions before 5 are used up"):
        PrefetchSchedule(5, ActionMode.DELTA, lead=5)


@given(offset=st.floats(-1, 1), speed=st.floats(-1, 1))
def test_a_fade_begins_at_the_difference_with_its_speed_and_ends_at_rest(offset: float, speed: float) -> None:
    ticks = 1000
    faded = fade(np.array([offset], np.float32), np.array([speed], np.float32), ticks)[:, 0].astype(np.float64)
    assert faded[0] == pytest.approx(offset, abs=1e-6)
    assert faded[1] - faded[0] == pytest.approx(speed, abs=5e-3)
    assert faded[-1] == pytest.approx(0, abs=1e-6)
    assert faded[-1] - faded[-2] == pytest.approx(0, abs=5e-3)


@settings(deadline=None)
@given(speed=st.floats(-1.5, 1.5), points=st.integers(1, 6))
def test_cubics_between_a_commands_points_are_smooth_and_brake_no_harder_than_they_may(
    speed: float, points: int
) -> None:
    """Played as the arm's trajectory controller does: a cubic between two points with position and velocity."""
    from scipy.interpolate import CubicHermiteSpline

    period, acceleration = 1 / 30, 2.5
    step = np.array([speed * period], np.float32)
    targets = np.stack([step * (i + 1) for i in range(points)])
    seconds, further = braking(step / np.float32(period), acceleration, points, period)
    command = move(np.zeros(1, np.float32), targets, targets[-1] + further, seconds, period)
    assert not command.velocities[-1].any()
    assert command.times_s[-1] >= 3 * period - 1e-9
    times = np.concatenate([[0.0], command.times_s])
    positions = np.concatenate([[0.0], command.positions[:, 0]])
    velocities = np.concatenate([[speed], command.velocities[:, 0]])
    curve = CubicHermiteSpline(times, positions, velocities)
    fine = np.linspace(0, times[-1], 2000)
    assert np.abs(curve(fine, 1)).max() <= abs(speed) + 1e-3
    assert np.abs(curve(fine, 2)).max() <= acceleration + 1e-2


def test_a_hold_is_where_the_arm_was_told_to_be() -> None:
    held = rest(np.array([1.0, 2.0], np.float32), 0.02)
    assert held.positions.tolist() == [[1.0, 2.0]]
    assert held.velocities.tolist() == [[0.0, 0.0]]
    assert held.times_s.tolist() == pytest.approx([0.06])


def test_a_hold_gives_an_arm_that_was_kept_from_moving_time_to_come() -> None:
    command, still = np.array([1.0, 2.0], np.float32), np.zeros(2, np.float32)
    behind = catch_up(command, still, np.array([1.0, 1.9], np.float32))
    assert behind == pytest.approx(0.2, rel=1e-5)
    assert rest(command, 0.02, behind).times_s.tolist() == pytest.approx([0.22], rel=1e-5)


def test_an_arm_that_only_lags_is_given_no_more_time() -> None:
    command, moving = np.array([1.0, 2.0], np.float32), np.array([0.0, -1.0], np.float32)
    assert catch_up(command, moving, command - 0.034 * moving) == 0.0


@given(behind=st.floats(0.0, 0.2), speed=st.floats(0.0, 0.5), hz=st.sampled_from([30, 125]))
def test_an_arm_that_was_kept_from_moving_comes_back_calmly(behind: float, speed: float, hz: int) -> None:
    """From rest where it is, through the first point: a cubic is half as fast again as on average at most."""
    from scipy.interpolate import CubicHermiteSpline

    period = 1 / hz
    at, velocity = np.array([behind]), np.array([speed])
    target = at + velocity * period
    command = move(at, target[None], target + 0.1 * velocity, 0.1, period, catch_up(at, velocity, np.zeros(1)))
    times = np.append(0.0, command.times_s[:1])
    curve = CubicHermiteSpline(times, [0.0, target[0]], [0.0, speed])
    lag = 0.05 * speed / period
    assert np.abs(curve(np.linspace(0, times[-1], 500), 1)).max() <= 1.5 * (speed + 0.5 + lag) + 1e-6
