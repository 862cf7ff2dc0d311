"""The gate: rules on figures, the champion, the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from results_factory import write_results

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.figures import Found
from lerobot_inference.evaluation.gate import Champion, GateVerdict, judge
from lerobot_inference.evaluation.results import EvalResults, ProtocolResult
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.evaluation.rules import GateRules, RuleKind, check_rule, default_rules, load_rules
from lerobot_inference.records import save_record

finite = st.floats(allow_nan=False, allow_infinity=False)
sides: st.SearchStrategy[RuleKind] = st.sampled_from(["max", "min"])
SKILLS = "protocols.as_deployed.per_joint_skill"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> EvalResults:
    return write_results(tmp_path_factory.mktemp("results"), lengths=(40, 30, 35, 45, 25, 50))


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> EvalResults:
    """The same recordings, twice the error, another policy."""
    folder = tmp_path_factory.mktemp("worse")
    files = {"model.safetensors": "9" * 64}
    return write_results(folder, lengths=(40, 30, 35, 45, 25, 50), error=0.003, policy_files=files)


def champion(results: EvalResults | str, files: Mapping[str, str] | None = None) -> Champion:
    """The registry's champion, evaluated as `results` say."""
    known = {} if isinstance(results, str) else results.provenance.policy_files
    return Champion("3", files or known, results)


def with_protocol(results: EvalResults, **update: Any) -> EvalResults:
    deployed: ProtocolResult = results.as_deployed.model_copy(update=update)
    return results.model_copy(update={"protocols": results.protocols | {"as_deployed": deployed}})


def with_intervals(results: EvalResults, **update: Any) -> EvalResults:
    assert results.as_deployed.intervals is not None
    return with_protocol(results, intervals=results.as_deployed.intervals.model_copy(update=update))


def with_skills(results: EvalResults, *skills: float | None) -> EvalResults:
    return with_protocol(results, per_joint_skill=list(skills))


# Verdicts


def test_the_rules_file_in_the_repository_is_the_default() -> None:
    repository = Path(__file__).parents[2]
    assert load_rules(repository / "pipelines" / "gate.yaml") == default_rules()


def test_a_good_policy_is_promoted_over_nothing(results: EvalResults) -> None:
    verdict = judge(results, default_rules())
    assert verdict.verdict == "promote"
    assert verdict.reason == "every rule passed; there is no champion yet"
    assert all(rule.passed for rule in verdict.rules)
    assert verdict.champion is None
    assert verdict.comparison is None


def test_a_policy_that_is_clearly_better_than_the_champion_is_promoted(
    results: EvalResults, worse: EvalResults
) -> None:
    verdict = judge(results, default_rules(), champion(worse))
    assert verdict.verdict == "promote"
    assert verdict.champion == "3"
    assert verdict.comparison is not None
    assert verdict.comparison.mae_interval[1] < 0
    assert "the champion, version 3" in verdict.reason
    assert "over 6 episodes" in verdict.reason


def test_a_policy_that_is_worse_than_the_champion_is_rejected_for_the_regression(
    results: EvalResults, worse: EvalResults
) -> None:
    verdict = judge(worse, default_rules(), champion(results))
    assert verdict.verdict == "reject"
    assert "aggregate_mae" in verdict.reason
    assert "worse than the champion's" in verdict.reason


def test_a_smaller_error_that_may_be_luck_keeps_the_champion(results: EvalResults) -> None:
    """Three episodes a little better, three a little worse."""
    factors = (0.8, 1.15, 0.8, 1.15, 0.8, 1.15)
    per_episode = [
        scored.model_copy(update={"per_joint_mae": [factor * mae for mae in scored.per_joint_mae]})
        for scored, factor in zip(results.per_episode, factors, strict=True)
    ]
    files = results.provenance.model_copy(update={"policy_files": {"model.safetensors": "8" * 64}})
    candidate = results.model_copy(update={"per_episode": per_episode, "provenance": files})
    verdict = judge(candidate, default_rules(), champion(results))
    assert verdict.verdict == "keep"
    assert verdict.comparison is not None
    assert verdict.comparison.mae < 0 < verdict.comparison.mae_interval[1]
    assert "isn't clearly smaller" in verdict.reason


def test_a_rerun_of_the_champion_is_kept_out(results: EvalResults) -> None:
    verdict = judge(results, default_rules(), champion(results))
    assert verdict.verdict == "keep"
    assert "same files as the champion, version 3" in verdict.reason
    assert verdict.comparison is not None
    assert verdict.comparison.mae == 0


def test_a_joint_that_may_be_as_good_as_a_baseline_passes_and_one_that_is_worse_beyond_doubt_is_named(
    results: EvalResults,
) -> None:
    doubtful = with_intervals(results, per_joint_skill=[(-2.0, 0.7), (-0.9, 0.1), *[(0.5, 0.9)] * 4])
    assert judge(doubtful, default_rules()).verdict == "promote"
    worse = with_intervals(results, per_joint_skill=[(-2.0, 0.7), (-0.9, -0.1), *[(0.5, 0.9)] * 4])
    verdict = judge(worse, default_rules())
    assert verdict.verdict == "reject"
    assert f"{results.joint_names[1]} -0.1 < 0" in verdict.reason
    assert results.joint_names[0] not in verdict.reason


def test_of_an_interval_of_an_error_the_smaller_end_counts(results: EvalResults) -> None:
    found = with_intervals(results, mae=(0.001, 0.003))
    rules = GateRules(max={"protocols.as_deployed.intervals.mae": 0.002})
    assert judge(found, rules).verdict == "promote"
    assert judge(with_intervals(results, mae=(0.0021, 0.003)), rules).verdict == "reject"


def test_results_compared_with_themselves_keep_whatever_the_files(results: EvalResults) -> None:
    other = champion(results, {"model.safetensors": "7" * 64})
    verdict = judge(results, default_rules(), other)
    assert verdict.verdict == "keep"
    assert verdict.comparison is not None
    assert verdict.comparison.mae_interval == (0, 0)


@pytest.mark.parametrize("why", ["its run holds no eval_results.json", "other fps"])
def test_a_champion_that_can_not_be_compared_with_is_kept_and_it_is_said_what_to_do(
    results: EvalResults, worse: EvalResults, why: str
) -> None:
    other = champion(worse.model_copy(update={"fps": 15.0}) if why == "other fps" else why, {"a": "1" * 64})
    verdict = judge(results, default_rules(), other)
    assert verdict.verdict == "keep"
    assert verdict.comparison is None
    assert why in verdict.reason
    assert "--champion-results" in verdict.reason
    regression = next(rule for rule in verdict.rules if rule.rule == "max_regression")
    assert (regression.passed, regression.value) == (True, None)
    assert regression.reason.startswith("not applied: ")
    assert why in regression.reason


def test_a_failed_rule_rejects_and_says_which_figure_and_limit(results: EvalResults) -> None:
    rules = GateRules(max={"aggregate_mae": 1e-6}, min={"episodes_evaluated": 2})
    verdict = judge(results, rules)
    assert verdict.verdict == "reject"
    assert verdict.reason.startswith("aggregate_mae ")
    assert verdict.reason.endswith("> 1e-06")
    assert [rule.passed for rule in verdict.rules] == [False, True]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limits=st.dictionaries(st.sampled_from(["aggregate_mae", "aggregate_mse", "fps"]), finite, min_size=1),
    better=st.booleans(),
)
def test_one_more_rule_that_fails_never_makes_a_reject_anything_else(
    results: EvalResults, worse: EvalResults, limits: dict[str, float], better: bool
) -> None:
    other = champion(worse) if better else None
    before = judge(results, GateRules(max=limits), other)
    after = judge(results, GateRules(max=limits, min={"episodes_evaluated": 1000}), other)
    assert after.verdict == "reject"
    if before.verdict == "reject":
        assert before.reason in after.reason


def test_a_policy_no_better_than_the_best_baseline_is_rejected_for_skill(tmp_path: Path) -> None:
    results = write_results(tmp_path, lengths=(60,), error=0.05)
    verdict = judge(results, GateRules(min={"protocols.as_deployed.skill": 0.1}))
    assert verdict.verdict == "reject"
    assert "protocols.as_deployed.skill" in verdict.reason


@pytest.mark.parametrize("skill", [0.0, -0.6, math.nan])
def test_a_policy_no_better_than_no_policy_is_rejected_whatever_the_rules(results: EvalResults, skill: float) -> None:
    verdict = judge(with_protocol(results, skill=skill), GateRules(max={"aggregate_mae": 1}))
    assert verdict.verdict == "reject"
    assert verdict.reason == f"skill {skill:.4g} is not above 0: no better than repeat last, which needs no policy"


@pytest.mark.parametrize(("failed", "which"), [([3, 7], "3, 7"), ([], "some under a perturbation")])
def test_the_episodes_that_could_be_scored_do_not_speak_for_those_that_could_not(
    results: EvalResults, failed: list[int], which: str
) -> None:
    """A policy that says NaN in half of the episodes has figures of the other half alone."""
    partial = results.model_copy(update={"status": "partial", "failed_episodes": failed})
    verdict = judge(partial, default_rules())
    assert verdict.verdict == "reject"
    assert verdict.reason.startswith(f"episodes could not be scored, {which}: failure_cases.jsonl says why")


# Rules about every joint


def test_a_rule_about_every_joint_names_those_that_fail(results: EvalResults) -> None:
    broken = with_skills(results, 0.5, 0.4, -3.1, 0.2, -0.25, 0.9)
    verdict = judge(broken, GateRules(min={SKILLS: 0}))
    assert verdict.verdict == "reject"
    names = results.joint_names
    assert verdict.reason == f"{SKILLS}: {names[2]} -3.1 < 0, {names[4]} -0.25 < 0"
    outcome = next(rule for rule in verdict.rules if rule.metric == SKILLS)
    assert outcome.value == -3.1


def test_a_rule_about_every_joint_passes_with_the_worst_of_them(results: EvalResults) -> None:
    outcome = judge(with_skills(results, 0.5, 0.4, 0.3, 0.05, 0.6, 0.9), GateRules(min={SKILLS: 0})).rules[0]
    assert (outcome.passed, outcome.value) == (True, 0.05)
    assert outcome.reason == f"{SKILLS}: {results.joint_names[3]} 0.05 >= 0"


def test_a_joint_that_never_moves_is_left_out_and_all_of_them_fail(results: EvalResults) -> None:
    rules = GateRules(min={SKILLS: 0})
    assert judge(with_skills(results, None, 0.4, 0.3, 0.05, 0.6, 0.9), rules).rules[0].passed
    nothing = judge(with_skills(results, *[None] * 6), rules).rules[0]
    assert not nothing.passed
    assert nothing.reason == f"{SKILLS} is null for every joint"


def test_a_nan_of_one_joint_fails_with_its_name(results: EvalResults) -> None:
    outcome = judge(with_skills(results, 0.5, math.nan, 0.3, 0.05, 0.6, 0.9), GateRules(min={SKILLS: 0})).rules[0]
    assert not outcome.passed
    assert outcome.value is None
    assert outcome.reason == f"{SKILLS} is NaN of {results.joint_names[1]}"


def test_joints_of_the_same_name_are_told_apart(results: EvalResults) -> None:
    twins = with_skills(results, 0.5, -1, 0.3, -2, 0.6, 0.9).model_copy(update={"joint_names": ["joint"] * 6})
    assert judge(twins, GateRules(min={SKILLS: 0})).reason == f"{SKILLS}: joint [1] -1 < 0, joint [3] -2 < 0"


# Rules against the champion


def test_a_regression_is_a_fraction_of_the_champions_figure(results: EvalResults) -> None:
    ours = results.model_copy(update={"aggregate_mae": 1.2 * results.aggregate_mae})
    rules = GateRules(max_regression={"aggregate_mae": 0.1})
    outcome = judge(ours, rules, champion(results)).rules[0]
    assert not outcome.passed
    assert outcome.value == pytest.approx(0.2)
    assert "20.0% worse than the champion's" in outcome.reason
    assert judge(ours, GateRules(max_regression={"aggregate_mae": 0.21}), champion(results)).rules[0].passed


def test_of_skill_less_is_worse(results: EvalResults) -> None:
    rules = GateRules(max_regression={SKILLS: 0.1})
    before = with_skills(results, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    after = with_skills(results, 0.4, 0.6, 0.5, 0.5, 0.5, 0.5)
    outcome = judge(after, rules, champion(before)).rules[0]
    assert not outcome.passed
    assert outcome.reason.startswith(f"{SKILLS}: {results.joint_names[0]} 0.4 is 20.0% worse")
    assert outcome.value == pytest.approx(0.2)


def test_worse_than_a_champion_without_error_is_infinitely_worse() -> None:
    nothing, something = Found({"": 0.0}), Found({"": 0.1})
    assert check_rule("max_regression", "aggregate_mae", 9.0, nothing, nothing).passed
    outcome = check_rule("max_regression", "aggregate_mae", 9.0, something, nothing)
    assert (outcome.passed, outcome.value) == (False, None)


def test_a_regression_over_other_episodes_is_not_applied(results: EvalResults, worse: EvalResults) -> None:
    fewer = worse.model_copy(update={"per_episode": worse.per_episode[1:]})
    outcome = judge(results, GateRules(max_regression={"aggregate_mae": 0}), champion(fewer)).rules[0]
    assert outcome.passed
    assert outcome.reason == "not applied: the champion was scored on other episodes"


# Wall times


@pytest.mark.parametrize("metric", ["timing.policy_step.p99_ms", "aggregate_throughput_hz", "timing.deadline_misses"])
@pytest.mark.parametrize("kind", ["min", "max_regression"])
def test_a_wall_time_measured_by_workers_that_share_the_machine_fails(
    results: EvalResults, metric: str, kind: str
) -> None:
    rules = GateRules.model_validate({kind: {metric: 0}})
    shared = results.provenance.model_copy(update={"workers": 2})
    assert judge(results, rules).rules[0].passed
    outcome = judge(results.model_copy(update={"provenance": shared}), rules).rules[0]
    assert not outcome.passed
    assert "measured while workers shared the machine; evaluate with --workers 1" in outcome.reason


@pytest.mark.parametrize(("key", "there"), [("machine", "Darwin x86_64"), ("processor", "another, 64 cores")])
def test_wall_times_of_another_computer_are_not_compared(results: EvalResults, key: str, there: str) -> None:
    provenance = results.provenance.model_copy(update={key: there})
    elsewhere = results.model_copy(update={"provenance": provenance})
    outcome = judge(results, GateRules(max_regression={"timing.forward.mean_ms": 0}), champion(elsewhere)).rules[0]
    assert outcome.reason == f"not applied: the champion's was measured with another {key}"


# Figures that are missing


def test_a_protocol_that_was_not_run_fails_its_rule_with_the_reason_from_the_results(tmp_path: Path) -> None:
    results = write_results(tmp_path, lengths=(40,), every_frame=False)
    outcome = judge(results, GateRules(max={"protocols.every_frame.error.mae": 1.0})).rules[0]
    assert not outcome.passed
    assert outcome.value is None
    assert outcome.reason == "protocols.every_frame.error.mae is not asked for"


def test_a_nan_that_slips_into_the_results_rejects(results: EvalResults) -> None:
    broken = results.model_copy(update={"aggregate_mae": math.nan})
    verdict = judge(broken, default_rules())
    assert verdict.verdict == "reject"
    assert verdict.reason == "aggregate_mae is NaN"


@given(kind=st.sampled_from(["max", "min", "max_regression"]), limit=st.floats(min_value=0, max_value=1e9))
def test_nan_and_missing_fail_every_rule(kind: RuleKind, limit: float) -> None:
    base = Found({"": 1.0})
    assert not check_rule(kind, "aggregate_mae", limit, Found({"": math.nan}), base).passed
    assert not check_rule(kind, "aggregate_mae", limit, Found({}, "missing"), base).passed


@given(kind=sides, limit=finite, value=finite, looser=st.floats(min_value=0, max_value=1e6))
def test_a_looser_limit_never_turns_a_pass_into_a_fail(
    kind: RuleKind, limit: float, value: float, looser: float
) -> None:
    loose = limit + looser if kind == "max" else limit - looser
    if check_rule(kind, "aggregate_mae", limit, Found({"": value})).passed:
        assert check_rule(kind, "aggregate_mae", loose, Found({"": value})).passed


@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_an_infinite_figure_fails(kind: RuleKind, value: float) -> None:
    assert not check_rule(kind, "aggregate_mae", 0.0, Found({"": value})).passed


# Files


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("max: {aggregate_mea: 1}", "max.aggregate_mea"),
        ("max: {policy_repo_id: 1}", "max.policy_repo_id"),
        ("max: {protocols.as_deployed: 1}", "max.protocols.as_deployed"),
        ("max: {protocols.sideways.skill: 1}", "max.protocols.sideways.skill"),
        ("max: {protocols.every_frame.horizon_mae: 1}", "max.protocols.every_frame.horizon_mae"),
        ("max: {protocols.as_deployed.intervals: 1}", "max.protocols.as_deployed.intervals"),
        ("max: {worst_episodes: 1}", "max.worst_episodes"),
        ("max_regression: {aggregate_mae: -0.1}", "max_regression.aggregate_mae"),
        ("max_regression: {aggregate_mea: 0.1}", "max_regression.aggregate_mea"),
        ("max: {aggregate_mae: small}", "max.aggregate_mae"),
        ("max: {aggregate_mae: .nan}", "max.aggregate_mae"),
        ("most: {aggregate_mae: 1}", "most"),
        ("{}", "no rules"),
        ("", "valid dictionary"),
        ("max: [", "not YAML"),
    ],
)
def test_a_wrong_rules_file_is_refused_with_its_name_and_the_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_rules(path)
    assert str(path) in caught.value.message
    assert key in caught.value.message


def test_a_rules_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gate.yaml: No such file"):
        load_rules(tmp_path / "gate.yaml")


@pytest.mark.parametrize(
    "metric",
    [
        "timing.policy_step.p99_ms",
        "protocols.as_deployed.baselines.hold_still.mse",
        "protocols.as_deployed.error.per_joint_p95",
        "protocols.as_deployed.drift.per_joint_chunk_end",
        "protocols.every_frame.smoothness.overlap_disagreement",
    ],
)
def test_a_rule_may_name_any_figure_of_the_results(results: EvalResults, metric: str) -> None:
    assert judge(results, GateRules(min={metric: 0})).rules[0].value is not None


def test_a_verdict_comes_back_as_it_was_written_and_a_damaged_one_is_named(
    results: EvalResults, worse: EvalResults, tmp_path: Path
) -> None:
    verdict = judge(results, default_rules(), champion(worse))
    path = tmp_path / "verdict.json"
    save_record(verdict, path)
    assert GateVerdict.load(tmp_path) == verdict
    path.write_text(path.read_text().replace('"promote"', '"approve"'))
    with pytest.raises(ConfigError, match="verdict.json: verdict: "):
        GateVerdict.load(tmp_path)
    with pytest.raises(ConfigError, match="verdict.json: No such file"):
        GateVerdict.load(tmp_path / "nowhere")


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = write_results(tmp_path, lengths=(20,))
    assert load_results(tmp_path) == written


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('"aggregate_mae": ', '"aggregate_mae": NaN, "x": ', "aggregate_mae"),
        ('"device": ', '"devise": ', "device"),
        ('"episodes_evaluated": 1', '"episodes_evaluated": 2', "episodes_evaluated is 2"),
        ('"wrist_3"', '"wrist_3", "gripper"', "6 figures for 7 joints"),
        ('"per_joint_jerk_rms": [', '"per_joint_jerk_rms": [1, ', "predicted.per_joint_jerk_rms has 7 figures for 6"),
        ("{", "", "Invalid JSON"),
    ],
)
def test_damaged_results_are_refused_with_file_and_field(tmp_path: Path, before: str, after: str, named: str) -> None:
    write_results(tmp_path, lengths=(20,))
    path = tmp_path / "eval_results.json"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(ConfigError) as caught:
        load_results(tmp_path)
    assert str(path) in caught.value.message
    assert named in caught.value.message


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="eval_results.json: No such file"):
        load_results(tmp_path)
