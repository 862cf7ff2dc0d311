"""A prediction on a thread of its own: every question is answered, whatever becomes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from control_kit import IMAGE, START

from lerobot_inference.control.predictor import Prediction, ThreadPredictor
from lerobot_inference.errors import EngineError
from lerobot_inference.types import FloatArray, ImageShape, PolicySpec, UInt8Array


class Engine:
    """Says what it is told to, or raises it."""

    spec = PolicySpec(6, 6, {"observation.images.color": ImageShape(4, 4)}, 10, 10)

    def __init__(self, *sayings: Exception | FloatArray) -> None:
        self.sayings = iter(sayings)

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> Any:
        assert images["observation.images.color"].shape == (1, 4, 4, 3)
        said = next(self.sayings)
        if isinstance(said, Exception):
            raise said
        return SimpleNamespace(actions=states[:, None] + said)


def ask(predictor: ThreadPredictor) -> Prediction:
    predictor.ask(START, IMAGE)
    deadline = time.monotonic() + 10
    while (answer := predictor.answer()) is None:
        assert predictor.busy
        assert time.monotonic() < deadline, "no answer"
        time.sleep(0.001)
    assert not predictor.busy
    return answer


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (EngineError("the policy gave a NaN or an infinity"), "the policy gave a NaN or an infinity"),
        (RuntimeError("the driver is gone"), "RuntimeError: the driver is gone"),
        (MemoryError(), "MemoryError: "),
    ],
)
def test_an_engine_that_raises_has_answered_and_is_asked_again(mistake: Exception, said: str) -> None:
    predictor = ThreadPredictor(Engine(mistake, np.zeros((10, 6), np.float32)))  # type: ignore[arg-type]
    failed = ask(predictor)
    assert failed.actions is None
    assert failed.error == said
    again = ask(predictor)
    assert again.actions is not None
    assert np.array_equal(again.actions, np.tile(START, (10, 1)))
    predictor.close()
