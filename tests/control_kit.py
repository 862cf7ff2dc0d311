"""An arm that lags behind its commands, a policy that says what it is told, and a controller between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml

from lerobot_inference.control.controller import Controller
from lerobot_inference.control.decision import ControlSettings, Decision
from lerobot_inference.control.guards import UR10E, Guards
from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.control.predictor import Prediction
from lerobot_inference.control.schedule import QueueSchedule, Schedule
from lerobot_inference.types import ActionMode, FloatArray, UInt8Array

START = np.array([0.0, -1.7, 2.2, -2.07, -1.57, 0.0], np.float32)
HZ = 30.0
PERIOD_S = 1 / HZ
IMAGE = np.zeros((4, 4, 3), np.uint8)
LAG_S = 0.034


def guard_settings(**changes: dict[str, Any] | None) -> dict[str, Any]:
    """The UR10e's own guards with some limits changed, or with others; None leaves a guard out."""
    found = yaml.safe_load(UR10E.read_text())["guards"]
    for name, change in changes.items():
        if change is None:
            del found[name]
        else:
            found[name] = found.get(name, {}) | change
    return found


@dataclass
class ScriptedPredictor:
    """Answers with `say(state)` after `delay` ticks (0: at once); a string is an error."""

    say: Callable[[FloatArray], FloatArray | str]
    delay: int = 0
    asked: list[FloatArray] = field(default_factory=list)
    _waiting: tuple[FloatArray | str, int] | None = None

    @property
    def busy(self) -> bool:
        return self._waiting is not None

    def ask(self, state: FloatArray, image: UInt8Array) -> None:
        assert image is not None
        assert not self.busy
        self.asked.append(state.copy())
        self._waiting = (self.say(state), self.delay)

    def answer(self) -> Prediction | None:
        if self._waiting is None:
            return None
        said, left = self._waiting
        if left > 0:
            self._waiting = (said, left - 1)
            return None
        self._waiting = None
        return Prediction(None, said) if isinstance(said, str) else Prediction(said)


def steady(delta: list[float] | FloatArray, steps: int = 10) -> Callable[[FloatArray], FloatArray]:
    """A policy that always asks for the same step of each joint."""
    return lambda _state: np.tile(np.asarray(delta, np.float32), (steps, 1))


@dataclass
class Bench:
    """Runs a controller tick by tick on an arm that follows with a lag. log: what each tick came to."""

    controller: Controller
    arm: FloatArray = field(default_factory=START.copy)
    now_s: float = 100.0
    log: list[Decision] = field(default_factory=list)
    aims: FloatArray | None = None

    @classmethod
    def make(
        cls,
        predictor: ScriptedPredictor,
        schedule: Schedule | None = None,
        mode: ActionMode = ActionMode.DELTA,
        guards: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Bench:
        chain = Guards.make(guard_settings() if guards is None else guards)
        chosen = schedule or QueueSchedule(10)
        return cls(Controller(ControlSettings(JOINTS, mode, HZ, **settings), chain, chosen, predictor))

    def see(self, *, joints: bool = True, image: bool = True) -> None:
        if joints:
            self.controller.senses.see_joints(JOINTS, self.arm.tolist(), self.now_s, self.now_s)
        if image:
            self.controller.senses.see_image(IMAGE, self.now_s, self.now_s)

    def arm_now(self) -> str:
        self.see()
        return self.controller.arm(self.now_s)

    def tick(self, count: int = 1, *, joints: bool = True, image: bool = True, follows: bool = True) -> Decision:
        """Let `count` control periods pass: see, decide, move."""
        for _ in range(count):
            self.now_s += PERIOD_S
            self.see(joints=joints, image=image)
            decision = self.controller.tick(self.now_s)
            self.log.append(decision)
            if decision.trajectory is not None:
                self.aims = decision.trajectory.positions[0]
            if self.aims is not None and follows:
                part = np.float32(1 - np.exp(-PERIOD_S / LAG_S))
                self.arm = (self.arm + part * (self.aims - self.arm)).astype(np.float32)
        return self.log[-1]

    @property
    def commands(self) -> FloatArray:
        """(ticks, J) the command of each tick."""
        return np.stack([decision.command for decision in self.log])
