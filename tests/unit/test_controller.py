"""What the arm does: the action mode the right way round, holds, latches, and what each command holds."""

from __future__ import annotations

import numpy as np
import pytest
from control_kit import HZ, JOINTS, PERIOD_S, START, Bench, ScriptedPredictor, guard_settings, steady
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_inference.control.decision import State
from lerobot_inference.control.guards import UR10E, Guards
from lerobot_inference.control.guards.chain import KINDS
from lerobot_inference.control.prefetch import PrefetchSchedule
from lerobot_inference.control.schedule import EnsembleSchedule, QueueSchedule
from lerobot_inference.errors import ConfigError
from lerobot_inference.types import ActionMode

STILL = [0.0] * 6
SLOW = [0.001, 0.0, 0.0, 0.0, 0.0, 0.002]


def running(bench: Bench, ticks: int = 90) -> Bench:
    """Armed, and past its soft start."""
    assert bench.arm_now() == ""
    assert bench.tick(ticks).state is State.RUNNING
    return bench


def test_a_zero_delta_leaves_the_arm_where_it_is() -> None:
    bench = running(Bench.make(ScriptedPredictor(steady(STILL))))
    assert np.array_equal(bench.commands, np.tile(START, (90, 1)))
    assert np.array_equal(bench.arm, START)


def test_a_small_delta_moves_the_arm_by_that_much_a_tick() -> None:
    bench = running(Bench.make(ScriptedPredictor(steady(SLOW)), guards=guard_settings(soft_start=None)))
    moved = bench.commands[-1] - bench.commands[-31]
    assert moved == pytest.approx(30 * np.array(SLOW), abs=1e-5)


def test_an_absolute_action_is_where_the_arm_goes() -> None:
    goal = START + np.float32(0.03)
    bench = running(Bench.make(ScriptedPredictor(steady(goal)), mode=ActionMode.ABSOLUTE))
    assert bench.arm == pytest.approx(goal, abs=1e-3)


def test_a_joint_that_the_robot_counts_the_other_way_is_turned_for_the_policy_and_back() -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    bench = running(Bench.make(predictor, signs=(-1, 1, 1, 1, 1, 1)))
    assert predictor.asked[0] == pytest.approx(START * [-1, 1, 1, 1, 1, 1])
    assert bench.arm[0] < START[0] - 0.01
    assert bench.arm[5] > START[5] + 0.02


def test_control_is_off_at_first_and_nothing_is_published_until_it_is_on() -> None:
    bench = Bench.make(ScriptedPredictor(steady(SLOW)))
    assert bench.controller.tick(bench.now_s).state is State.WAITING
    bench.tick(20)
    assert {decision.state for decision in bench.log} == {State.DRY_RUN}
    assert all(decision.trajectory is None for decision in bench.log)
    assert any(decision.target is not None for decision in bench.log), "a dry run shows what would be done"
    running(bench)
    assert bench.log[-1].trajectory is not None


def test_control_is_not_switched_on_without_an_observation() -> None:
    bench = Bench.make(ScriptedPredictor(steady(SLOW)))
    assert bench.controller.arm(bench.now_s) == "no joint state and image yet"
    bench.see(image=False)
    assert bench.controller.arm(bench.now_s) == "no joint state and image yet"
    bench.now_s += 1
    bench.see(joints=False)
    assert "apart" in bench.controller.arm(bench.now_s)
    assert not bench.controller.armed


def test_switching_control_off_ends_motion_at_once_with_the_hold_sent_last() -> None:
    bench = running(Bench.make(ScriptedPredictor(steady(SLOW))))
    held = bench.controller.disarm()
    assert held is not None
    assert np.array_equal(held.positions, bench.commands[-1][None])
    assert not held.velocities.any()
    assert bench.tick().trajectory is None
    assert bench.log[-1].state is State.DRY_RUN


def test_after_the_end_nothing_is_published_and_nothing_can_be_switched_on() -> None:
    bench = running(Bench.make(ScriptedPredictor(steady(SLOW))))
    assert bench.controller.stop() is not None
    assert bench.tick().state is State.STOPPED
    assert bench.log[-1].trajectory is None
    assert bench.arm_now() == "stopped"


def test_every_command_ends_at_rest_at_least_three_periods_ahead() -> None:
    bench = running(Bench.make(ScriptedPredictor(steady(SLOW))))
    for decision in bench.log:
        trajectory = decision.trajectory
        assert trajectory is not None
        assert not trajectory.velocities[-1].any()
        assert trajectory.times_s[-1] >= 3 * PERIOD_S - 1e-9
        assert (np.diff(trajectory.times_s) > 0).all()
        assert trajectory.times_s[0] == pytest.approx(PERIOD_S) or len(trajectory.times_s) == 1


def test_the_look_ahead_passes_through_the_limits_too() -> None:
    """The arm follows a command to its end where the program dies, so all of it must be allowed."""
    low, high = START - np.float32(0.15), START + np.float32(0.15)
    limits = np.stack([low, high], axis=1).tolist()
    guards = guard_settings(joint_position={"limits": limits, "margin": 0.1}, soft_start=None)
    bench = Bench.make(ScriptedPredictor(steady([0.01, 0, 0, 0, 0, 0])), guards=guards)
    assert bench.arm_now() == ""
    while bench.tick().state is State.RUNNING:
        positions = bench.log[-1].trajectory.positions  # type: ignore[union-attr]
        assert (positions <= START + 0.05 + 1e-6).all()
    assert bench.log[-1].state is State.LATCHED
    assert "shoulder_pan_joint would leave the joint range" in bench.log[-1].reason


def test_the_queue_waits_for_its_chunk_and_the_arm_holds_meanwhile() -> None:
    guards = guard_settings(queue_empty={"latch_s": 1.0})
    bench = running(Bench.make(ScriptedPredictor(steady(SLOW), delay=3), guards=guards), ticks=9)
    states = [decision.state for decision in bench.log + [bench.tick() for _ in range(40)]]
    assert State.HOLDING in states
    assert states.count(State.RUNNING) > states.count(State.HOLDING)


def test_under_prefetch_no_tick_is_without_an_action_though_the_policy_takes_its_time() -> None:
    schedule = PrefetchSchedule(10, ActionMode.DELTA, lead=5)
    bench = Bench.make(ScriptedPredictor(steady(SLOW, steps=20), delay=4), schedule)
    assert bench.arm_now() == ""
    bench.tick(6)
    bench.log.clear()
    bench.tick(100)
    assert {decision.state for decision in bench.log} == {State.RUNNING}
    assert bench.log[-1].chunk > 8


def test_a_chunk_that_was_asked_for_before_a_stop_is_never_played_after_it() -> None:
    """E-stop and recovery: the old motion must not be played on."""
    predictor = ScriptedPredictor(steady([0.01, 0, 0, 0, 0, 0]), delay=6)
    bench = Bench.make(predictor, guards=guard_settings(queue_empty=None))
    assert bench.arm_now() == ""
    bench.tick(2)
    assert predictor.busy
    bench.controller.stopped = "emergency stop"
    assert bench.tick().state is State.DRY_RUN
    assert not bench.controller.armed
    bench.controller.stopped = None
    predictor.say = steady(STILL)
    bench.tick(3)
    assert bench.arm_now() == ""
    bench.tick(30)
    assert bench.arm == pytest.approx(START, abs=1e-6)


def test_a_reset_fault_needs_a_moment_and_leaves_control_off() -> None:
    bench = running(Bench.make(ScriptedPredictor(steady(SLOW))))
    bench.controller.publishers = 1
    assert bench.tick().state is State.LATCHED
    bench.controller.publishers = 0
    assert bench.tick().state is State.LATCHED
    assert "reset the fault first" in bench.controller.arm(bench.now_s)
    assert "ago" in bench.controller.reset_fault(bench.now_s)
    bench.tick(20)
    assert bench.controller.reset_fault(bench.now_s) == ""
    assert bench.tick().state is State.DRY_RUN
    assert bench.arm_now() == ""


def test_the_same_inputs_give_the_same_decisions_bit_for_bit() -> None:
    def run() -> np.ndarray:
        rng = np.random.default_rng(3)
        say = ScriptedPredictor(lambda _: rng.normal(0, 0.003, (20, 6)).astype(np.float32), delay=2)
        bench = Bench.make(say, PrefetchSchedule(10, ActionMode.DELTA, lead=4))
        bench.arm_now()
        bench.tick(120)
        return bench.commands

    assert np.array_equal(run(), run())


@pytest.mark.parametrize(
    "schedule",
    [
        lambda: QueueSchedule(8),
        lambda: EnsembleSchedule(0.01),
        lambda: PrefetchSchedule(8, ActionMode.DELTA, 3),
    ],
)
def test_rates_keep_to_their_limits_whatever_the_policy_asks_for(schedule: object) -> None:
    rng = np.random.default_rng(0)
    guards = guard_settings(rejected_chunks=None, chunk_border={"limit": 0.2}, workspace={"low": [-2, -2, -2]})
    say = ScriptedPredictor(lambda _: rng.normal(0, 0.02, (12, 6)).astype(np.float32))
    bench = Bench.make(say, schedule(), guards=guards)  # type: ignore[operator]
    assert bench.arm_now() == ""
    bench.tick(600)
    limits = np.asarray(guards["joint_velocity"]["limits"])
    speed = np.abs(np.diff(bench.commands.astype(np.float64), axis=0)) * HZ
    assert (speed <= 0.25 * limits * 1.001).all()
    going = np.array([decision.state is State.RUNNING for decision in bench.log])
    assert going.any()
    changes = np.abs(np.diff(speed_of(bench), axis=0)) * HZ
    kept = going[2:] & going[1:-1]
    assert changes[kept].max() <= 2.5 * 1.01


def speed_of(bench: Bench) -> np.ndarray:
    return np.diff(bench.commands.astype(np.float64), axis=0) * HZ


FAULTS = st.sampled_from(
    ["none", "no joints", "no image", "blocked", "nan", "leap", "error", "e-stop", "rival", "reset", "back", "leap on"]
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(faults=st.lists(st.tuples(FAULTS, st.integers(1, 12)), min_size=1, max_size=20))
def test_no_sequence_of_faults_exceeds_a_limit_publishes_a_nan_or_moves_after_a_latch(
    faults: list[tuple[str, int]],
) -> None:
    rng = np.random.default_rng(1)
    fault = "none"

    def say(_: np.ndarray) -> np.ndarray | str:
        if fault == "error":
            return "out of memory"
        chunk = rng.normal(0, 0.004, (20, 6)).astype(np.float32)
        return np.full_like(chunk, np.nan) if fault == "nan" else 40 * chunk if fault == "leap" else chunk

    bench = Bench.make(ScriptedPredictor(say, delay=2), PrefetchSchedule(10, ActionMode.DELTA, 4))
    bench.arm_now()
    latched_at: np.ndarray | None = None
    for fault, ticks in faults:
        bench.controller.stopped = "emergency stop" if fault == "e-stop" else None
        bench.controller.publishers = int(fault == "rival")
        bench.now_s += {"back": -7.0, "leap on": 2.0}.get(fault, 0.0)
        if fault == "reset" and bench.controller.reset_fault(bench.now_s) == "":
            latched_at = None
            bench.arm_now()
        for _ in range(ticks):
            decision = bench.tick(joints=fault != "no joints", image=fault != "no image", follows=fault != "blocked")
            if latched_at is not None:
                assert decision.trajectory is None
                assert decision.state is State.LATCHED
            if decision.state is State.LATCHED and latched_at is None:
                latched_at = decision.command
            if decision.trajectory is not None:
                positions = decision.trajectory.positions
                assert np.isfinite(positions).all()
                assert np.isfinite(decision.trajectory.velocities).all()
                assert (np.abs(positions[0] - decision.command) < 1e-6).all()
    going = np.array([decision.state is State.RUNNING for decision in bench.log])
    speed = np.abs(speed_of(bench))
    caps = 0.25 * np.array([2.094, 2.094, 3.142, 3.142, 3.142, 3.142])
    assert (speed[going[1:] & going[:-1]] <= caps * 1.001).all()
    last = bench.controller.stop()
    assert last is None or np.array_equal(last.positions[-1], bench.commands[-1])


def test_the_shipped_guards_file_lists_every_guard_and_an_unknown_one_is_refused() -> None:
    assert set(guard_settings()) == set(KINDS)
    Guards.load(UR10E)
    with pytest.raises(ConfigError, match="there is no guard joint_speed"):
        Guards.make({"joint_speed": {}})
    with pytest.raises(ConfigError, match="joint_velocity: fraktion"):
        Guards.make({"joint_velocity": {"limits": [1.0] * len(JOINTS), "fraktion": 1}})


@pytest.mark.parametrize(
    ("guard", "setting", "value"),
    [
        ("joint_velocity", "limits", [2.0] * 5),
        ("joint_velocity", "limits", [2.0]),
        ("joint_position", "limits", []),
        ("start_pose", "min", [0.0] * 7),
    ],
)
def test_limits_for_another_number_of_joints_are_refused_before_anything_moves(
    guard: str, setting: str, value: list[float]
) -> None:
    with pytest.raises(ConfigError, match=f"{guard}: {setting} has {len(value)} values, expected 6"):
        Bench.make(ScriptedPredictor(steady([0.0] * 6)), guards=guard_settings(**{guard: {setting: value}}))


@pytest.mark.parametrize(
    ("guard", "setting", "value"),
    [
        ("joint_velocity", "fraction", 25),  # per cent
        ("joint_acceleration", "limit", 0),
        ("joint_position", "margin", -0.1),
        ("tool_speed", "limit", -0.25),
        ("joint_state_age", "latch_s", 0),
        ("inference_error", "in_a_row", 0),
    ],
)
def test_a_limit_that_is_none_is_refused(guard: str, setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{guard}: {setting}: Input should be") as caught:
        Guards.make(guard_settings(**{guard: {setting: value}}))
    assert caught.value.exit_code == 3
