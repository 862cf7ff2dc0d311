"""What the arm does when this machine's clock, the sender's or a simulation's goes back: nothing of before counts."""

from __future__ import annotations

import numpy as np
import pytest
from control_kit import PERIOD_S, START, Bench, ScriptedPredictor, guard_settings, steady

from lerobot_inference.control.decision import State
from lerobot_inference.control.senses import Stamps

FAST = [0.01, 0.0, 0.0, 0.0, 0.0, 0.01]


def running(back_s: float, ticks: int = 30) -> Bench:
    """An arm in motion, half way up its ramp, whose clock has just gone back."""
    bench = Bench.make(ScriptedPredictor(steady(FAST)))
    assert bench.arm_now() == ""
    assert bench.tick(ticks).state is State.RUNNING
    bench.now_s -= back_s + PERIOD_S
    return bench


@pytest.mark.parametrize("back_s", [0.001, 0.3, 5.0, 3600.0])
@pytest.mark.parametrize("seen", [True, False])
def test_a_clock_that_goes_back_latches_at_once_whatever_is_seen_and_the_arm_never_turns_round(
    back_s: float, seen: bool
) -> None:
    bench = running(back_s)
    before = bench.log[-1].command
    assert bench.tick(joints=seen, image=seen).state is State.LATCHED
    assert bench.log[-1].reason.startswith(f"clock: it went back by {back_s:.3f} s")
    assert np.array_equal(bench.log[-1].command, before), "the last accepted command is held"
    assert bench.log[-1].trajectory is not None
    assert bench.tick(60).trajectory is None


def test_a_program_that_stood_still_latches_however_fresh_everything_is_when_it_goes_on() -> None:
    """Suspended, stopped by a debugger, blocked by a disk: whoever came near meanwhile is not moved into."""
    bench = running(-PERIOD_S)
    bench.now_s += 0.5
    assert bench.tick().state is State.RUNNING, "a busy machine is no reason"
    bench.now_s += 1.0
    assert bench.tick().state is State.LATCHED
    assert bench.log[-1].reason == "clock: no tick for 1.033 s"
    assert bench.tick(60).trajectory is None


def test_after_the_clock_went_back_a_person_resets_and_the_arm_goes_on_by_the_new_time() -> None:
    bench = running(3600.0)
    bench.tick(30)
    assert bench.controller.reset_fault(bench.now_s) == ""
    assert bench.arm_now() == ""
    assert bench.tick(90).state is State.RUNNING
    assert bench.arm[0] > START[0]


def test_a_latch_of_before_the_clock_went_back_can_be_reset_half_a_second_later() -> None:
    bench = running(-PERIOD_S)
    bench.controller.publishers = 1
    assert bench.tick().state is State.LATCHED
    bench.controller.publishers = 0
    bench.now_s -= 3600.0
    assert bench.tick(2).state is State.LATCHED
    assert "ago" in bench.controller.reset_fault(bench.now_s)
    bench.tick(20)
    assert bench.controller.reset_fault(bench.now_s) == ""


def test_what_was_seen_before_the_clock_went_back_is_not_fresh_after_it() -> None:
    bench = Bench.make(ScriptedPredictor(steady(FAST)))
    bench.tick(3)
    bench.now_s -= 3600.0
    assert bench.tick(3, joints=False, image=False).state is State.DRY_RUN
    assert "joint_state_age: the joint state is -3599." in bench.controller.arm(bench.now_s)


def test_messages_are_taken_again_once_the_clock_has_gone_back() -> None:
    stamps = Stamps()
    assert stamps.accept(1000.0, 1000.0) == 1000.0
    assert stamps.accept(10.0, 10.0) == 10.0, "this machine's clock went back"
    assert stamps.accept(9.99, 10.01) is None, "and this is only overtaken"


def test_a_soft_start_is_over_after_its_time_and_never_backwards() -> None:
    """However a ramp is measured, no clock makes a step of it that is longer, or turns it round."""
    guards = guard_settings(joint_velocity=None, tool_speed=None, joint_acceleration=None, chunk_border=None)
    bench = Bench.make(ScriptedPredictor(steady(FAST)), guards=guards)
    assert bench.arm_now() == ""
    bench.tick(10)
    bench.controller._ticked_s = None  # as if nobody had noticed
    bench.now_s -= 20.0
    bench.tick(5)
    steps = np.diff(bench.commands[:, 0])
    assert (steps >= 0).all()
    assert steps.max() <= 0.01
