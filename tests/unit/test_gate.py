from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results_factory import write_results

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.gate import GateRules, check_rule, default_rules, judge, load_rules
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_results

finite = st.floats(allow_nan=False, allow_infinity=False)
sides = st.sampled_from(["max", "min"])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> EvalResults:
    return write_results(tmp_path_factory.mktemp("results"), lengths=(40, 30))


def test_the_rules_file_in_the_repository_is_the_default() -> None:
    repository = Path(__file__).parents[2]
    assert load_rules(repository / "pipelines" / "gate.yaml") == default_rules()


def test_a_good_policy_is_promoted_over_nothing(results: EvalResults) -> None:
    verdict = judge(results, default_rules(), champion_mae=None)
    assert verdict.verdict == "promote"
    assert all(rule.passed for rule in verdict.rules)


def test_a_policy_better_than_the_champion_is_promoted(results: EvalResults) -> None:
    assert judge(results, default_rules(), champion_mae=results.aggregate_mae * 1.01).verdict == "promote"


def test_a_rerun_of_the_champion_is_kept_out(results: EvalResults) -> None:
    verdict = judge(results, default_rules(), champion_mae=results.aggregate_mae)
    assert verdict.verdict == "keep"
    assert "no better than the champion" in verdict.reason


def test_a_failed_rule_rejects_and_says_which_figure_and_limit(results: EvalResults) -> None:
    rules = GateRules(max={"aggregate_mae": 1e-6}, min={"episodes_evaluated": 2})
    verdict = judge(results, rules, champion_mae=1.0)
    assert verdict.verdict == "reject"
    assert verdict.reason.startswith("aggregate_mae ")
    assert verdict.reason.endswith("> 1e-06")
    assert [rule.passed for rule in verdict.rules] == [False, True]


def test_a_policy_no_better_than_the_best_baseline_is_rejected_for_skill(tmp_path: Path) -> None:
    results = write_results(tmp_path, lengths=(60,), error=0.05)
    verdict = judge(results, GateRules(min={"protocols.as_deployed.skill": 0.1}), None)
    assert verdict.verdict == "reject"
    assert "protocols.as_deployed.skill" in verdict.reason


def test_a_protocol_that_was_not_run_fails_its_rule_with_the_reason_from_the_results(tmp_path: Path) -> None:
    results = write_results(tmp_path, lengths=(40,), every_frame=False)
    outcome = judge(results, GateRules(max={"protocols.every_frame.error.mae": 1.0}), None).rules[0]
    assert not outcome.passed
    assert outcome.value is None
    assert outcome.reason == "protocols.every_frame.error.mae is not asked for"


def test_a_nan_that_slips_into_the_results_rejects(results: EvalResults) -> None:
    broken = results.model_copy(update={"aggregate_mae": math.nan})
    verdict = judge(broken, default_rules(), None)
    assert verdict.verdict == "reject"
    assert verdict.reason == "aggregate_mae is NaN"


@given(side=sides, limit=finite)
def test_nan_and_missing_fail_every_rule(side: str, limit: float) -> None:
    assert not check_rule(side, "aggregate_mae", limit, math.nan).passed
    assert not check_rule(side, "aggregate_mae", limit, None).passed


@given(side=sides, limit=finite, value=finite, looser=st.floats(min_value=0, max_value=1e6))
def test_a_looser_limit_never_turns_a_pass_into_a_fail(side: str, limit: float, value: float, looser: float) -> None:
    loose = limit + looser if side == "max" else limit - looser
    if check_rule(side, "aggregate_mae", limit, value).passed:
        assert check_rule(side, "aggregate_mae", loose, value).passed


@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("side", ["max", "min"])
def test_an_infinite_figure_fails(side: str, value: float) -> None:
    assert not check_rule(side, "aggregate_mae", 0.0, value).passed


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("max: {aggregate_mea: 1}", "max.aggregate_mea"),
        ("max: {policy_repo_id: 1}", "max.policy_repo_id"),
        ("max: {protocols.as_deployed: 1}", "max.protocols.as_deployed"),
        ("max: {protocols.sideways.skill: 1}", "max.protocols.sideways.skill"),
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


@pytest.mark.parametrize("metric", ["timing.policy_step.p99_ms", "protocols.as_deployed.baselines.hold_still.mse"])
def test_a_rule_may_name_any_figure_of_the_results(results: EvalResults, metric: str) -> None:
    assert judge(results, GateRules(min={metric: 0}), None).rules[0].value is not None


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
