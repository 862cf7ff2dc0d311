"""A candidate against the champion, episode by episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from results_factory import write_results
from scipy.stats import permutation_test

from lerobot_inference.evaluation.comparison import (
    MOST_EXACT,
    compare,
    holm,
    sign_flip_p,
    why_not_comparable,
)
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.statistics import bootstrap_weights, tail

JOINTS = 3
p_values = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EvalResults:
    """Six episodes of different lengths, three joints."""
    return write_results(tmp_path_factory.mktemp("results"), joints=JOINTS, lengths=(40, 30, 20, 50, 60, 10))


def with_mae(base: EvalResults, mae: Sequence[Sequence[float]]) -> EvalResults:
    """The same episodes with other errors. mae: one figure an episode and joint; the mse is its square."""
    per_episode = [
        scored.model_copy(update={"per_joint_mae": list(row), "per_joint_mse": [value**2 for value in row]})
        for scored, row in zip(base.per_episode, mae, strict=True)
    ]
    return base.model_copy(update={"per_episode": per_episode})


def scaled(base: EvalResults, factor: float) -> EvalResults:
    return with_mae(base, [[factor * value for value in scored.per_joint_mae] for scored in base.per_episode])


def test_the_pooled_difference_is_that_of_the_pooled_errors(base: EvalResults) -> None:
    random = np.random.default_rng(1)
    ours, theirs = random.uniform(0, 0.01, (2, 6, JOINTS))
    comparison = compare(with_mae(base, ours.tolist()), with_mae(base, theirs.tolist()))
    steps = np.array([scored.steps for scored in base.per_episode])
    pooled = [np.average(mae, axis=0, weights=steps) for mae in (ours, theirs)]
    assert comparison.candidate_mae == pytest.approx(pooled[0].mean())
    assert comparison.champion_mae == pytest.approx(pooled[1].mean())
    assert comparison.mae == pytest.approx(pooled[0].mean() - pooled[1].mean())
    assert [joint.mae for joint in comparison.joints] == pytest.approx((pooled[0] - pooled[1]).tolist())
    squared = [np.average(mae**2, axis=0, weights=steps).mean() for mae in (ours, theirs)]
    assert comparison.mse == pytest.approx(squared[0] - squared[1])
    assert comparison.steps == steps.sum()
    assert comparison.episodes == [0, 1, 2, 3, 4, 5]


def test_a_real_evaluation_compared_with_a_worse_one_gives_the_difference_of_their_aggregates(
    base: EvalResults,
) -> None:
    comparison = compare(base, scaled(base, 1.5))
    assert comparison.candidate_mae == pytest.approx(base.aggregate_mae)
    assert comparison.mae == pytest.approx(-0.5 * base.aggregate_mae)
    low, high = comparison.mae_interval
    assert low <= comparison.mae <= high < 0
    assert all(joint.p == 2 / 2**6 for joint in comparison.joints)


def test_results_compared_with_themselves_differ_in_nothing(base: EvalResults) -> None:
    comparison = compare(base, base)
    assert (comparison.mae, comparison.mse) == (0, 0)
    assert comparison.mae_interval == comparison.mse_interval == (0, 0)
    assert all((joint.mae, joint.interval, joint.p, joint.p_holm) == (0, (0, 0), 1, 1) for joint in comparison.joints)


@given(mae=st.lists(st.lists(st.floats(0, 1), min_size=JOINTS, max_size=JOINTS), min_size=6, max_size=6))
def test_whoever_is_called_the_champion_only_the_sign_changes(base: EvalResults, mae: list[list[float]]) -> None:
    other = with_mae(base, mae)
    there, back = compare(base, other), compare(other, base)
    assert there.mae == pytest.approx(-back.mae)
    assert there.mae_interval == pytest.approx((-back.mae_interval[1], -back.mae_interval[0]))
    assert [joint.p for joint in there.joints] == pytest.approx([joint.p for joint in back.joints])


def test_the_interval_is_that_of_a_bootstrap_written_out(base: EvalResults) -> None:
    random = np.random.default_rng(2)
    ours, theirs = random.uniform(0, 0.01, (2, 6, JOINTS))
    steps = np.array([scored.steps for scored in base.per_episode])
    difference = (ours - theirs).mean(axis=1)
    pooled = []
    for counts in bootstrap_weights(6):
        drawn = np.repeat(np.arange(6), counts.astype(int))
        pooled.append(np.average(difference[drawn], weights=steps[drawn]))
    comparison = compare(with_mae(base, ours.tolist()), with_mae(base, theirs.tolist()))
    assert comparison.mae_interval == pytest.approx(tuple(np.quantile(pooled, [tail(6), 1 - tail(6)])))


@pytest.mark.parametrize("count", [5, 8, MOST_EXACT])
def test_the_sign_flip_test_is_scipys_where_every_pattern_is_tried(count: int) -> None:
    random = np.random.default_rng(count)
    for shift in (0, 0.3, 1):
        differences = random.normal(shift, 1, count)
        other = permutation_test(
            (differences, np.zeros(count)),
            lambda x, y, axis: (x - y).sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf,
        )
        assert sign_flip_p(differences) == pytest.approx(other.pvalue)


def test_with_many_episodes_patterns_are_drawn_and_p_is_near_scipys() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, MOST_EXACT + 6)
    other = permutation_test(
        (differences, np.zeros(len(differences))),
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**18,
    )
    found = sign_flip_p(differences)
    assert found == pytest.approx(other.pvalue, abs=0.01)
    assert found == sign_flip_p(differences)


def test_p_is_never_zero_however_many_episodes_agree() -> None:
    assert sign_flip_p(np.ones(100)) == pytest.approx(1 / 10_001)


def test_patterns_with_the_same_sum_tie_with_it_whatever_the_order_of_addition() -> None:
    assert sign_flip_p(np.array([0.1, 0.2, 0.3, -0.3, 0.3])) == sign_flip_p(np.array([0.3, 0.3, -0.3, 0.2, 0.1]))
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8


def test_holms_correction_of_a_case_done_by_hand() -> None:
    # Sorted 0.005 0.01 0.03 0.04, times 4 3 2 1: 0.02 0.03 0.06 0.04, and the last may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.9]) == [1, 1]
    assert holm([0.2]) == [0.2]


@given(p_values)
def test_adjusted_p_values_are_in_the_order_of_the_raw_ones_and_never_smaller(raw: list[float]) -> None:
    adjusted = holm(raw)
    assert all(before <= after <= 1 for before, after in zip(raw, adjusted, strict=True))
    in_order = [adjusted[index] for index in np.argsort(raw, kind="stable")]
    assert in_order == sorted(in_order)


def test_what_differs_between_two_evaluations_is_named(base: EvalResults) -> None:
    files = base.provenance.dataset_files
    changed = next(iter(files))
    provenance = base.provenance.model_copy(update={"dataset_files": files | {changed: "f" * 64}})
    elsewhere = base.provenance.model_copy(update={"machine": "Linux aarch64"})
    shorter = [base.per_episode[0].model_copy(update={"steps": 39}), *base.per_episode[1:]]
    renumbered = [scored.model_copy(update={"episode": scored.episode + 2}) for scored in base.per_episode]
    for update, said in (
        ({"provenance": provenance}, f"another dataset: {changed} differs"),
        ({"provenance": elsewhere}, "other processor: x86_64, the champion's aarch64"),
        ({"joint_names": ["a", "b", "c"]}, "other joint names"),
        ({"fps": 15.0}, "other fps: 30.0, the champion's 15.0"),
        ({"action_mode": "absolute"}, "other action mode: delta, the champion's absolute"),
        ({"per_episode": renumbered}, "4 episodes are shared, a comparison needs 5"),
        ({"per_episode": shorter}, "other numbers of steps"),
    ):
        why = why_not_comparable(base, base.model_copy(update=update))
        assert why is not None
        assert said in why
    assert why_not_comparable(base, base) is None


def test_only_the_episodes_that_both_were_scored_on_are_compared(base: EvalResults) -> None:
    fewer = base.model_copy(update={"per_episode": base.per_episode[1:]})
    assert compare(base, fewer).episodes == [1, 2, 3, 4, 5]
    assert compare(base, fewer).mae == 0
