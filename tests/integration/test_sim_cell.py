"""The simulated cell: physics, camera, task and expert."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.sim.cell import HOME, REACH_RADIUS, Cell
from lerobot_inference.sim.expert import demonstrate
from lerobot_inference.sim.scene import Scene, other_target, sample_scene, scene_rng
from lerobot_inference.types import ImageShape

SMALL = ImageShape(96, 160)


@pytest.fixture(scope="module")
def cell() -> Iterator[Cell]:
    made = Cell(SMALL)
    yield made
    made.close()


def scene(index: int = 0) -> Scene:
    return sample_scene(scene_rng("test", 0, index))


def test_an_arm_that_is_told_to_stay_stays(cell: Cell) -> None:
    cell.reset(scene())
    start = cell.joint_positions()
    for _ in range(150):
        cell.step(start)
    np.testing.assert_allclose(cell.joint_positions(), start, atol=1e-5)


@pytest.mark.parametrize("joint", range(6))
def test_a_commanded_step_moves_that_joint_by_that_much(cell: Cell, joint: int) -> None:
    cell.reset(scene())
    start = cell.joint_positions()
    step = np.zeros(6, np.float32)
    step[joint] = 0.05
    for _ in range(60):
        cell.step(start + step)
    np.testing.assert_allclose(cell.joint_positions() - start, step, atol=1e-3)


def test_the_measured_joints_trail_the_commanded_ones_like_a_real_servo(cell: Cell) -> None:
    cell.reset(scene())
    command = cell.joint_positions().astype(np.float64)
    speed = np.array([0.3, 0.0, 0.0, 0.3, 0.3, 0.3])
    for _ in range(30):
        command = command + speed / 30
        cell.step(command)
    lag = (command - cell.joint_positions())[speed > 0] / 0.3
    # 34 ms behind a steady ramp; a command that is held for a tick is half a tick ahead of it.
    np.testing.assert_allclose(lag, 0.034 - 1 / 60, atol=0.003)


def test_joint_vectors_are_in_training_order(cell: Cell) -> None:
    """A turn of the first joint swings the tool around the base; a turn of the last leaves its tip where it is."""
    assert JOINTS[0] == "shoulder_pan_joint"
    assert JOINTS[-1] == "wrist_3_joint"
    cell.reset(scene())
    start, tip = cell.joint_positions(), cell.tip_position()
    moved = {}
    for joint in (0, 5):
        cell.reset(scene())
        target = start.copy()
        target[joint] += 0.3
        for _ in range(60):
            cell.step(target)
        moved[joint] = cell.tip_position()
    np.testing.assert_allclose(moved[5], tip, atol=2e-3)
    assert np.hypot(*moved[0][:2]) == pytest.approx(np.hypot(*tip[:2]), abs=2e-3)
    turned = np.arctan2(moved[0][1], moved[0][0]) - np.arctan2(tip[1], tip[0])
    assert turned == pytest.approx(0.3, abs=2e-3)


def test_the_arm_has_the_published_ur10e_dimensions(cell: Cell) -> None:
    """All joints at zero: the arm lies stretched out. DH parameters as in the manufacturer's table, plus the tool."""
    d1, a2, a3, d4, d5, d6 = 0.1807, -0.6127, -0.57155, 0.17415, 0.11985, 0.11655
    cell._data.qpos[:] = 0.0
    tool = 0.15
    expected = [-(a2 + a3), d4 + d6 + tool, d1 - d5]
    np.testing.assert_allclose(np.abs(cell.tip_position()), np.abs(expected), atol=1e-6)


def test_inverse_kinematics_puts_the_tip_there_with_the_tool_down(cell: Cell) -> None:
    for index in range(20):
        goal = scene(index).goal
        cell._data.qpos[:] = cell.solve(goal)
        np.testing.assert_allclose(cell.tip_position(), goal, atol=1e-5)
        axis = cell._data.site("tool_tip").xmat.reshape(3, 3)[:, 2]
        np.testing.assert_allclose(axis, [0, 0, -1], atol=1e-5)
        assert np.abs(cell.solve(goal) - HOME).max() < np.pi / 2


def test_five_seconds_are_a_hundred_and_fifty_ticks(cell: Cell) -> None:
    cell.reset(scene())
    for _ in range(150):
        cell.step(cell.joint_positions())
    assert cell._data.time == pytest.approx(5.0)


@pytest.mark.parametrize("shape", [ImageShape(480, 848), ImageShape(64, 112)])
def test_the_camera_gives_the_image_that_was_asked_for(shape: ImageShape) -> None:
    cell = Cell(shape)
    cell.reset(scene())
    image = cell.render()
    cell.close()
    assert image.shape == (shape.height, shape.width, 3)
    assert image.dtype == np.uint8
    assert image.std() > 5


def test_the_target_shows_in_the_image_and_nowhere_else(cell: Cell) -> None:
    first = scene()
    second = first.with_target(other_target(np.random.default_rng(0), first.target))
    seen = []
    for each in (first, second):
        cell.reset(each)
        seen.append((cell.joint_positions(), cell.render().astype(int)))
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    changed = np.abs(seen[0][1] - seen[1][1]).max(axis=2) > 30
    assert 20 < changed.sum() < 1000


def test_the_target_can_be_seen_in_every_scene(cell: Cell) -> None:
    """The arm never hides the ball at the start of an episode, nor does the light."""
    for index in range(50):
        each = scene(index)
        cell.reset(each)
        with_ball = cell.render().astype(int)
        cell.show_target(np.array([-5.0, 0.0]))
        assert (np.abs(cell.render().astype(int) - with_ball).max(axis=2) > 20).sum() >= 8, index


def test_scenes_look_different(cell: Cell) -> None:
    images = []
    for index in range(4):
        cell.reset(scene(index).with_target(scene(0).target))
        images.append(cell.render()[-20:].astype(int))
    assert np.abs(images[0] - images[1]).mean() > 3
    assert np.abs(images[2] - images[3]).mean() > 3


def test_the_same_seed_gives_the_same_episode() -> None:
    demonstrations = []
    for _ in range(2):
        cell = Cell(SMALL)
        demonstrations.append(demonstrate(cell, scene(3), lambda ticks: [0, ticks - 1]))
        cell.close()
    first, second = demonstrations
    np.testing.assert_array_equal(first.states, second.states)
    assert first.images.keys() == second.images.keys()
    for tick, image in first.images.items():
        np.testing.assert_array_equal(image, second.images[tick])


def test_an_episode_does_not_depend_on_the_one_before(cell: Cell) -> None:
    demonstrate(cell, scene(1), lambda _: [])
    after_another = demonstrate(cell, scene(2), lambda _: []).states
    fresh = Cell(SMALL)
    np.testing.assert_array_equal(demonstrate(fresh, scene(2), lambda _: []).states, after_another)


def test_the_expert_reaches_the_target_nearly_always(cell: Cell) -> None:
    reached = 0
    for index in range(100):
        each = scene(index)
        states = demonstrate(cell, each, lambda _: []).states
        reached += np.linalg.norm(cell.tip_position() - each.goal) < REACH_RADIUS / 5
        assert len(states) <= 150
    assert reached >= 95


@pytest.mark.parametrize(
    ("absent", "named"), [(["libEGL.so.1"], "libEGL.so.1"), (["libOpenGL.so.0", "libGL.so.1"], "libOpenGL.so.0")]
)
def test_a_missing_system_library_is_a_message_not_a_traceback(absent: list[str], named: str) -> None:
    program = f"""
import ctypes, sys
from lerobot_inference.errors import UsageError
from lerobot_inference.sim import cell
load = ctypes.CDLL
def some(name):
    if name in {absent}: raise OSError(name)
    return load(name)
ctypes.CDLL = some
try:
    cell.load_mujoco()
except UsageError as error:
    sys.exit(f"{{error}} {{error.hint}}")
"""
    if sys.platform != "linux":
        pytest.skip("EGL is Linux's")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert named in done.stderr
    assert "apt-get install libegl1 libopengl0" in done.stderr
    assert "Traceback" not in done.stderr
