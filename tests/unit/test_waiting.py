"""Why a node waits, in the words of its log."""

from __future__ import annotations

import pytest

from lerobot_inference.ros2.waiting import why_waiting


@pytest.mark.parametrize(
    ("publishers", "heard", "dropped", "said"),
    [
        (0, False, [], "nobody publishes it"),
        (1, False, [], "be the user who runs the publisher"),
        (1, True, [], "names a joint of the parameter joint_names"),
        (1, True, ["not finite", "a joint is missing or named twice"], "a joint is missing or named twice"),
    ],
)
def test_it_says_what_a_person_can_do(publishers: int, heard: bool, dropped: list[str], said: str) -> None:
    why = why_waiting("/joint_states", publishers, heard=heard, dropped=dropped)
    assert why.startswith("waiting for /joint_states: ")
    assert said in why
