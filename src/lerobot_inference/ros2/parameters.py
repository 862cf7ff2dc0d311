"""The node's parameters: declared with their defaults, read once, checked against what the policy says."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lerobot_inference.checkpoint import Bundle, Policy
from lerobot_inference.control import UR10E, ControlSettings, Guards, ScheduleName
from lerobot_inference.control.guards.known import known_limits
from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import UsageError
from lerobot_inference.types import ActionMode

CONTROL_VARIABLE = "LEROBOT_INFERENCE_CONTROL_BY_SERVICE"
"""Set where not only a person starts the node, as in a container: control is then off until a person switches it on."""


@dataclass(frozen=True)
class Parameters:
    """A ROS parameter each, by the same name. Only `enable_control` may change while the node runs.

    policy_repo: a folder (checkpoint or bundle) or a source string that `download` takes. policy_revision: its commit.
    device: where the network runs; an absent one is an error. engine: the backend; `auto` is the fastest exact one that
    is installed. threads: CPU threads of a prediction; 0 for all cores, up to eight.
    control_hz: ticks a second, those of the training. action_mode: `delta` or `absolute`, that of the training.
    joint_names: the robot's own, in the policy's training order.
    enable_control: publish commands. guards: a guards file; empty for the UR10e's for commissioning.
    camera_topic, joint_states_topic: what the policy sees.
    program_running_topic (std_msgs/Bool), speed_scaling_topic (std_msgs/Float64): what the robot says of itself; empty
    for a robot that doesn't. resize: `crop` lets an image of another size be scaled and cropped.
    schedule: `policy` (as it was saved), `queue`, `prefetch` or `ensemble`. lead: actions before a chunk is used up at
    which `prefetch` asks for the next. lookahead_points: points of each command, the point of rest included.
    status_hz: status messages a second. record: MCAP file for the decision log; empty for none.
    """

    policy_repo: str = "alizaidi/hve-robo-act-train"
    device: str = "cuda"
    control_hz: float = 30.0
    action_mode: str = "delta"
    enable_control: bool = False
    camera_topic: str = "/camera/color/image_raw"
    joint_states_topic: str = "/joint_states"
    policy_revision: str = ""
    engine: str = "auto"
    threads: int = 0
    schedule: str = "policy"
    lead: int = 5
    lookahead_points: int = 5
    joint_names: tuple[str, ...] = JOINTS
    guards: str = ""
    status_hz: float = 5.0
    record: str = ""
    program_running_topic: str = ""
    speed_scaling_topic: str = ""
    resize: str = ""

    @classmethod
    def declare(cls, node: Any) -> Parameters:
        """Declare every parameter on an rclpy node and read what it was given. Raises UsageError for a bad value."""
        values = {}
        for field in fields(cls):
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            values[field.name] = node.declare_parameter(field.name, default).value
        values["joint_names"] = tuple(values["joint_names"])
        return cls(**values)._checked()

    def _checked(self) -> Parameters:
        allowed = {
            "action_mode": [mode.value for mode in ActionMode],
            "schedule": [name.value for name in ScheduleName],
            "resize": ["", "crop"],
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                found = getattr(self, name)
                raise UsageError(
                    f"parameter {name} is {found!r}", hint=f"choose one of: {', '.join(map(repr, choices))}"
                )
        for name in ("control_hz", "status_hz"):
            if not 0 < getattr(self, name) <= 500:
                raise UsageError(f"parameter {name} is {getattr(self, name)}, expected more than 0 and at most 500")
        if self.enable_control and os.environ.get(CONTROL_VARIABLE):
            raise UsageError(
                f"parameter enable_control is true, and with {CONTROL_VARIABLE} set no start may move the arm",
                hint="start with enable_control:=false; a person switches control on with ~/set_control",
            )
        if len(set(self.joint_names)) != len(self.joint_names):
            raise UsageError(f"parameter joint_names names a joint twice: {', '.join(self.joint_names)}")
        if self.threads < 0 or self.lead < 0:
            raise UsageError("parameters threads and lead can't be negative")
        return self

    @property
    def engine_choice(self) -> EngineChoice:
        """Which engine to build."""
        return EngineChoice(self.engine, self.device, threads=self.threads or None)

    def control_settings(self, policy: Policy) -> ControlSettings:
        """How to control, once the policy is known to have been trained for it. Raises UsageError for what differs."""
        mode, joints = ActionMode(self.action_mode), self.joint_names
        if policy.spec.action_dim != len(joints) or policy.spec.state_dim != len(joints):
            raise UsageError(
                f"the policy has state {policy.spec.state_dim} and action {policy.spec.action_dim}, "
                f"joint_names names {len(joints)} joints",
                hint="set joint_names to the robot's joints in the policy's training order",
            )
        signs: tuple[int, ...] = ()
        if isinstance(policy, Bundle):
            contract = policy.contract
            if any(name in joints and name != found for name, found in zip(contract.joint_names, joints, strict=True)):
                trained = ", ".join(contract.joint_names)
                raise UsageError(
                    f"parameter joint_names is {', '.join(joints)}; {policy.folder}/contract.json says {trained}",
                    hint=f"name the robot's joints in the order of the training: pass -p joint_names:='[{trained}]'",
                )
            for name, found, expected in (
                ("action_mode", mode, contract.action_mode),
                ("control_hz", self.control_hz, contract.fps),
            ):
                if found != expected:
                    raise UsageError(
                        f"parameter {name} is {found}, {policy.folder}/contract.json says {expected}",
                        hint=f"the policy was trained that way: pass -p {name}:={expected}",
                    )
            signs = tuple(contract.signs)
        return ControlSettings(joints, mode, self.control_hz, signs, self.lookahead_points)

    def guard_chain(self, policy: Policy) -> Guards:
        """The guards of the file, with what the policy's contract says of the recordings. Raises ConfigError.

        Raises UsageError where the shipped file's limits would be held against other joints than theirs.
        """
        if not self.guards and self.joint_names != JOINTS and set(self.joint_names) == set(JOINTS):
            raise UsageError(
                f"parameter joint_names is {', '.join(self.joint_names)}; the limits in {UR10E} are in another order",
                hint="pass -p guards:=FILE, a copy of it with `limits` in the order of joint_names",
            )
        return Guards.load(Path(self.guards) if self.guards else UR10E, known_limits(policy))
