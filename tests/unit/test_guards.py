"""One hazard a test: what goes wrong, what the arm does, and how soon."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from control_kit import JOINTS, LAG_S, PERIOD_S, START, Bench, ScriptedPredictor, guard_settings, steady

from lerobot_inference.control.decision import State
from lerobot_inference.control.guards import Severity
from lerobot_inference.control.guards.chain import KINDS
from lerobot_inference.control.guards.tool_speed import ToolSpeed
from lerobot_inference.control.guards.workspace import Workspace
from lerobot_inference.control.kinematics import link_positions
from lerobot_inference.control.prefetch import PrefetchSchedule
from lerobot_inference.control.schedule import EnsembleSchedule, QueueSchedule, Schedule
from lerobot_inference.types import ActionMode

SLOW = [0.001, 0.0, 0.0, 0.0, 0.0, 0.002]


def running(predictor: ScriptedPredictor | None = None, ticks: int = 90, **changes: object) -> Bench:
    guards = guard_settings(**changes)  # type: ignore[arg-type]
    bench = Bench.make(predictor or ScriptedPredictor(steady(SLOW)), guards=guards)
    assert bench.arm_now() == ""
    assert bench.tick(ticks).state is State.RUNNING
    return bench


def seconds_to(bench: Bench, state: State, **senses: bool) -> float:
    """How long until the state is reached, when this is seen no more."""
    for ticks in range(1, 60):
        if bench.tick(**senses).state is state:
            return ticks * PERIOD_S
    raise AssertionError(f"never {state}")


def held_at(bench: Bench) -> np.ndarray:
    """The last accepted command, once nothing moves any more."""
    decision = bench.log[-1]
    bench.tick(30)
    assert all(np.array_equal(later.command, decision.command) for later in bench.log[-30:])
    return decision.command


@pytest.mark.parametrize(
    ("lost", "hold_s", "latch_s", "guard"),
    [("joints", 0.15, 0.3, "joint_state_age"), ("image", 0.2, 0.6, "image_age")],
)
def test_a_lost_sense_is_answered_by_hold_and_then_by_latch(
    lost: str, hold_s: float, latch_s: float, guard: str
) -> None:
    senses = {lost: False}
    assert seconds_to(running(), State.HOLDING, **senses) <= hold_s
    bench = running()
    assert seconds_to(bench, State.LATCHED, **senses) <= latch_s
    assert guard in bench.log[-1].reason
    held_at(bench)


def test_a_sense_that_comes_back_in_time_goes_on_by_itself_and_one_that_latched_does_not() -> None:
    bench = running()
    bench.tick(4, joints=False)
    assert bench.log[-1].state is State.HOLDING
    assert bench.tick().state is State.RUNNING
    bench.tick(8, joints=False)
    assert bench.tick(30).state is State.LATCHED


def test_an_image_and_a_joint_state_of_different_moments_are_not_predicted_from() -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    bench = Bench.make(predictor, guards=guard_settings(image_age=None))
    bench.see()
    bench.tick(2, image=False)
    asked = len(predictor.asked)
    bench.tick(30, image=False)
    assert len(predictor.asked) == asked
    bench.tick(2)
    assert len(predictor.asked) == asked + 1


def test_a_nan_from_the_policy_latches_and_is_never_sent() -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    bench = running(predictor)
    predictor.say = lambda _: np.full((10, 6), np.nan, np.float32)
    assert seconds_to(bench, State.LATCHED) <= 10 * PERIOD_S
    assert "NaN" in bench.log[-1].reason
    assert np.isfinite(held_at(bench)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_target_that_is_not_finite_is_never_sent_whichever_guards_are_on(value: float) -> None:
    bench = Bench.make(ScriptedPredictor(steady([0, 0, 0, 0, 0, value])), guards={})
    assert bench.arm_now() == ""
    assert bench.tick().state is State.LATCHED
    assert bench.log[-1].reason == "target: it is not finite"
    assert np.array_equal(held_at(bench), START)


@pytest.mark.parametrize("shape", [(10, 6, 1), (10, 5), (10, 7), (0, 6), (6,)])
def test_a_chunk_for_another_arm_latches(shape: tuple[int, ...]) -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    bench = running(predictor)
    predictor.say = lambda _: np.zeros(shape, np.float32)
    assert seconds_to(bench, State.LATCHED) <= 10 * PERIOD_S
    assert "shape" in bench.log[-1].reason


def test_a_policy_that_fails_three_times_in_a_row_latches_and_one_that_recovers_does_not() -> None:
    answers = iter(["out of memory", "out of memory", np.zeros((10, 6), np.float32), *["out of memory"] * 3])
    predictor = ScriptedPredictor(steady(SLOW))
    bench = running(predictor, queue_empty={"latch_s": 9.0})
    predictor.say = lambda _: next(answers)
    bench.tick(12)
    assert bench.log[-1].state is State.RUNNING
    assert seconds_to(bench, State.LATCHED) < 1
    assert "3 predictions in a row have failed" in bench.log[-1].reason


def test_a_policy_that_is_too_slow_holds_the_arm_and_latches_when_that_lasts() -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    bench = running(predictor)
    predictor.delay = 1000
    assert seconds_to(bench, State.HOLDING) <= 11 * PERIOD_S
    assert seconds_to(bench, State.LATCHED) <= 0.2 + 2 * PERIOD_S
    assert "queue_empty" in bench.log[-1].reason


@pytest.mark.parametrize("delay", [0, 1, 2])
@pytest.mark.parametrize("before", range(12))
def test_a_camera_that_is_away_for_less_than_its_limit_is_not_held_against_the_policy(delay: int, before: int) -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    predictor.delay = delay
    bench = running(predictor)
    bench.tick(before)
    bench.tick(9, image=False)  # 0.3 s; the arm is held, and latched from 0.5 s on
    bench.tick(20)
    assert State.HOLDING in [decision.state for decision in bench.log]
    assert State.LATCHED not in [decision.state for decision in bench.log], bench.log[-1].reason


def test_a_chunk_that_begins_with_a_leap_is_refused_and_the_third_in_a_row_latches() -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    bench = running(predictor, queue_empty=None)
    predictor.say = steady([0.08, 0, 0, 0, 0, 0])
    assert seconds_to(bench, State.LATCHED) < 1
    assert "3 chunks in a row" in bench.log[-1].reason
    assert bench.controller.counts["chunk_border"] == 3
    assert bench.arm == pytest.approx(bench.commands[-1], abs=1e-3)


def test_one_refused_chunk_does_not_count_after_a_good_one() -> None:
    say = [[0.08, 0, 0, 0, 0, 0], SLOW, SLOW]
    predictor = ScriptedPredictor(steady(SLOW))
    bench = running(predictor, queue_empty=None)
    answers = iter(say * 4)
    predictor.say = lambda _: np.tile(np.asarray(next(answers), np.float32), (10, 1))
    bench.tick(80)
    assert bench.controller.counts["chunk_border"] >= 3
    assert State.LATCHED not in {decision.state for decision in bench.log}


def test_a_target_past_the_elbow_limit_latches_and_the_last_safe_command_is_held() -> None:
    limits = [[-6.283, 6.283]] * 6
    limits[2] = [-3.142, float(START[2]) + 0.15]
    predictor = ScriptedPredictor(steady([0, 0, 0.01, 0, 0, 0]))
    guards = guard_settings(joint_position={"limits": limits}, workspace=None)
    bench = Bench.make(predictor, guards=guards)
    assert bench.arm_now() == ""
    assert seconds_to(bench, State.LATCHED) < 2
    assert bench.log[-1].reason == "joint_position: elbow_joint would leave the joint range"
    assert held_at(bench)[2] <= START[2] + 0.05


def test_a_target_through_the_table_latches() -> None:
    table = float(link_positions(START)[-3:, 2].min()) - 0.02
    guards = guard_settings(workspace={"low": [-1.3, -1.3, table]}, soft_start=None)
    bench = Bench.make(ScriptedPredictor(steady([0, 0.004, 0, 0, 0, 0])), guards=guards)
    assert bench.arm_now() == ""
    assert seconds_to(bench, State.LATCHED) < 2
    assert "leave the workspace" in bench.log[-1].reason


def test_the_tool_is_where_the_joints_say_by_name_in_whatever_order_the_policy_has_them() -> None:
    bench = Bench.make(ScriptedPredictor(steady(SLOW)))
    bench.see()
    order = [2, 1, 0, 3, 4, 5]
    target, here = START + np.float32(0.05), replace(bench.controller._situation(bench.now_s), command=START)
    there = replace(here, joint_names=tuple(JOINTS[index] for index in order), command=START[order])
    for guard in (Workspace(low=(-1.3, -1.3, 0.6)), ToolSpeed(limit=0.1)):
        found, expected = guard.check(target[order], there), guard.check(target, here)
        assert expected.severity is not Severity.ACCEPT
        assert (found.severity, found.reason) == (expected.severity, expected.reason)


def test_a_joint_that_is_too_fast_slows_all_of_them_and_one_that_is_far_too_fast_is_refused() -> None:
    predictor = ScriptedPredictor(steady([0.02, 0, 0, 0, 0, 0.01]))
    bench = running(predictor, tool_speed={"limit": 9.0}, joint_acceleration=None)
    step = bench.commands[-1] - bench.commands[-2]
    assert step[0] == pytest.approx(0.25 * 2.094 * PERIOD_S, rel=1e-3)
    assert step[5] == pytest.approx(step[0] / 2, rel=1e-3)
    predictor.say = steady([0.04, 0, 0, 0, 0, 0])
    bench.tick(12)
    events = [event for decision in bench.log[-12:] for event in decision.events]
    assert any(event.guard == "joint_velocity" and event.severity is Severity.REJECT for event in events)


def test_a_fast_tool_is_slowed_to_its_limit() -> None:
    bench = running(ScriptedPredictor(steady([0.016, 0, 0, 0, 0, 0])))
    tips = np.stack([link_positions(command)[-1] for command in bench.commands])
    speeds = np.linalg.norm(np.diff(tips, axis=0), axis=1) / PERIOD_S
    assert speeds.max() <= 0.25
    assert speeds[-1] > 0.2
    assert bench.controller.counts["tool_speed"] > 50


def test_an_arm_that_is_blocked_stands_still_and_latches_after_half_a_second() -> None:
    bench = running(ScriptedPredictor(steady([0.01, 0, 0, 0, 0, 0])), ticks=60)
    while bench.tick(follows=False).state is State.RUNNING:
        pass
    assert bench.log[-1].state is State.HOLDING
    assert "tracking_error: shoulder_pan_joint" in bench.log[-1].reason
    assert seconds_to(bench, State.LATCHED, follows=False) <= 0.5 + 2 * PERIOD_S
    assert np.abs(bench.log[-1].command - bench.arm).max() < 0.22


def test_a_joint_that_is_reported_a_turn_further_is_not_followed() -> None:
    bench = running(ScriptedPredictor(steady([0.01, 0, 0, 0, 0, 0])), ticks=60)
    bench.arm[0] += np.float32(2 * np.pi)
    before = bench.log[-1].command
    assert bench.tick(follows=False).state is State.HOLDING
    assert seconds_to(bench, State.LATCHED, follows=False) <= 0.5 + 2 * PERIOD_S
    assert np.array_equal(held_at(bench), before)


def test_a_lagging_servo_is_no_tracking_error() -> None:
    bench = running(ScriptedPredictor(steady([0.01, 0, 0, 0, 0, 0])), ticks=120)
    assert "tracking_error" not in bench.controller.counts
    lag = bench.log[-1].command[0] - bench.arm[0]
    assert lag == pytest.approx(0.01 / PERIOD_S * LAG_S, rel=0.7)


def test_the_first_second_is_gentle_and_a_first_target_away_from_the_arm_switches_control_off() -> None:
    bench = running(ScriptedPredictor(steady([0.01, 0, 0, 0, 0, 0])), ticks=60)
    steps = np.diff(bench.commands[:, 0])
    assert steps[5] < 0.2 * 0.01
    assert (np.diff(steps) >= -1e-6).all()
    far = Bench.make(
        ScriptedPredictor(steady(START + np.float32(0.06))),
        mode=ActionMode.ABSOLUTE,
        guards=guard_settings(joint_velocity=None),
    )
    assert far.arm_now() == ""
    assert far.tick().state is State.DRY_RUN
    assert "the first target is 0.060 rad from where the arm is" in far.log[-1].reason


def test_an_arm_that_starts_outside_of_what_was_recorded_stays_off() -> None:
    low, high = (START - np.float32(0.5)).tolist(), (START - np.float32(0.4)).tolist()
    envelope = {"min": low, "max": high, "std": [0.05] * 6}
    bench = Bench.make(ScriptedPredictor(steady(SLOW)), guards=guard_settings(start_pose=envelope))
    assert "the arm starts outside of what was recorded" in bench.arm_now()
    assert not bench.controller.armed
    wide = Bench.make(ScriptedPredictor(steady(SLOW)), guards=guard_settings(start_pose=envelope | {"std": [0.2] * 6}))
    assert wide.arm_now() == ""


def test_a_pose_that_no_demonstration_had_is_counted() -> None:
    seen = {"mean": (START - np.float32(0.5)).tolist(), "std": [0.05] * 6}
    bench = running(out_of_distribution=seen)
    assert bench.log[-1].state is State.RUNNING
    assert bench.controller.counts["out_of_distribution"] >= 90


def overlapping(by_stride: list[float], sayings: list[list[float]]) -> Bench:
    """Chunks of 20 of which 10 are played; each says one of these for its first 10 steps, and SLOW for the rest."""
    said = iter(sayings)
    tail = np.tile(np.asarray(SLOW, np.float32), (10, 1))

    def say(_: np.ndarray) -> np.ndarray:
        return np.concatenate([np.tile(np.asarray(next(said, SLOW), np.float32), (10, 1)), tail])

    return Bench.make(ScriptedPredictor(say), guards=guard_settings(chunk_overlap={"by_stride": by_stride}))


def test_a_chunk_that_contradicts_the_one_before_it_latches() -> None:
    otherwise = [0.001, 0.0, 0.0, 0.0, 0.0, -0.003]  # of SLOW: 0.005 at one joint of six, 0.00204 rms
    for limit, state in ((0.0021, State.RUNNING), (0.002, State.LATCHED)):
        bench = overlapping([limit], [SLOW, SLOW, otherwise])
        assert bench.arm_now() == ""
        assert bench.tick(25).state is state
    assert bench.log[20].state is State.LATCHED, "before any of it is played"
    assert bench.log[20].reason == (
        "chunk_overlap: a chunk says otherwise than the one before it, 0.00204 rad rms, the limit is 0.002"
    )
    held_at(bench)


def test_what_two_chunks_may_differ_by_depends_on_how_many_steps_are_between_them() -> None:
    otherwise = [0.001, 0.0, 0.0, 0.0, 0.0, -0.003]
    for by_stride, state in (
        ([0.001] * 9 + [0.1], State.RUNNING),
        ([0.1] * 9 + [0.001], State.LATCHED),
        ([0.1, 0.001], State.LATCHED),
    ):
        bench = overlapping(by_stride, [SLOW, SLOW, otherwise])
        assert bench.arm_now() == ""
        assert bench.tick(25).state is state


def test_chunks_are_not_compared_over_a_moment_at_which_the_arm_did_not_do_as_it_was_told() -> None:
    otherwise = [0.001, 0.0, 0.0, 0.0, 0.0, -0.003]
    bench = overlapping([0.001], [SLOW, otherwise])
    bench.tick(15)
    assert bench.log[-1].state is State.DRY_RUN
    assert bench.controller.counts["chunk_overlap"] == 0, "off, the arm does nothing of what a chunk says"
    bench = overlapping([0.001], [SLOW, otherwise, otherwise])
    assert bench.arm_now() == ""
    bench.tick(5)
    bench.controller.reset_episode()
    assert bench.tick(9).state is State.RUNNING
    assert bench.controller.counts["chunk_overlap"] == 0
    assert bench.tick(5).state is State.LATCHED, "and then they are again"


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize(
    "schedule",
    [lambda: QueueSchedule(10), lambda: EnsembleSchedule(0.01), lambda: PrefetchSchedule(10, ActionMode.DELTA, 4)],
)
def test_steps_are_compared_with_the_same_steps_of_the_chunk_before_under_every_schedule(
    schedule: Callable[[], Schedule], delay: int
) -> None:
    """A policy that never changes its mind about what is due when; one step aside it would be another thing."""

    def say(_: np.ndarray) -> np.ndarray:
        given = sum(decision.target is not None for decision in bench.log)
        wave = 0.002 * np.sin(1.5 * (given + np.arange(20)))
        return np.tile(wave[:, None], (1, 6)).astype(np.float32)

    guards = guard_settings(chunk_overlap={"by_stride": [1e-6]}, queue_empty=None)
    bench = Bench.make(ScriptedPredictor(say, delay), schedule(), guards=guards)
    assert bench.arm_now() == ""
    bench.tick(120)
    assert bench.log[-1].chunk > 8
    assert bench.controller.counts["chunk_overlap"] == 0


def test_a_second_publisher_on_the_command_topic_latches_at_once() -> None:
    bench = running()
    bench.controller.publishers = 1
    assert seconds_to(bench, State.LATCHED) == PERIOD_S
    held_at(bench)


def test_a_robot_that_stops_takes_control_away_until_a_person_gives_it_back() -> None:
    bench = running()
    bench.controller.stopped = "protective stop"
    assert bench.tick().state is State.DRY_RUN
    assert not bench.controller.armed
    bench.controller.stopped = None
    assert bench.tick(60).state is State.DRY_RUN
    assert bench.arm_now() == ""


def test_control_ends_by_itself_after_its_time() -> None:
    bench = running(time_cap={"seconds": 5})
    held = [bench.tick() for _ in range(70)]
    assert bench.log[-1].state is State.DRY_RUN
    last = [decision.trajectory for decision in held if decision.trajectory is not None][-1]
    assert not last.velocities.any()
    assert "control has been on for 5 s" in " ".join(decision.reason for decision in held)


def test_a_dry_run_counts_what_would_have_latched_and_goes_on() -> None:
    predictor = ScriptedPredictor(steady(SLOW))
    bench = Bench.make(predictor)
    bench.tick(5)
    predictor.say = lambda _: np.full((10, 6), np.nan, np.float32)
    bench.tick(20)
    assert bench.controller.counts["finite_chunk"] >= 1
    predictor.say = steady(SLOW)
    bench.tick(20)
    assert bench.log[-1].state is State.DRY_RUN
    assert bench.log[-1].target is not None


def test_the_page_on_safety_has_a_row_for_every_guard_and_names_tests_that_there_are() -> None:
    tests = Path(__file__).parents[1]
    page = (tests.parent / "docs" / "explanation" / "safety.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(KINDS)
    written = "".join(path.read_text(encoding="utf-8") for path in tests.rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > len(KINDS)
    assert [name for name in named if f"def {name}(" not in written] == []


def test_every_guard_is_provoked_here() -> None:
    told = Path(__file__).read_text() + Path(__file__).with_name("test_controller.py").read_text()
    words = {"robot_mode": "protective stop", "second_publisher": "publishers = 1", "inference_error": "out of memory"}
    words |= {"rejected_chunks": "3 chunks in a row", "finite_chunk": "NaN", "first_target": "the first target is"}
    assert [name for name in KINDS if words.get(name, name) not in told] == []
