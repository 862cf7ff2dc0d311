"""What the robot's guards make of predicted commands, with no robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from control_kit import IMAGE, JOINTS, PERIOD_S, START, ScriptedPredictor, guard_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.control import Decision, Guards, ScheduleName, Severity
from lerobot_inference.control.journal import Journal, told
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import ErrorSum, ProtocolScore
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.replay import AsDeployed, Stopwatch
from lerobot_inference.evaluation.safety_replay import START_S, GuardedArm, SafetyScore
from lerobot_inference.evaluation.safety_summary import pool_safety, stops
from lerobot_inference.types import ActionMode, FloatArray, ImageShape, PolicySpec

N_ACTION_STEPS = 10
SLOW = np.array([0.001, 0, 0, 0, 0, 0.002], np.float32)
FAST = np.array([0, 0, 0, 0, 0, 0.03], np.float32)
"""0.9 rad/s; commissioning allows the wrist 0.79."""
WORKSPACE_FREE = guard_settings(workspace=None, tool_speed=None, joint_acceleration=None)


def deployed(actions: FloatArray, n_action_steps: int = N_ACTION_STEPS, chunks: FloatArray | None = None) -> AsDeployed:
    starts = np.arange(0, len(actions), n_action_steps)
    return AsDeployed(actions.astype(np.float32), np.zeros(len(actions)), starts, chunks)


def arm(
    mode: ActionMode = ActionMode.DELTA, guards: Mapping[str, Any] = WORKSPACE_FREE, joints: int = 6, states: int = 0
) -> GuardedArm:
    found = made(mode, guards, joints, states or joints)
    assert isinstance(found, GuardedArm)
    return found


def made(mode: ActionMode, guards: Mapping[str, Any], joints: int, states: int) -> GuardedArm | str:
    names = JOINTS if joints == 6 else tuple(f"joint_{number}" for number in range(joints))
    data = Dataset(
        root=Path(),
        fps=30.0,
        cameras={},
        joint_names=names,
        state_dim=states,
        action_dim=joints,
        statistics={},
        _entries={},
    )
    plan = EvaluationPlan([0], mode, guards=guards)
    return GuardedArm.of(Checkpoint.__new__(Checkpoint), data, plan)


def commands(guarded: GuardedArm, actions: FloatArray, start: FloatArray = START) -> FloatArray:
    return np.stack([decision.command for decision in guarded.decide(deployed(actions), start)])


def test_commands_within_the_limits_are_followed_to_the_last_step() -> None:
    actions = np.tile(SLOW, (35, 1))
    score, answers = arm().replay(deployed(actions), START)
    assert score == SafetyScore(ticks=35, scaled=0, held=0, stopped_at=-1, stop="", guards={})
    assert not answers.any()
    assert commands(arm(), actions) == pytest.approx(START + np.cumsum(actions, axis=0), abs=1e-6)


def test_a_joint_that_is_too_fast_is_slowed_down_at_the_steps_where_it_is() -> None:
    actions = np.tile(SLOW, (30, 1))
    actions[12:15] = FAST
    score, answers = arm().replay(deployed(actions), START)
    assert (score.scaled, score.held, score.stopped_at) == (3, 0, -1)
    assert np.flatnonzero(answers == Severity.SCALE).tolist() == [12, 13, 14]
    spoke = score.guards["joint_velocity"]
    assert (spoke.ticks, spoke.severest, spoke.first_step, spoke.first_word) == (3, Severity.SCALE, 12, Severity.SCALE)
    assert spoke.first_reason == "wrist_3_joint: 1.15 times the speed allowed"


def test_a_path_through_the_table_latches_where_it_gets_there_and_the_arm_stays() -> None:
    """Shoulder lift down, 0.3 rad/s."""
    guards = guard_settings(tool_speed=None, joint_acceleration=None)
    actions = np.tile(np.array([0, 0.01, 0, 0, 0, 0], np.float32), (120, 1))
    score, answers = arm(guards=guards).replay(deployed(actions), START)
    at = score.stopped_at
    assert 0 < at < 119
    assert score.stop.startswith("workspace: the arm would leave the workspace")
    assert score.held == 120 - at
    assert (answers[:at] == Severity.ACCEPT).all()
    assert (answers[at:] == Severity.LATCH).all()
    path = commands(arm(guards=guards), actions)
    assert (path[at:] == path[at - 1]).all()
    assert score.guards["workspace"].ticks == 1


def test_a_chunk_that_leaps_is_refused_until_the_third_latches_and_later_chunks_begin_at_their_own_steps() -> None:
    absolute = np.tile(START, (40, 1))
    absolute[10:20] += np.float32(0.2)
    score, answers = arm(ActionMode.ABSOLUTE).replay(deployed(absolute), START)
    assert score.guards["chunk_border"].first_step == 10
    assert score.stop.startswith("rejected_chunks: 3 chunks in a row")
    assert score.stopped_at == 13
    once = np.tile(START, (40, 1))
    once[19] += np.float32(0.2)  # refused as too fast; what was left of that chunk is dropped
    score, answers = arm(ActionMode.ABSOLUTE).replay(deployed(once), START)
    assert answers.tolist() == [Severity.ACCEPT] * 19 + [Severity.REJECT] + [Severity.ACCEPT] * 20
    assert score.held == 1


def test_a_first_target_away_from_the_arm_switches_control_off_and_nothing_moves_after_it() -> None:
    absolute = np.tile(START + np.float32(0.06), (30, 1))
    score, answers = arm(ActionMode.ABSOLUTE).replay(deployed(absolute), START)
    assert score.guards["first_target"].severest == Severity.DISARM
    assert (answers == Severity.DISARM).all()
    assert (score.held, score.stopped_at) == (30, 0)
    assert score.stop.startswith("first_target: ")
    assert set(score.guards) == {"first_target"}, "what a dry run says after that is not counted"


def test_an_episode_that_begins_outside_of_what_was_recorded_is_one_that_control_stays_off_in() -> None:
    guards = guard_settings(workspace=None) | {"start_pose": {"min": [0.5] * 6, "max": [0.6] * 6, "std": [0.01] * 6}}
    score, answers = arm(guards=guards).replay(deployed(np.tile(SLOW, (20, 1))), START)
    spoke = score.guards["start_pose"]
    assert (spoke.ticks, spoke.severest, spoke.first_step) == (1, Severity.DISARM, 0)
    assert "the arm starts outside of what was recorded" in spoke.first_reason
    assert score.stop == f"start_pose: {spoke.first_reason}"
    assert (answers == Severity.DISARM).all()


def test_chunks_that_contradict_each_other_latch_though_what_is_played_of_them_fits() -> None:
    chunks = np.zeros((4, 20, 6), np.float32)
    chunks[1, 10:] = 0.004
    guards = guard_settings(workspace=None, chunk_overlap={"by_stride": [0.003]})
    score, answers = arm(guards=guards).replay(deployed(np.zeros((40, 6)), chunks=chunks), START)
    assert score.stop.startswith("chunk_overlap: a chunk says otherwise than the one before it, 0.004 rad rms")
    assert score.stopped_at == 20
    assert (answers[:20] == Severity.ACCEPT).all()
    forgiving = guard_settings(workspace=None, chunk_overlap={"by_stride": [0.005]})
    score, _ = arm(guards=forgiving).replay(deployed(np.zeros((40, 6)), chunks=chunks), START)
    assert score.stopped_at == -1


def test_guards_of_the_session_and_those_whose_limits_are_of_another_arm_are_left_out_by_name() -> None:
    recorded = {"start_pose", "out_of_distribution", "chunk_overlap"}
    found = arm(guards=guard_settings()).left_out
    assert set(found) == {"soft_start", "time_cap"} | recorded
    assert {found[name] for name in recorded} == {"neither the guards file nor the policy's contract gives it limits"}
    seven = arm(guards=guard_settings(), joints=7)
    left_out = recorded | {"soft_start", "time_cap", "joint_velocity", "joint_position", "tool_speed", "workspace"}
    assert set(seven.left_out) == left_out
    assert seven.left_out["joint_velocity"] == "its limits are those of 6 joints, the policy moves 7"
    score, _ = seven.replay(deployed(np.tile(np.float32(0.001), (20, 7))), np.zeros(7, np.float32))
    assert score.held == 0
    _, reasons = pool_safety([scored(0, score)], seven)
    assert {path.removeprefix("safety_replay.guards.") for path in reasons} == left_out


def test_a_state_that_is_not_of_the_joints_that_are_moved_has_no_replay_but_a_reason() -> None:
    found = made(ActionMode.DELTA, guard_settings(), 6, 12)
    assert found == "the state has 12 values and the action 6: they are not of the same joints"
    assert pool_safety([scored(0, None)], found) == (None, {"safety_replay": found})


def test_joints_that_have_one_name_are_told_apart() -> None:
    same = replace(arm().settings, joint_names=tuple(f"joint {number}" for number in range(6)))
    data = Dataset(Path(), 30.0, {}, ("joint",) * 6, 6, 6, {}, {})
    found = GuardedArm.of(Checkpoint.__new__(Checkpoint), data, EvaluationPlan([0], ActionMode.DELTA))
    assert isinstance(found, GuardedArm)
    assert found.settings == same


def scored(episode: int, safety: SafetyScore | None) -> EpisodeScore:
    nothing = ErrorSum.of(np.zeros((1, 6), np.float32), np.zeros((1, 6), np.float32))
    return EpisodeScore(episode, ProtocolScore(nothing, {}, {}), None, Stopwatch(), safety)


def test_figures_are_the_same_in_whatever_order_episodes_come_and_after_they_were_on_disk(tmp_path: Path) -> None:
    still, fast = np.zeros((30, 6), np.float32), np.tile(FAST, (30, 1))
    table = np.tile(np.array([0, 0.01, 0, 0, 0, 0], np.float32), (120, 1))
    guarded = arm(guards=guard_settings(joint_acceleration=None, tool_speed=None))
    runs = [guarded.replay(deployed(actions), START).score for actions in (still, fast, table, fast)]
    scores = [scored(number, run) for number, run in enumerate(runs)]
    for score in scores:
        score.save(tmp_path / f"{score.episode}.npz")
    again = [EpisodeScore.load(tmp_path / f"{number}.npz") for number in (2, 0, 3, 1)]
    assert [score.safety for score in again] == [runs[number] for number in (2, 0, 3, 1)]
    figures, _ = pool_safety(scores, guarded)
    assert figures is not None
    assert pool_safety(again, guarded)[0] == figures
    assert stops(again) == stops(scores)
    assert [failure.episode for failure in stops(scores)] == [2]
    assert (figures.ticks, figures.scaled_ticks, figures.stopped_episodes) == (210, 60, 1)
    velocity = figures.guards["joint_velocity"]
    assert (velocity.ticks, velocity.episodes, velocity.severest) == (60, 2, "scale")
    assert (figures.first_events["joint_velocity"].episode, figures.first_events["joint_velocity"].step) == (1, 0)
    assert figures.guards["joint_position"].severest == "accept"
    assert list(figures.guards) == list(guarded.guards)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.003, 0.01, 0.03]),
    limit=st.sampled_from([0.01, 1.0]),
    mode=st.sampled_from(list(ActionMode)),
    signs=st.sampled_from([(), (1, -1, 1, 1, -1, 1)]),
)
def test_evaluator_and_node_command_the_same_to_the_last_bit(
    seed: int, scale: float, limit: float, mode: ActionMode, signs: tuple[int, ...]
) -> None:
    """The node's own way: a journal around its controller, its schedule, and an arm that follows."""
    rng = np.random.default_rng(seed)
    spec = PolicySpec(6, 6, {"observation.images.color": ImageShape(4, 4)}, 20, N_ACTION_STEPS)
    chunks = np.cumsum(rng.normal(0, scale / 3, (8, 20, 6)), axis=1).astype(np.float32)
    if mode is ActionMode.ABSOLUTE:
        chunks += START
    actions = chunks[:, :N_ACTION_STEPS].reshape(-1, 6)
    guards = guard_settings(soft_start=None, time_cap=None, chunk_overlap={"by_stride": [limit]})
    evaluated = arm(mode, guards)
    evaluated = replace(evaluated, settings=replace(evaluated.settings, signs=signs, lookahead_points=5))
    decisions = list(evaluated.decide(deployed(actions, chunks=chunks), START))
    until = first_refusal(decisions)  # from there on a network would be asked again, and say something else
    assert until >= 1
    played = played_by_node(evaluated, spec, chunks, until)
    assert [told(decision) for decision in played] == [told(decision) for decision in decisions[:until]]


def first_refusal(decisions: list[Decision]) -> int:
    refused = [any(event.severity >= Severity.REJECT for event in decision.events) for decision in decisions]
    return refused.index(True) + 1 if True in refused else len(decisions)


def played_by_node(evaluated: GuardedArm, spec: PolicySpec, chunks: FloatArray, ticks: int) -> list[Decision]:
    answers = iter(chunks)
    predictor = ScriptedPredictor(lambda _: next(answers))
    guards = Guards.make(evaluated.guards)
    journal = Journal(None, evaluated.settings, guards, ScheduleName.POLICY, spec, 1, predictor, START_S)
    measured = START * np.array(evaluated.settings.signs or 1, np.float32)
    decisions = []
    for tick in range(ticks):
        now_s = START_S + tick * PERIOD_S
        journal.see_joints(JOINTS, measured.tolist(), now_s, now_s)
        journal.see_image(IMAGE, now_s, now_s)
        if not tick:
            assert journal.arm(now_s) == ""
        decisions.append(journal.tick(now_s))
        if decisions[-1].trajectory is not None:
            measured = decisions[-1].command
    return decisions
