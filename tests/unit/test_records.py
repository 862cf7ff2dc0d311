"""What is wrong with a record is said in one line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError, model_validator

from lerobot_inference.records import Record, first_problem


class Pair(Record):
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Pair:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"low": float("nan")}, "low: Input should be a finite number"),
        ({"middle": 0.5}, "middle: Extra inputs are not permitted"),
        ({"low": 2.0}, "low is above high"),
    ],
)
def test_a_complaint_names_the_field_and_what_is_wrong(content: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Pair.model_validate(content)
    assert first_problem(caught.value) == said
