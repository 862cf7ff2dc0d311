"""Ask an engine for a chunk: at once, or on a thread while the arm is kept moving."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import EngineError, UsageError
from lerobot_inference.types import FloatArray, UInt8Array


@dataclass(frozen=True)
class Prediction:
    """An engine's answer. actions: (chunk, A) radians; None where it failed, and `error` says why.

    whole: (chunk, A) radians, all that was predicted, where `actions` are only what is played of it.
    """

    actions: FloatArray | None
    error: str = ""
    seconds: float = 0.0
    whole: FloatArray | None = None


class Predictor(Protocol):
    """Works on one question at a time."""

    @property
    def busy(self) -> bool:
        """True from `ask` until `answer` has given the answer."""

    def ask(self, state: FloatArray, image: UInt8Array) -> None:
        """Begin to predict from (S,) radians and (H, W, 3) RGB. Call it only when not `busy`."""

    def answer(self) -> Prediction | None:
        """The answer to the last question, once; None while there is none. Called once a tick, and after `ask`."""


def camera_of(engine: Engine) -> str:
    """The feature name of the policy's only camera. Raises UsageError for a policy with none or several."""
    cameras = list(engine.spec.cameras)
    if len(cameras) != 1 or engine.spec.environment_dim:
        raise UsageError(
            f"the policy sees {', '.join(cameras) or 'no camera'}"
            f"{' and an environment state' if engine.spec.environment_dim else ''}; the robot gives one camera's image"
        )
    return cameras[0]


def predict(engine: Engine, camera: str, state: FloatArray, image: UInt8Array) -> Prediction:
    """One forward pass; an engine that fails is an answer too."""
    began = time.perf_counter()
    try:
        actions = engine.predict({camera: image[None]}, state[None]).actions[0]
    except EngineError as error:
        return Prediction(None, error.message, time.perf_counter() - began)
    return Prediction(actions, seconds=time.perf_counter() - began)


class InlinePredictor:
    """Predicts before `ask` returns, for a simulation; the answer is there `delay` ticks later (0: at once)."""

    def __init__(self, engine: Engine, delay: int = 0) -> None:
        self._engine, self._camera, self._delay = engine, camera_of(engine), delay
        self._answer: Prediction | None = None
        self._left = 0

    @property
    def busy(self) -> bool:
        """True while an answer waits to be fetched."""
        return self._answer is not None

    def ask(self, state: FloatArray, image: UInt8Array) -> None:
        """See Predictor."""
        self._answer, self._left = predict(self._engine, self._camera, state, image), self._delay

    def answer(self) -> Prediction | None:
        """See Predictor. Called once a tick, and once more in the tick of `ask`."""
        if self._answer is None or self._left > 0:
            self._left -= 1
            return None
        answer, self._answer = self._answer, None
        return answer


class ThreadPredictor:
    """Predicts on a thread of its own, so that no tick waits for the network. `close` ends it."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._camera = engine, camera_of(engine)
        self._changed = threading.Condition()
        self._question: tuple[FloatArray, UInt8Array] | None = None
        self._answer: Prediction | None = None
        self._busy = self._closed = False
        self.seconds: deque[float] = deque(maxlen=1000)
        """How long each of the last predictions took, the newest last."""
        self._thread = threading.Thread(target=self._work, name="predictor", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """See Predictor."""
        return self._busy

    def ask(self, state: FloatArray, image: UInt8Array) -> None:
        """See Predictor."""
        with self._changed:
            self._question, self._busy = (state, image), True
            self._changed.notify()

    def answer(self) -> Prediction | None:
        """See Predictor."""
        with self._changed:
            answer, self._answer = self._answer, None
            if answer is not None:
                self._busy = False
            return answer

    def close(self) -> None:
        """Let the thread end once it has finished what it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._question is not None or self._closed)
                if self._question is None:
                    return
                question, self._question = self._question, None
            try:
                answer = predict(self._engine, self._camera, *question)
            except Exception as error:  # a thread that ends says nothing any more
                answer = Prediction(None, f"{type(error).__name__}: {error}")
            with self._changed:
                self._answer = answer
                self.seconds.append(answer.seconds)
