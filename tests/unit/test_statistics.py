"""Intervals of pooled figures when episodes are drawn again."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from lerobot_inference.evaluation.metrics import Mean
from lerobot_inference.evaluation.statistics import (
    RESAMPLES,
    bootstrap_weights,
    finite_interval,
    interval,
    ratio_interval,
    resample,
    tail,
)


def per_episode(values: np.ndarray, counts: np.ndarray) -> list[Mean]:
    return [Mean(np.asarray(total), np.asarray(float(count))) for total, count in zip(values, counts, strict=True)]


def test_every_resample_draws_as_many_episodes_as_there_are_and_always_the_same() -> None:
    weights = bootstrap_weights(7)
    assert weights.shape == (RESAMPLES, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.1)
    assert np.array_equal(bootstrap_weights(7), weights)


@pytest.mark.parametrize("episodes", [5, 12, 40])
def test_the_interval_of_a_mean_is_scipys_up_to_the_luck_of_the_draw(episodes: int) -> None:
    random = np.random.default_rng(episodes)
    values = random.lognormal(0, 0.5, episodes)
    found = interval(resample(bootstrap_weights(episodes), per_episode(values, np.ones(episodes))), episodes)
    scipys = scipy.stats.bootstrap(
        (values,),
        np.mean,
        method="percentile",
        confidence_level=1 - 2 * tail(episodes),
        n_resamples=20000,
        rng=random,
    ).confidence_interval
    noise = 0.2 * values.std() / np.sqrt(episodes)
    assert found == pytest.approx((scipys.low, scipys.high), abs=noise)


@pytest.mark.parametrize("episodes", [5, 10, 30, 200])
def test_what_is_left_out_at_each_end_is_what_student_s_t_leaves_out(episodes: int) -> None:
    reach = np.sqrt(episodes / (episodes - 1)) * scipy.stats.t.ppf(0.975, episodes - 1)
    assert tail(episodes) == pytest.approx(scipy.stats.norm.sf(reach), rel=0.1)


def test_long_episodes_weigh_more_as_scipys_bootstrap_of_paired_sums_and_counts_says() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(10, 300, 15)
    totals = counts * random.lognormal(0, 0.5, 15)
    found = interval(resample(bootstrap_weights(15), per_episode(totals, counts)), 15)
    scipys = scipy.stats.bootstrap(
        (totals, counts),
        lambda total, count, axis: total.sum(axis=axis) / count.sum(axis=axis),
        paired=True,
        method="percentile",
        confidence_level=1 - 2 * tail(15),
        n_resamples=20000,
        rng=random,
    )
    noise = 0.2 * float(scipys.standard_error)
    assert found == pytest.approx(tuple(scipys.confidence_interval), abs=noise)


def test_resampling_pools_as_adding_up_does() -> None:
    random = np.random.default_rng(0)
    means = [Mean(random.normal(size=3), np.asarray(float(n))) for n in (4, 9, 1)]
    weights = np.array([[1.0, 1, 1], [3, 0, 0], [0, 1, 2]])
    expected = [means[0] + means[1] + means[2], means[0], means[1] + means[2] + means[2]]
    assert resample(weights, means) == pytest.approx(np.stack([mean.value for mean in expected]))


def test_a_resample_without_the_episode_that_reaches_a_step_is_left_out_of_its_interval() -> None:
    means = [Mean(np.array([1.0, 6.0]), np.array([1.0, 2.0])), Mean(np.array([3.0, 0.0]), np.array([1.0, 0.0]))]
    first, second = resample(bootstrap_weights(2), means).T
    assert interval(first, 2) == (1, 3)
    assert np.isnan(second).any()
    assert finite_interval(second, 2) == (3, 3)
    assert finite_interval(np.full(5, np.nan), 2) is None


def test_a_ratio_is_resampled_over_the_same_episodes_on_both_sides() -> None:
    """Each episode is twice as bad: whichever are drawn, so is their mean."""
    random = np.random.default_rng(0)
    undisturbed = per_episode(random.lognormal(0, 2, 6), random.integers(5, 50, 6))
    doubled = [Mean(2 * mean.total, mean.count) for mean in undisturbed]
    assert ratio_interval(doubled, undisturbed) == pytest.approx((2, 2))
    assert ratio_interval(doubled[:1], undisturbed[:1]) is None
    perfect = [Mean(np.zeros(()), mean.count) for mean in undisturbed]
    assert ratio_interval(doubled, perfect) is None
