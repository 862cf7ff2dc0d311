"""The UR10e as MuJoCo sees it, built from the description that the compas-fab package ships.

The meshes drawn are the description's collision meshes (about 9,000 triangles for the whole arm), so that a
software renderer keeps up with the camera.
"""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.errors import InputError, UsageError

if TYPE_CHECKING:
    from mujoco import MjsBody, MjSpec


TIP = "tool_tip"
"""Name of the site at the tool's tip."""

TOOL_LENGTH = 0.15
"""Metres from the flange to the tool's tip."""

_ARMATURE = 0.1  # kg m^2 of rotor inertia; without it the light wrist links are too stiff for 500 Hz physics
_STIFFNESS = (30000.0, 30000.0, 12000.0, 2500.0, 2500.0, 1000.0)  # N m / rad, base to tool
_SERVO_LAG_S = 0.034  # by how much a real UR's measured joints trail the commanded ones; damping / stiffness


def description_folder() -> Path:
    """The folder of compas-fab's UR10e description. Nothing of compas-fab is imported.

    Raises UsageError when the package isn't installed.
    """
    spec = importlib.util.find_spec("compas_fab")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "compas_fab (the UR10e's description) is not installed",
            hint="install it with: pip install 'lerobot-inference[sim]'",
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "robot_library" / "ur10e_robot"


def add_ur10e(spec: MjSpec) -> None:
    """Add the arm, its tool and one position actuator a joint to a mujoco.MjSpec, with its base at the origin.

    Raises UsageError when the description's package is missing, InputError when its URDF isn't the UR10e's.
    """
    import mujoco

    folder = description_folder()
    urdf = folder / "urdf" / "robot_description.urdf"
    robot = ElementTree.parse(urdf).getroot()  # noqa: S314 - a file of an installed package, not of a user
    links = {link.attrib["name"]: link for link in robot.iter("link")}
    joints = {joint.attrib["name"]: joint for joint in robot.findall("joint")}
    missing = [name for name in JOINTS if name not in joints]
    if missing:
        raise InputError(f"{urdf}: no joint {', '.join(missing)}", hint="install the compas-fab of this package's lock")

    body = spec.worldbody.add_body(name="base_link_inertia", **_pose(joints["base_link-base_link_inertia"]))
    _add_mesh(spec, body, links["base_link_inertia"], folder)
    for name, stiffness in zip(JOINTS, _STIFFNESS, strict=True):
        joint = joints[name]
        child = _find(joint, "child").attrib["link"]
        body = body.add_body(name=child, gravcomp=1, **_pose(joint))
        _add_inertia(body, links[child])
        _add_mesh(spec, body, links[child], folder)
        limit = _find(joint, "limit").attrib
        low, high, effort = (float(limit[key]) for key in ("lower", "upper", "effort"))
        body.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=_floats(joint, "axis", "xyz"),
            limited=mujoco.mjtLimited.mjLIMITED_TRUE,
            range=[low, high],
            armature=_ARMATURE,
        )
        actuator = spec.add_actuator(
            name=name,
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrlrange=[low, high],
            ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            forcerange=[-effort, effort],
            forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE,
        )
        actuator.set_to_position(kp=stiffness, kv=_SERVO_LAG_S * stiffness)
    _add_tool(body)


def _add_inertia(body: MjsBody, link: ElementTree.Element) -> None:
    inertia = _find(link, "inertial/inertia").attrib
    body.mass = float(_find(link, "inertial/mass").attrib["value"])
    body.ipos, body.iquat = _pose(_find(link, "inertial")).values()
    body.inertia = [float(inertia[key]) for key in ("ixx", "iyy", "izz")]  # the description's off-diagonals are zero
    body.explicitinertial = True


def _add_mesh(spec: MjSpec, body: MjsBody, link: ElementTree.Element, folder: Path) -> None:
    """Attach the link's collision mesh: drawn, and able to touch the table but not the arm's other links."""
    import mujoco

    collision = _find(link, "collision")
    file = folder / _find(collision, "geometry/mesh").attrib["filename"].removeprefix("package://")
    spec.add_mesh(name=file.stem, file=str(file))
    body.add_geom(
        name=file.stem,
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=file.stem,
        contype=1,
        conaffinity=0,
        **_pose(collision),
    )


def _add_tool(flange: MjsBody) -> None:
    """A pointer along the flange's own axis, and the site that the task looks at."""
    import mujoco

    flange.add_geom(
        name="tool",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[0, 0, 0, 0, 0, TOOL_LENGTH - 0.012],
        size=[0.012, 0, 0],
        mass=0.1,
        contype=1,
        conaffinity=0,
        rgba=[0.1, 0.1, 0.1, 1],
    )
    flange.add_site(name=TIP, pos=[0, 0, TOOL_LENGTH])


def _pose(element: ElementTree.Element) -> dict[str, Any]:
    """A URDF element's origin as position and quaternion. URDF's roll, pitch, yaw turn about fixed axes: "XYZ"."""
    import mujoco

    quat = np.zeros(4)
    mujoco.mju_euler2Quat(quat, np.array(_floats(element, "origin", "rpy")), "XYZ")
    return {"pos": _floats(element, "origin", "xyz"), "quat": quat}


def _find(element: ElementTree.Element, path: str) -> ElementTree.Element:
    found = element.find(path)
    if found is None:
        raise InputError(f"the UR10e's URDF: {element.tag} {element.attrib.get('name', '')} has no {path}")
    return found


def _floats(element: ElementTree.Element, tag: str, attribute: str) -> list[float]:
    found = element.find(tag)
    return [0.0, 0.0, 0.0] if found is None else [float(value) for value in found.attrib[attribute].split()]
