"""All that reaches a controller, and all that it decides, in order: enough to decide it again, bit for bit.

A program that writes a journal talks to its controller through it. An image is written as its sha256: what the network
made of it is in the journal, and that is all a decision depends on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lerobot_inference.control.controller import Controller
from lerobot_inference.control.decision import ControlSettings, Decision, State
from lerobot_inference.control.guards import Guards
from lerobot_inference.control.predictor import Prediction, Predictor
from lerobot_inference.control.schedules import ScheduleName, choose_schedule
from lerobot_inference.control.trajectory import Trajectory
from lerobot_inference.errors import StorageError
from lerobot_inference.types import ActionMode, FloatArray, ImageShape, PolicySpec, UInt8Array

type Write = Callable[[str, float, Mapping[str, Any]], None]
"""Keeps one entry: its kind, the controller's time in seconds, and its JSON."""

SETUP, JOINTS, IMAGE, CONDITIONS, REQUEST, ANSWER, DECISION = (
    "setup",
    "joints",
    "image",
    "conditions",
    "request",
    "answer",
    "decision",
)


class Journal:
    """A controller whose every input and decision is written down. Calls are those of Controller and Senses.

    write: None keeps nothing.
    """

    def __init__(
        self,
        write: Write | None,
        settings: ControlSettings,
        guards: Guards,
        schedule: ScheduleName,
        spec: PolicySpec,
        lead: int,
        predictor: Predictor,
        now_s: float,
    ) -> None:
        self._write = write
        self.failure: StorageError | None = None
        """Why nothing is written any more: no decision depends on what can be kept of it."""
        self._now_s = now_s
        self._predictor = _Recorded(predictor, self._answered)
        chosen = choose_schedule(schedule, spec, settings.action_mode, lead)
        self.controller = Controller(settings, guards, chosen, self._predictor)
        setup = {"settings": asdict(settings), "guards": guards.settings, "schedule": schedule, "lead": lead}
        self._note(SETUP, now_s, lambda: setup | {"spec": asdict(spec)})

    def see_joints(self, names: Sequence[str], positions: Sequence[float], stamp_s: float, now_s: float) -> bool:
        """See Senses."""
        self._note(JOINTS, now_s, lambda: {"names": list(names), "positions": _strict(positions), "stamp_s": stamp_s})
        return self.controller.senses.see_joints(names, positions, stamp_s, now_s)

    def see_image(self, image: UInt8Array, stamp_s: float, now_s: float) -> bool:
        """See Senses."""
        self._note(IMAGE, now_s, lambda: {"sha256": _sha256(image), "shape": list(image.shape), "stamp_s": stamp_s})
        return self.controller.senses.see_image(image, stamp_s, now_s)

    def see_conditions(self, stopped: str | None, publishers: int, now_s: float) -> None:
        """What the robot says of itself, and how many others publish commands."""
        if (stopped, publishers) != (self.controller.stopped, self.controller.publishers):
            self._note(CONDITIONS, now_s, lambda: {"stopped": stopped or "", "publishers": publishers})
            self.controller.stopped, self.controller.publishers = stopped, publishers

    def arm(self, now_s: float) -> str:
        """See Controller."""
        return self._requested("arm", now_s, self.controller.arm(now_s))

    def reset_fault(self, now_s: float) -> str:
        """See Controller."""
        return self._requested("reset_fault", now_s, self.controller.reset_fault(now_s))

    def reset_episode(self, now_s: float) -> None:
        """See Controller."""
        self.controller.reset_episode()
        self._requested("reset_episode", now_s, "")

    def disarm(self, reason: str, now_s: float) -> Trajectory | None:
        """See Controller."""
        hold = self.controller.disarm(reason)
        self._requested("disarm", now_s, reason)
        return hold

    def stop(self, now_s: float) -> Trajectory | None:
        """See Controller."""
        hold = self.controller.stop()
        self._requested("stop", now_s, "")
        return hold

    def tick(self, now_s: float) -> Decision:
        """See Controller."""
        self._now_s, self._predictor.calls = now_s, 0
        decision = self.controller.tick(now_s)
        self._note(DECISION, now_s, lambda: told(decision))
        return decision

    def _requested(self, request: str, now_s: float, answer: str) -> str:
        self._note(REQUEST, now_s, lambda: {"request": request, "answer": answer})
        return answer

    def _answered(self, answer: Prediction, call: int) -> None:
        chunk = answer.actions
        self._note(
            ANSWER,
            self._now_s,
            lambda: {
                "actions": None if chunk is None else [_strict(row) for row in chunk.tolist()],
                "error": answer.error,
                "seconds": answer.seconds,
                "call": call,
            },
        )

    def _note(self, kind: str, now_s: float, entry: Callable[[], Mapping[str, Any]]) -> None:
        if self._write is None:
            return
        try:
            self._write(kind, now_s, entry())
        except StorageError as error:
            self._write, self.failure = None, error


def _strict(values: Sequence[float]) -> list[float | str]:
    """JSON has no NaN and no infinity: they are written as text, which `float` reads."""
    return [value if math.isfinite(value) else str(value) for value in values]


def _sha256(image: UInt8Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()


class _Recorded:
    """A predictor whose answers are told. calls: of `answer` in this tick, which a replay must repeat."""

    def __init__(self, predictor: Predictor, tell: Callable[[Prediction, int], None]) -> None:
        self._predictor, self._tell = predictor, tell
        self.calls = 0

    @property
    def busy(self) -> bool:
        return self._predictor.busy

    def ask(self, state: FloatArray, image: UInt8Array) -> None:
        self._predictor.ask(state, image)

    def answer(self) -> Prediction | None:
        prediction = self._predictor.answer()
        self.calls += 1
        if prediction is not None:
            self._tell(prediction, self.calls)
        return prediction


def told(decision: Decision) -> dict[str, Any]:
    """A decision as JSON; every float32 exactly."""
    trajectory = decision.trajectory
    return {
        "tick": decision.tick,
        "state": decision.state.value,
        "reason": decision.reason,
        "chunk": decision.chunk,
        "target": None if decision.target is None else decision.target.tolist(),
        "command": None if decision.state is State.WAITING else decision.command.tolist(),
        "trajectory": None
        if trajectory is None
        else {
            "positions": trajectory.positions.tolist(),
            "velocities": trajectory.velocities.tolist(),
            "times_s": trajectory.times_s.tolist(),
        },
        "events": [[event.guard, event.severity.name, event.reason] for event in decision.events],
    }


def read_setup(entry: Mapping[str, Any]) -> tuple[ControlSettings, Guards, ScheduleName, PolicySpec, int]:
    """What a journal's first entry says. Raises ConfigError for guards that this version doesn't have."""
    settings, spec = dict(entry["settings"]), dict(entry["spec"])
    settings |= {"joint_names": tuple(settings["joint_names"]), "signs": tuple(settings["signs"])}
    settings |= {"action_mode": ActionMode(settings["action_mode"])}
    spec |= {"cameras": {name: ImageShape(**shape) for name, shape in spec["cameras"].items()}}
    guards = Guards.make(entry["guards"], "the log's guards")
    return ControlSettings(**settings), guards, ScheduleName(entry["schedule"]), PolicySpec(**spec), entry["lead"]
