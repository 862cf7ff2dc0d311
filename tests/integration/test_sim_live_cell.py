"""The simulated cell in real time, by a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.sim.cell import Cell
from lerobot_inference.sim.expert import expert_commands
from lerobot_inference.sim.live_cell import LiveCell
from lerobot_inference.sim.scene import sample_scene, scene_rng
from lerobot_inference.sim.trajectory_controller import Goal
from lerobot_inference.types import ImageShape

BEGAN_S = 1000.0


@pytest.fixture(scope="module")
def physics() -> Iterator[Cell]:
    made = Cell(ImageShape(96, 160))
    yield made
    made.close()


@pytest.fixture
def cell(physics: Cell) -> LiveCell:
    return LiveCell(physics, seed=0, episode=0, now_s=BEGAN_S)


def go_to(position: np.ndarray, seconds: float) -> Goal:
    return Goal(JOINTS, [position.tolist()], [[0.0] * 6], [seconds])


def pass_time(cell: LiveCell, seconds: float) -> None:
    for now_s in np.arange(cell.time_s + 0.008, cell.time_s + seconds, 0.008):
        cell.advance(float(now_s))


def test_an_arm_without_a_command_stays_where_the_episode_begins(cell: LiveCell) -> None:
    start = cell.report([]).positions
    pass_time(cell, 1.0)
    report = cell.report([])
    assert report.positions == pytest.approx(start, abs=1e-4)
    assert report.speed < 0.001
    assert not report.limits_exceeded


def test_a_commanded_pose_is_reached_in_the_time_given(cell: LiveCell) -> None:
    goal = np.array(cell.report([]).positions) + 0.1
    assert cell.receive(go_to(goal, 1.0), BEGAN_S)
    pass_time(cell, 0.5)
    assert 0.1 < cell.report([]).speed < 0.2, "in the middle of a cubic, 1.5 times the mean speed"
    pass_time(cell, 1.0)
    assert cell.report([]).positions == pytest.approx(goal, abs=0.002)


def test_an_emergency_stop_brakes_the_arm_and_what_was_commanded_is_forgotten(cell: LiveCell) -> None:
    goal = np.array(cell.report([]).positions) + 0.2
    cell.receive(go_to(goal, 1.0), BEGAN_S)
    pass_time(cell, 0.5)
    cell.controller.running = False
    cell.brake()
    stopped = np.array(cell.report([]).positions)
    assert not cell.receive(go_to(goal, 1.0), cell.time_s)
    pass_time(cell, 0.5)
    assert cell.report([]).speed < 0.01
    assert cell.report([]).positions == pytest.approx(stopped, abs=0.02)
    cell.controller.running = True
    pass_time(cell, 0.5)
    assert cell.report([]).positions == pytest.approx(stopped, abs=0.02)
    assert cell.report([]).refused == {"the robot is not running": 1}


def test_a_speed_slider_at_zero_stops_the_arm_on_its_way_and_it_goes_on_from_there(cell: LiveCell) -> None:
    goal = np.array(cell.report([]).positions) + 0.2
    cell.receive(go_to(goal, 1.0), BEGAN_S)
    pass_time(cell, 0.5)
    cell.speed_scaling = 0.0
    pass_time(cell, 1.0)
    assert cell.report([]).speed < 0.01
    assert cell.report([]).positions == pytest.approx(goal - 0.1, abs=0.01)
    cell.speed_scaling = 1.0
    pass_time(cell, 0.8)
    assert cell.report([]).positions == pytest.approx(goal, abs=0.002)
    assert not cell.report([]).limits_exceeded


def test_a_joint_that_is_faster_than_the_robot_allows_is_told(cell: LiveCell) -> None:
    turn = np.array([0, 0, 0, 0, 0, 2.0])
    cell.receive(go_to(np.array(cell.report([]).positions) + turn, 0.5), BEGAN_S)
    pass_time(cell, 1.0)
    report = cell.report([])
    assert report.top_speed[5] > 3.142
    assert list(report.limits_exceeded) == ["wrist_3_joint"]


def test_time_that_the_cell_could_not_keep_up_with_passes_without_physics(cell: LiveCell) -> None:
    cell.advance(BEGAN_S + 10.0)
    assert cell.time_s == pytest.approx(BEGAN_S + 10.0, abs=0.003)
    assert cell.report([]).lost_s == pytest.approx(9.75)


def test_the_ball_is_reached_when_the_tip_has_stayed_there_for_half_a_second(cell: LiveCell, physics: Cell) -> None:
    assert not cell.report([]).reached
    scene = sample_scene(scene_rng("rollout", 0, 0))
    for command in expert_commands(np.array(cell.report([]).positions), physics.solve(scene.goal)):
        cell.receive(go_to(command, 1 / 30), cell.time_s)
        pass_time(cell, 1 / 30)
    pass_time(cell, 0.6)
    report = cell.report([])
    assert report.reached
    assert report.distance < 0.04
    cell.reset(1, cell.time_s)
    assert not cell.report([]).reached
    assert cell.report([]).commands == 0
