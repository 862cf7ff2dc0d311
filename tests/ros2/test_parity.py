"""One recorded episode through the evaluator, and over DDS through the node: every command is the same, bit for bit.

The episode's frames wait for the node: the next one comes when an action has been executed, so that both predict from
the same. Where the node stands still for a tick until its chunk is there, the evaluator doesn't; guards that go by the
time or the speed of that moment are left out, and so is the one that minds that the recorded arm goes its own way.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from control_kit import guard_settings
from ros_kit import AGES, Command, NodeProcess, Wire, demo_policy
from scripted_node import ScriptedEngine
from sensor_msgs.msg import Image, JointState

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.control import ControlSettings, QueueSchedule, State
from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.control.mcap_log import read_log
from lerobot_inference.control.replay import replay
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.evaluation.replay import Stopwatch, replay_as_deployed
from lerobot_inference.evaluation.safety_replay import GuardedArm
from lerobot_inference.ros2.sim_cell_node import SENSOR, image_message, joint_state_message
from lerobot_inference.sim.cell import Cell
from lerobot_inference.sim.expert import demonstrate
from lerobot_inference.sim.faults import JointReport, Picture
from lerobot_inference.sim.scene import sample_scene, scene_rng
from lerobot_inference.types import ActionMode, FloatArray, ImageShape, UInt8Array

FRAMES = 60
HZ = 10.0
"""Slow enough for a busy machine to bring the next frame within a period."""
CHANGES = {
    **AGES,
    "queue_empty": {"latch_s": 9.0},
    "chunk_overlap": {"by_stride": [0.01]},
    **dict.fromkeys(("soft_start", "time_cap", "joint_acceleration", "tracking_error"), None),
}
TOPICS = {"joint_states_topic": "/recorded/joint_states", "camera_topic": "/recorded/image"}


@dataclass(frozen=True)
class Recording:
    """The part of a dataset's episode that a replay needs. states: (T, 6) radians; images: T of (H, W, 3) RGB."""

    states: FloatArray
    images: list[UInt8Array]

    def frames(self, wanted: Sequence[int], cameras: Sequence[str]) -> Generator[dict[str, UInt8Array]]:
        for frame in wanted:
            yield {cameras[0]: self.images[frame]}


@pytest.fixture(scope="module")
def recording() -> Recording:
    cell = Cell(ImageShape(96, 160))
    shown = demonstrate(cell, sample_scene(scene_rng("record", 0, 3)))
    cell.close()
    return Recording(shown.states[:FRAMES], [shown.images[frame] for frame in range(FRAMES)])


class Player:
    """Publishes an episode, the next frame once an action has been executed, and each again and again as robots do."""

    def __init__(self, wire: Wire, recording: Recording) -> None:
        self._wire, self._recording = wire, recording
        self._began = len(wire.commands)
        self._joints = wire.node.create_publisher(JointState, TOPICS["joint_states_topic"], SENSOR)
        self._image = wire.node.create_publisher(Image, TOPICS["camera_topic"], SENSOR)

    @property
    def executed(self) -> list[Command]:
        return [command for command in self._wire.commands[self._began :] if not command.is_hold]

    def play(self) -> None:
        """Until each frame's action has been executed."""
        deadline = time.monotonic() + 60
        while (frame := len(self.executed)) < FRAMES:
            assert time.monotonic() < deadline, self._wire.statuses[-1:]
            now_s, state = time.time(), tuple(self._recording.states[frame].tolist())
            self._image.publish(image_message(Picture(self._recording.images[frame], now_s)))
            self._joints.publish(joint_state_message(JointReport(JOINTS, state, (0.0,) * 6, now_s)))
            time.sleep(0.01)


def compare(wire: Wire, node: NodeProcess, recording: Recording, engine: Engine, steps: int, log: Path) -> None:
    """Play the recording to a node that is told to begin at once, end it, and hold its log against the evaluator."""
    Player(wire, recording).play()
    assert node.end() == 0
    entries = list(read_log(log))
    again = replay(entries)
    assert again.different is None
    assert again.decisions >= FRAMES

    deployed = replay_as_deployed(recording, range(FRAMES), engine, QueueSchedule(steps), Stopwatch())
    arm = GuardedArm(ControlSettings(JOINTS, ActionMode.DELTA, HZ, lookahead_points=2), guard_settings(**CHANGES), {})
    evaluated = list(arm.decide(deployed, recording.states[0]))
    assert {decision.state for decision in evaluated} == {State.RUNNING}

    decided = [entry for kind, _, entry in entries if kind == "decision" and entry["state"] == "running"][:FRAMES]
    assert [entry["command"] for entry in decided] == [decision.command.tolist() for decision in evaluated]
    assert [entry["target"] for entry in decided] == [
        None if decision.target is None else decision.target.tolist() for decision in evaluated
    ]


def test_evaluator_and_node_give_the_same_commands_for_a_recorded_episode(
    wire: Wire, node: NodeProcess, recording: Recording, tmp_path: Path
) -> None:
    node.say()
    log = tmp_path / "decisions.mcap"
    node.start(CHANGES, enable_control=True, control_hz=HZ, record=log, schedule="queue", **TOPICS)
    engine = ScriptedEngine(node.order)
    compare(wire, node, recording, engine, engine.spec.n_action_steps, log)


@pytest.mark.slow
def test_evaluator_and_node_give_the_same_commands_of_the_demo_policy(
    wire: Wire, node: NodeProcess, recording: Recording, tmp_path: Path
) -> None:
    policy, log = demo_policy(), tmp_path / "decisions.mcap"
    node.start(
        CHANGES,
        as_shipped=True,
        policy_repo=policy,
        enable_control=True,
        control_hz=HZ,
        record=log,
        schedule="queue",
        **TOPICS,
    )
    engine = EngineChoice("auto", "cpu").load(open_policy(policy))
    compare(wire, node, recording, engine, engine.spec.n_action_steps, log)
