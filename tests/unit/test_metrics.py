"""Error and latency figures, against numpy and against what must be true of any data."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lerobot_inference.evaluation.metrics import ErrorSum, Mean, Spread, latency
from lerobot_inference.evaluation.metrics.quantile import SMALLEST
from lerobot_inference.evaluation.results import ErrorFigures

steps = st.integers(1, 20)
joints = st.sampled_from([1, 2, 6, 7, 14])
radians = st.floats(-6.25, 6.25, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(steps), draw(joints))
    arrays = hnp.arrays(np.float32, shape, elements=radians)
    return draw(arrays), draw(arrays)


def figures(predicted: np.ndarray, truth: np.ndarray) -> ErrorFigures:
    size = truth.shape[1]
    return ErrorSum.of(predicted, truth).figures(Spread(np.full(size, 2.0), np.full(size, 0.5)))


@given(pairs())
def test_figures_equal_numpys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    error = np.abs(pair[0].astype(np.float64) - pair[1])
    found = figures(*pair)
    assert found.mse == pytest.approx(np.mean(error**2))
    assert found.mae == pytest.approx(np.mean(error))
    assert found.rmse == pytest.approx(np.sqrt(found.mse))
    assert found.max == error.max()
    assert found.per_joint_mse == pytest.approx((error**2).mean(axis=0))
    assert found.per_joint_mae == pytest.approx(error.mean(axis=0))
    assert found.per_joint_rmse == pytest.approx(np.sqrt((error**2).mean(axis=0)))
    assert found.per_joint_max == error.max(axis=0).tolist()
    assert found.of_range == pytest.approx(error.mean() / 2)
    assert found.per_joint_of_std == pytest.approx(error.mean(axis=0) / 0.5)


@given(pairs())
def test_p95_is_within_one_percent_of_numpys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    error = np.abs(pair[0].astype(np.float64) - pair[1])
    found = figures(*pair)
    assert found.p95 == pytest.approx(np.percentile(error, 95), rel=0.01, abs=SMALLEST)
    assert found.per_joint_p95 == pytest.approx(np.percentile(error, 95, axis=0), rel=0.01, abs=SMALLEST)


@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 30.0])
def test_p95_of_many_small_and_large_errors_is_within_one_percent_of_numpys(scale: float) -> None:
    error = np.random.default_rng(0).lognormal(0, 2, (5000, 2)) * scale
    assert figures(error, np.zeros_like(error)).p95 == pytest.approx(np.percentile(error, 95), rel=0.01)


def test_errors_beyond_the_histogram_are_counted_at_the_largest_and_never_below_it() -> None:
    found = figures(np.array([[0.1], [2e6], [3e6]]), np.zeros((3, 1)))
    assert found.p95 == found.max == 3e6


@given(pairs(), st.integers(0, 20))
def test_sums_of_parts_equal_the_whole(pair: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    predicted, truth = pair
    spread = Spread(np.ones(truth.shape[1]), np.ones(truth.shape[1]))
    parts = ErrorSum.of(predicted[:cut], truth[:cut]) + ErrorSum.of(predicted[cut:], truth[cut:])
    summed, whole = parts.figures(spread).model_dump(), ErrorSum.of(predicted, truth).figures(spread).model_dump()
    for name, figure in whole.items():
        assert summed[name] == pytest.approx(figure), name


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_steps_changes_nothing(pair: tuple[np.ndarray, np.ndarray], random: Random) -> None:
    predicted, truth = pair
    order = list(range(len(truth)))
    random.shuffle(order)
    assert figures(predicted[order], truth[order]).mse == pytest.approx(figures(predicted, truth).mse)


@given(pairs(), st.randoms(use_true_random=False))
def test_permuting_the_joints_permutes_the_figures_of_each(pair: tuple[np.ndarray, np.ndarray], random: Random) -> None:
    predicted, truth = pair
    order = list(range(truth.shape[1]))
    random.shuffle(order)
    before, after = figures(predicted, truth), figures(predicted[:, order], truth[:, order])
    for name in ("mse", "mae", "rmse", "p95", "max", "of_range", "of_std"):
        by_joint = getattr(before, f"per_joint_{name}")
        assert getattr(after, f"per_joint_{name}") == pytest.approx([by_joint[joint] for joint in order])
        assert getattr(after, name) == pytest.approx(getattr(before, name))


@given(pairs(), st.floats(0.01, 10))
def test_errors_that_are_c_times_as_large_have_c_squared_the_mse(
    pair: tuple[np.ndarray, np.ndarray], factor: float
) -> None:
    error = pair[0].astype(np.float64)
    nothing = np.zeros_like(error)
    once, scaled = figures(error, nothing), figures(factor * error, nothing)
    assert scaled.mse == pytest.approx(factor**2 * once.mse)
    assert scaled.mae == pytest.approx(factor * once.mae)
    assert scaled.p95 == pytest.approx(factor * once.p95, rel=0.025, abs=1e-6)


def test_a_perfect_prediction_has_no_error() -> None:
    truth = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    found = figures(truth, truth)
    assert found.mse == found.mae == found.p95 == found.max == found.of_range == 0


@given(offset=st.floats(0.001, 1))
def test_a_constant_offset_shows_up_in_its_own_joint_only(offset: float) -> None:
    truth = np.zeros((5, 3))
    found = figures(truth + np.array([0, offset, 0]), truth)
    assert found.per_joint_max == [0, offset, 0]
    assert found.per_joint_mae == pytest.approx([0, offset, 0])
    assert found.per_joint_p95 == pytest.approx([0, offset, 0], rel=0.01)


def test_a_joint_that_never_moves_has_no_normalised_error_and_the_others_do() -> None:
    error = ErrorSum.of(np.full((4, 3), 0.1), np.zeros((4, 3)))
    found = error.figures(Spread(range=np.array([0.0, 1.0, 2.0]), std=np.zeros(3)))
    assert found.per_joint_of_range == [None, pytest.approx(0.1), pytest.approx(0.05)]
    assert found.of_range == pytest.approx(0.075)
    assert found.of_std is None


def test_no_steps_give_an_error_and_never_a_zero() -> None:
    with pytest.raises(ValueError, match="no steps"):
        figures(np.zeros((0, 6)), np.zeros((0, 6)))


@given(hnp.arrays(np.float64, (7, 3), elements=st.floats(-5, 5)), hnp.arrays(np.bool_, 7))
def test_a_mean_is_numpys_over_what_is_counted_and_unknown_of_nothing(values: np.ndarray, counted: np.ndarray) -> None:
    mean = Mean.over(values, counted)
    if not counted.any():
        assert np.isnan(mean.value).all()
        return
    assert mean.value == pytest.approx(values[counted].mean(axis=0))
    assert mean.pooled.value == pytest.approx(values[counted].mean())
    assert (Mean.over(values[:3], counted[:3]) + Mean.over(values[3:], counted[3:])).value == pytest.approx(mean.value)
    assert (mean + Mean.none(3)).value == pytest.approx(mean.value)


@given(st.lists(st.floats(1e-6, 2), min_size=1, max_size=50))
def test_latency_percentiles_are_ordered_and_in_milliseconds(seconds: list[float]) -> None:
    result = latency(seconds)
    ordered = [result.p50_ms, result.p95_ms, result.p99_ms, result.max_ms]
    assert ordered == sorted(ordered)
    assert result.max_ms == pytest.approx(1000 * max(seconds))
    assert result.mean_ms == pytest.approx(1000 * sum(seconds) / len(seconds))
    assert result.count == len(seconds)
