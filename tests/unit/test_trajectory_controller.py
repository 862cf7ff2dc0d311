"""The simulated robot's own trajectory controller, against scipy's splines and ros2_control's rules."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import CubicHermiteSpline

from lerobot_inference.control.trajectory import move, rest
from lerobot_inference.sim.trajectory_controller import PATH_TOLERANCE, Goal, Setpoint, TrajectoryController

JOINTS = ("pan", "lift", "elbow")
START = np.array([0.1, -0.2, 0.3])
NOW_S = 100.0
GOAL = Goal(JOINTS, [[0.15, -0.2, 0.3], [0.2, -0.1, 0.3]], [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]], [0.1, 0.2])

points = arrays(np.float64, (4, 3), elements=st.floats(-0.1, 0.1))


def follow(controller: TrajectoryController, times_s: np.ndarray) -> np.ndarray:
    """What the servos are told at each time, by an arm that is where it should be."""
    told, position = [], START
    for time_s in times_s:
        position = controller.update(float(time_s), Setpoint.rest(position))
        told.append(position)
    return np.stack(told)


@given(positions=points, velocities=points, gaps=st.lists(st.floats(0.01, 0.5), min_size=4, max_size=4))
def test_points_with_velocities_are_joined_by_cubics(
    positions: np.ndarray, velocities: np.ndarray, gaps: list[float]
) -> None:
    velocities[-1] = 0.0
    times = np.cumsum(gaps)
    controller = TrajectoryController(JOINTS, START)
    assert controller.receive(Goal(JOINTS, positions.tolist(), velocities.tolist(), times.tolist()), NOW_S)
    spline = CubicHermiteSpline(
        np.append(0.0, times), np.vstack([START, positions]), np.vstack([np.zeros(3), velocities])
    )
    for time_s in np.linspace(0.0, times[-1], 50):
        expected = spline(time_s)
        assert controller.update(NOW_S + time_s, Setpoint.rest(expected)) == pytest.approx(expected, abs=1e-9)


@given(positions=points)
def test_points_without_velocities_are_joined_by_straight_lines(positions: np.ndarray) -> None:
    controller = TrajectoryController(JOINTS, START)
    assert controller.receive(Goal(JOINTS, (START + positions).tolist(), [[]] * 4, [0.5, 1.0, 1.5, 2.0]), NOW_S)
    sampled = np.linspace(0.0, 2.5, 100)
    told = follow(controller, NOW_S + sampled)
    for joint in range(3):
        knots = np.append(START[joint], START[joint] + positions[:, joint])
        np.testing.assert_allclose(told[:, joint], np.interp(sampled, [0.0, 0.5, 1.0, 1.5, 2.0], knots), atol=1e-9)


def test_a_new_trajectory_begins_at_the_present_setpoint_and_speed() -> None:
    controller = TrajectoryController(JOINTS, START)
    controller.receive(GOAL, NOW_S)
    before = follow(controller, NOW_S + np.arange(0.0, 0.1, 0.002))
    speed = (before[-1] - before[-2]) / 0.002
    controller.receive(replace(GOAL, positions=[[0.2, -0.1, 0.3], [0.25, 0.0, 0.3]]), NOW_S + 0.1)
    after = follow(controller, NOW_S + np.arange(0.1, 0.2, 0.002))
    np.testing.assert_allclose(after[0], before[-1], atol=0.003)
    np.testing.assert_allclose((after[1] - after[0]) / 0.002, speed, atol=0.1)


def test_without_interpolation_from_the_desired_state_a_new_trajectory_begins_where_the_arm_is() -> None:
    lagging = Setpoint(START - 0.02, np.full(3, 0.3))
    told = {}
    for from_desired in (True, False):
        controller = TrajectoryController(JOINTS, START, interpolate_from_desired_state=from_desired)
        controller.receive(GOAL, NOW_S)
        told[from_desired] = controller.update(NOW_S, lagging)
    assert told[True] == pytest.approx(START)
    assert told[False] == pytest.approx(START - 0.02)


def test_the_end_is_held() -> None:
    controller = TrajectoryController(JOINTS, START)
    controller.receive(GOAL, NOW_S)
    follow(controller, NOW_S + np.arange(0.0, 0.3, 0.002))
    for later in (0.3, 1.0, 1000.0):
        assert controller.update(NOW_S + later, Setpoint.rest(START)) == pytest.approx([0.2, -0.1, 0.3])


def test_joints_in_another_order_are_sorted_by_name() -> None:
    controller = TrajectoryController(JOINTS, START)
    assert controller.receive(Goal(("elbow", "pan", "lift"), [[3e-1, 1e-1, -1e-1]], [[0.0] * 3], [0.1]), NOW_S)
    assert follow(controller, NOW_S + np.array([0.0, 0.1]))[-1] == pytest.approx([0.1, -0.1, 0.3])


def test_a_trajectory_that_the_arm_does_not_follow_is_aborted_and_the_arm_holds_where_it_is() -> None:
    controller = TrajectoryController(JOINTS, START)
    controller.receive(Goal(JOINTS, [(START + 1.0).tolist()], [[0.0] * 3], [1.0]), NOW_S)
    blocked = Setpoint.rest(START)
    told = np.stack([controller.update(NOW_S + time, blocked) for time in np.arange(0.0, 1.0, 0.002)])
    assert np.abs(told - START).max() <= PATH_TOLERANCE
    assert controller.aborted == 1
    assert told[-1] == pytest.approx(START)


def test_a_stamp_ahead_is_waited_for_and_one_that_has_passed_is_joined_on_the_way() -> None:
    ahead, joined = TrajectoryController(JOINTS, START), TrajectoryController(JOINTS, START)
    ahead.receive(replace(GOAL, stamp_s=NOW_S + 1.0), NOW_S)
    joined.receive(replace(GOAL, stamp_s=NOW_S - 0.15), NOW_S)
    assert ahead.update(NOW_S, Setpoint.rest(START)) == pytest.approx(START)
    halfway = CubicHermiteSpline(GOAL.times_s, GOAL.positions, GOAL.velocities)(0.15)
    assert joined.update(NOW_S, Setpoint.rest(START)) == pytest.approx(halfway)


@pytest.mark.parametrize(
    ("goal", "reason"),
    [
        (replace(GOAL, joint_names=("pan", "lift", "wrist")), "its joints are not the controller's"),
        (replace(GOAL, joint_names=("pan", "lift")), "its joints are not the controller's"),
        (replace(GOAL, joint_names=("pan", "lift", "lift")), "its joints are not the controller's"),
        (replace(GOAL, positions=[], velocities=[], times_s=[]), "it has no points"),
        (replace(GOAL, positions=[[0.0] * 3, [0.0] * 2]), "a point has another number of joints"),
        (replace(GOAL, velocities=[[0.0] * 4, [0.0] * 3]), "a point has another number of joints"),
        (replace(GOAL, positions=[[0.0, math.nan, 0.0], [0.0] * 3]), "it is not finite"),
        (replace(GOAL, velocities=[[math.inf, 0.0, 0.0], [0.0] * 3]), "it is not finite"),
        (replace(GOAL, times_s=[0.2, 0.2]), "its times don't increase"),
        (replace(GOAL, times_s=[-0.1, 0.2]), "its times don't increase"),
        (replace(GOAL, velocities=[[0.0] * 3, [0.0, 0.0, 0.01]]), "it ends with a velocity"),
        (replace(GOAL, stamp_s=NOW_S - 0.3), "it ends in the past"),
    ],
)
def test_a_trajectory_that_breaks_a_rule_is_refused_and_counted(goal: Goal, reason: str) -> None:
    controller = TrajectoryController(JOINTS, START)
    controller.receive(GOAL, NOW_S)
    assert not controller.receive(goal, NOW_S)
    assert controller.refused == {reason: 1}
    assert follow(controller, NOW_S + np.array([0.0, 0.2]))[-1] == pytest.approx([0.2, -0.1, 0.3]), "the good one stays"


def test_nothing_is_taken_while_the_robot_is_not_running() -> None:
    controller = TrajectoryController(JOINTS, START)
    controller.running = False
    assert not controller.receive(GOAL, NOW_S)
    assert controller.refused == {"the robot is not running": 1}
    assert controller.update(NOW_S + 1, Setpoint.rest(START)) == pytest.approx(START)


def test_what_the_node_sends_is_accepted() -> None:
    position, step = START.astype(np.float32), np.full(3, 0.01, np.float32)
    sent = [
        rest(position, 1 / 30),
        move(position, np.stack([position + step, position + 2 * step]), position + 3 * step, 0.1, 1 / 30),
    ]
    for trajectory in sent:
        controller = TrajectoryController(JOINTS, START)
        goal = Goal(
            JOINTS, *(part.tolist() for part in (trajectory.positions, trajectory.velocities, trajectory.times_s))
        )
        assert controller.receive(goal, NOW_S), controller.refused
        assert follow(controller, NOW_S + np.arange(0.0, 0.5, 0.002))[-1] == pytest.approx(trajectory.positions[-1])
