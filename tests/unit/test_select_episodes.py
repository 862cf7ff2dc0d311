"""Which episodes a person meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.errors import DatasetError, UsageError
from lerobot_inference.evaluation.fit import select_episodes

TEN = tuple(range(10))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("all", list(TEN)),
        ("3", [0, 1, 2]),
        ("25", list(TEN)),
        ("4-4", [4]),
        ("3,5-7", [3, 5, 6, 7]),
        ("7, 3, 3", [3, 7]),
        ("0,", [0]),
    ],
)
def test_counts_numbers_and_ranges_are_understood(text: str, chosen: list[int]) -> None:
    assert select_episodes(text, TEN) == chosen


@pytest.mark.parametrize("text", ["", "0", "-1", "three", "1;2", "1-"])
def test_another_form_is_a_usage_error_that_shows_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_episodes(text, TEN)
    assert "3,5-8" in str(caught.value.hint)


def test_an_episode_that_is_not_there_is_named_with_the_range_that_is() -> None:
    with pytest.raises(DatasetError, match="episode 12 is not in the dataset") as caught:
        select_episodes("2,12", TEN)
    assert caught.value.hint == "it has episodes 0 to 9"


@given(st.sets(st.integers(0, 9), min_size=1))
def test_any_set_of_numbers_is_chosen_as_written(numbers: set[int]) -> None:
    assert select_episodes(",".join(map(str, numbers)) + ",", TEN) == sorted(numbers)
