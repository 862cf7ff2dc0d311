"""A simulated UR10e cell: the arm, a table, a ball to reach, and one fixed camera.

The ball's place appears in the camera image and nowhere else: the joint state says nothing about it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.errors import UsageError, require
from lerobot_inference.sim.arm import TIP, add_ur10e
from lerobot_inference.sim.scene import BALL_RADIUS, Scene, Vector
from lerobot_inference.types import FloatArray, ImageShape, UInt8Array

if TYPE_CHECKING:
    from mujoco import MjModel, Renderer

CONTROL_HZ = 30
PHYSICS_HZ = 500
CAMERA = "observation.images.color"
DEFAULT_IMAGE = ImageShape(480, 848)

REACH_RADIUS = 0.04
"""Metres, the ball's own radius: the tip has reached the target when it is this close to the point above the ball."""

HOME = np.array([0.0, -1.7, 2.2, -2.07, -np.pi / 2, 0.0])
"""Radians: the tool points down over the middle of the workspace. Inverse kinematics starts here."""

_CAMERA_POSITION = np.array([1.75, 0.0, 1.0])
_LOOK_AT = np.array([0.62, 0.0, 0.12])
_FIELD_OF_VIEW_DEG = 42.0
_TOOL_DOWN = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


RENDERING = {"libEGL.so.1": ("libEGL.so.1",), "libOpenGL.so.0": ("libOpenGL.so.0", "libGL.so.1")}
"""System libraries that the camera needs on Linux, and which of them serve; pip can't bring any."""

RENDERING_ADVICE = "apt-get install libegl1 libopengl0 libgl1-mesa-dri"


def load_mujoco() -> ModuleType:
    """Import MuJoCo, rendering through EGL on Linux (it needs no screen and no GPU) unless MUJOCO_GL says otherwise.

    Raises UsageError when MuJoCo or a system library is missing.
    """
    egl = sys.platform == "linux" and os.environ.setdefault("MUJOCO_GL", "egl") == "egl"
    if egl and (missing := missing_libraries()):
        raise UsageError(
            f"the simulated camera needs the system library {missing[0]}, which is not installed",
            hint=f"on Debian or Ubuntu: {RENDERING_ADVICE}",
        )
    return require("mujoco", "sim")


def missing_libraries() -> list[str]:
    """Those of RENDERING that can't be loaded here."""
    return [name for name, any_of in RENDERING.items() if not any(map(_loads, any_of))]


class Cell:
    """The cell with its physics at 500 Hz, commanded at 30 Hz.

    Joint vectors are (6,) radians in the order of kinematics.JOINTS. Not thread-safe; use it, and above all its
    camera, from the thread that made it.
    """

    def __init__(self, image: ImageShape = DEFAULT_IMAGE) -> None:
        """Raises UsageError when the sim extra or a system library is missing."""
        self.image = image
        self._mujoco = load_mujoco()
        self._model = _build_model(self._mujoco, image)
        self._data = self._mujoco.MjData(self._model)
        self._renderer: Renderer | None = None
        self._tick = 0

    def reset(self, scene: Scene) -> None:
        """Put the arm at the scene's start, at rest, and everything else where the scene says."""
        self._mujoco.mj_resetData(self._model, self._data)
        self._tick = 0
        self._dress(scene)
        start = self.solve(scene.start_tip) + scene.start_noise
        self._data.qpos[:] = start
        self._data.qvel[:] = 0.0
        self._data.ctrl[:] = start
        self.show_target(scene.target)

    def step(self, target: FloatArray | Vector) -> None:
        """Command absolute joint positions and let one control period (1/30 s) pass."""
        self._tick += 1
        # 500 Hz is no multiple of 30 Hz: 16 or 17 physics steps, without drift.
        steps = round(self._tick * PHYSICS_HZ / CONTROL_HZ) - round((self._tick - 1) * PHYSICS_HZ / CONTROL_HZ)
        self.advance(target, steps)

    def advance(self, target: FloatArray | Vector, steps: int = 1) -> None:
        """Command absolute joint positions and let physics steps (1/500 s each) pass."""
        self._data.ctrl[:] = target
        self._mujoco.mj_step(self._model, self._data, nstep=steps)

    def joint_positions(self) -> FloatArray:
        """(6,) measured joint positions in radians."""
        return np.array(self._data.qpos, dtype=np.float32)

    def joint_velocities(self) -> FloatArray:
        """(6,) measured joint velocities in rad/s."""
        return np.array(self._data.qvel, dtype=np.float32)

    def tip_position(self) -> Vector:
        """(3,) the tool's tip in metres in the robot's base frame."""
        self._mujoco.mj_kinematics(self._model, self._data)
        return np.array(self._data.site(TIP).xpos)

    def show_target(self, target: Vector) -> None:
        """Move the ball the camera sees to (2,) metres on the table. The task's goal is not touched by it."""
        self._data.mocap_pos[0] = [*target, BALL_RADIUS]

    def render(self) -> UInt8Array:
        """What the camera sees: (H, W, 3) uint8 RGB.

        Raises UsageError when no OpenGL context can be made.
        """
        if self._renderer is None:
            self._renderer = self._make_renderer()
        self._mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, camera="camera")
        return np.array(self._renderer.render(), dtype=np.uint8)

    def solve(self, tip: Vector) -> Vector:
        """(6,) joint positions that put the tip at (3,) metres with the tool pointing straight down.

        Damped least squares (Wampler 1986) from HOME, on data of its own; converges to 1e-6 m in the workspace.
        """
        mujoco, data = self._mujoco, self._mujoco.MjData(self._model)
        data.qpos[:] = HOME
        jacobian = np.zeros((6, self._model.nv))
        site = self._model.site(TIP).id
        for _ in range(30):
            mujoco.mj_kinematics(self._model, data)
            mujoco.mj_comPos(self._model, data)
            rotation = data.site_xmat[site].reshape(3, 3)
            # Half the sum of cross products of the axes: the rotation still to be made, to first order.
            turn = 0.5 * np.cross(rotation.T, _TOOL_DOWN.T).sum(axis=0)
            error = np.concatenate([tip - data.site_xpos[site], turn])
            mujoco.mj_jacSite(self._model, data, jacobian[:3], jacobian[3:], site)
            data.qpos += jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-6 * np.eye(6), error)
        return np.array(data.qpos)

    def close(self) -> None:
        """Free the camera's OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _make_renderer(self) -> Renderer:
        try:
            return self._mujoco.Renderer(self._model, self.image.height, self.image.width)
        except (ImportError, AttributeError, RuntimeError, self._mujoco.FatalError) as error:
            raise UsageError(
                f"the simulated camera can't start OpenGL (MUJOCO_GL={os.environ.get('MUJOCO_GL', '')}): {error}",
                hint=f"on Debian or Ubuntu: {RENDERING_ADVICE}, and leave MUJOCO_GL unset",
            ) from error

    def _dress(self, scene: Scene) -> None:
        """Light, colours and camera of the scene."""
        model = self._model
        model.geom("ball").rgba[:3] = scene.ball_colour
        model.geom("table").rgba[:3] = scene.table_colour
        model.geom("floor").rgba[:3] = scene.floor_colour
        arm = self._mujoco.mjtGeom.mjGEOM_MESH
        model.geom_rgba[model.geom_type == arm, :3] = scene.arm_colour
        model.light("lamp").pos[:] = scene.light_position
        model.light("lamp").dir[:] = _unit(_LOOK_AT - scene.light_position)
        model.light("lamp").diffuse[:] = scene.light
        model.light("lamp").ambient[:] = scene.ambient
        position = _CAMERA_POSITION + scene.camera_offset
        model.camera("camera").pos[:] = position
        self._mujoco.mju_mat2Quat(model.camera("camera").quat, _look_at(position, _LOOK_AT + scene.look_offset).ravel())


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _build_model(mujoco: ModuleType, image: ImageShape) -> MjModel:
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep = 1.0 / PHYSICS_HZ
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    getattr(spec.visual, "global").offheight = max(image.height, 480)
    getattr(spec.visual, "global").offwidth = max(image.width, 640)
    spec.visual.quality.offsamples = 0  # no multisampling: it costs a software renderer most of its speed
    spec.visual.headlight.active = 0
    world = spec.worldbody
    box = mujoco.mjtGeom.mjGEOM_BOX
    world.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, pos=[0, 0, -0.8], size=[4, 4, 0.1], contype=0)
    world.add_geom(name="table", type=box, pos=[0.55, 0, -0.03], size=[0.65, 0.55, 0.03], contype=0, conaffinity=1)
    ball = world.add_body(name="ball", mocap=True)
    ball.add_geom(
        name="ball", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[BALL_RADIUS, 0, 0], contype=0, conaffinity=0, rgba=[1] * 4
    )
    world.add_light(name="lamp", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=False)
    world.add_camera(name="camera", fovy=_FIELD_OF_VIEW_DEG)
    add_ur10e(spec)
    model = spec.compile()
    assert [model.joint(i).name for i in range(model.njnt)] == list(JOINTS)  # noqa: S101
    return model


def _unit(vector: Vector) -> Vector:
    return vector / np.linalg.norm(vector)


def _look_at(eye: Vector, point: Vector) -> Vector:
    """(3, 3) camera rotation whose -z axis points from eye to point and whose y axis points up as far as it can."""
    back = _unit(eye - point)
    right = _unit(np.cross(np.array([0.0, 0.0, 1.0]), back))
    return np.stack([right, np.cross(back, right), back], axis=1)
