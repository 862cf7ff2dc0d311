"""A hundred random runs of bad luck: whatever goes wrong in whatever order, the arm keeps to its limits.

Controller, guards, physics and the robot's own trajectory controller are the real ones; the clock is the test's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from control_kit import HZ, IMAGE, JOINTS, PERIOD_S, ScriptedPredictor, guard_settings
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lerobot_inference.control import Controller, ControlSettings, Guards, ScheduleName, State, choose_schedule
from lerobot_inference.control.trajectory import Trajectory
from lerobot_inference.sim.cell import Cell
from lerobot_inference.sim.faults import Fault, FaultRequest, Faults, JointReport, Line, Picture
from lerobot_inference.sim.live_cell import LiveCell
from lerobot_inference.sim.trajectory_controller import Goal
from lerobot_inference.types import ActionMode, FloatArray, ImageShape, PolicySpec

BEGAN_S = 1000.0
RUN_S = 5.0
JOINT_S = 0.008
CHUNK = 12
SPEC = PolicySpec(6, 6, {"observation.images.color": ImageShape(4, 4)}, CHUNK, CHUNK)
SLOW = np.array([0.004, -0.002, 0.003, 0.004, -0.004, 0.01], np.float32)

SAYINGS: dict[str, Callable[[FloatArray], FloatArray | str]] = {
    "slow": lambda _: np.tile(SLOW, (CHUNK, 1)),
    "fast": lambda _: np.tile(4 * SLOW, (CHUNK, 1)),
    "to and fro": lambda _: np.tile([SLOW * 4, -SLOW * 4], (CHUNK // 2, 1)),
    "jump": lambda _: np.tile(SLOW + np.float32(0.5), (CHUNK, 1)),
    "nan": lambda _: np.full((CHUNK, 6), math.nan, np.float32),
    "shape": lambda _: np.zeros((CHUNK, 5), np.float32),
    "error": lambda _: "out of memory",
}
PERSON = ("arm", "disarm", "reset_fault", "reset_episode")
EVERY_SECOND = [(second + 0.1, what) for second in range(5) for what in ("reset_fault", "slow", "arm")]
"""A person who never gives up, and a policy that comes to its senses."""

times = st.floats(0.0, RUN_S)
faults = st.builds(
    FaultRequest,
    fault=st.sampled_from(Fault),
    seconds=st.floats(0.02, 2.0),
    by=st.floats(0.0, 0.5),
)
events = st.one_of(faults, st.sampled_from([*SAYINGS]), st.sampled_from(PERSON), st.integers(0, 8))
"""A fault, another thing that the policy says, what a person does, or how many ticks a prediction takes."""


@dataclass
class World:
    """Robot, network, policy and a person. sent: when, and whether a person had switched control on since a latch."""

    live: LiveCell
    predictor: ScriptedPredictor
    controller: Controller
    faults: Faults = field(default_factory=Faults)
    joint_line: Line[JointReport] = field(default_factory=lambda: Line("joints"))
    image_line: Line[Picture] = field(default_factory=lambda: Line("image"))
    sent: list[Trajectory] = field(default_factory=list)

    @classmethod
    def make(cls, cell: Cell, schedule: ScheduleName) -> World:
        predictor = ScriptedPredictor(SAYINGS["slow"], delay=1)
        chosen = choose_schedule(schedule, SPEC, ActionMode.DELTA, lead=5)
        arm = ControlSettings(JOINTS, ActionMode.DELTA, HZ)
        controller = Controller(arm, Guards.make(guard_settings(soft_start={"ramp_s": 0.3})), chosen, predictor)
        return cls(LiveCell(cell, seed=0, episode=0, now_s=BEGAN_S), predictor, controller)

    def happen(self, event: FaultRequest | str | int, now_s: float) -> None:
        if isinstance(event, FaultRequest):
            if event.fault is Fault.ESTOP:
                self.live.brake()
            self.faults.ask_for(event, now_s)
        elif isinstance(event, int):
            self.predictor.delay = event
        elif event in SAYINGS:
            self.predictor.say = SAYINGS[event]
        elif event == "arm":
            self.controller.arm(now_s)
        elif event == "disarm":
            self.send(self.controller.disarm(), now_s)
        elif event == "reset_fault":
            self.controller.reset_fault(now_s)
        else:
            self.controller.reset_episode()

    def see(self, now_s: float, *, image: bool) -> None:
        """Let physics pass, and what robot and camera send arrive."""
        stopped = self.faults.on(Fault.ESTOP, now_s) or self.faults.on(Fault.PROGRAM_STOPPED, now_s)
        self.live.controller.running = not stopped
        self.live.speed_scaling = 0.0 if self.faults.on(Fault.SPEED_ZERO, now_s) else 1.0
        self.live.advance(now_s)
        self.controller.stopped = "its program is not running" if stopped else None
        self.controller.publishers = int(self.faults.on(Fault.SECOND_PUBLISHER, now_s))
        positions = tuple(self.live.cell.joint_positions().tolist())
        report = JointReport(JOINTS, positions, (0.0,) * 6, now_s).spoilt(self.faults, now_s)
        for message in self.joint_line.send(report, self.faults, now_s):
            self.controller.senses.see_joints(message.names, message.positions, message.stamp_s, now_s)
        if image:
            for picture in self.image_line.send(Picture(IMAGE, now_s), self.faults, now_s):
                self.controller.senses.see_image(picture.pixels, picture.stamp_s, now_s)

    def send(self, trajectory: Trajectory | None, now_s: float) -> None:
        if trajectory is None:
            return
        self.sent.append(trajectory)
        points = (part.tolist() for part in (trajectory.positions, trajectory.velocities, trajectory.times_s))
        self.live.receive(Goal(JOINTS, *points), now_s)


@pytest.fixture(scope="module")
def cell() -> Iterator[Cell]:
    made = Cell(ImageShape(96, 160))
    yield made
    made.close()


# a slider that was at zero springs back
@example([(0.0, FaultRequest(fault=Fault.SPEED_ZERO, seconds=1.0, by=0.0))], ScheduleName.QUEUE)
@settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    script=st.lists(st.tuples(times, events), min_size=3, max_size=25),
    schedule=st.sampled_from([ScheduleName.QUEUE, ScheduleName.PREFETCH, ScheduleName.ENSEMBLE]),
)
def test_whatever_goes_wrong_the_arm_keeps_to_its_limits_and_stays_where_it_was_stopped(
    cell: Cell, script: list[tuple[float, FaultRequest | str | int]], schedule: ScheduleName
) -> None:
    world = World.make(cell, schedule)
    waiting = sorted([*EVERY_SECOND, *script], key=lambda entry: entry[0])
    now_s, next_tick_s, latched = BEGAN_S, BEGAN_S, False
    while now_s < BEGAN_S + RUN_S:
        now_s += JOINT_S
        ticks = now_s >= next_tick_s
        world.see(now_s, image=ticks)
        while waiting and BEGAN_S + waiting[0][0] <= now_s:
            world.happen(waiting.pop(0)[1], now_s)
        if not ticks:
            continue
        next_tick_s += PERIOD_S
        armed_before = world.controller.armed
        decision = world.controller.tick(now_s)
        world.send(decision.trajectory, now_s)
        if latched and not armed_before:
            assert decision.trajectory is None, "no motion after a latch"
        latched = decision.state is State.LATCHED or (latched and not world.controller.armed)
        assert np.isfinite(decision.command).all()
    world.send(world.controller.stop(), now_s)
    sent = len(world.sent)
    for _ in range(80):  # the longest fault, and then the way back
        now_s += PERIOD_S
        world.see(now_s, image=True)
        world.send(world.controller.tick(now_s).trajectory, now_s)
    assert len(world.sent) == sent, "no command after the final hold"
    for trajectory in world.sent:
        assert np.isfinite(trajectory.positions).all()
        assert np.isfinite(trajectory.velocities).all()
        assert not trajectory.velocities[-1].any()
    report = world.live.report([])
    assert report.limits_exceeded == {}
    assert report.speed < 0.01
    assert set(report.refused) <= {"the robot is not running"}
