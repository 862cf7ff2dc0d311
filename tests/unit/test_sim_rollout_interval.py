"""The interval around a success rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.sim.rollout import wilson_interval


def test_the_interval_is_wilsons_published_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 and 15 of 148.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_no_success_in_fifty_runs_still_leaves_room_for_a_few_percent() -> None:
    low, high = wilson_interval(0, 50)
    assert low == 0.0
    assert 0.05 < high < 0.09


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_stays_a_probability(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert low < high
