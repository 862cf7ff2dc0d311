"""Decide again what a journal says was decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lerobot_inference.control.controller import Controller
from lerobot_inference.control.journal import (
    ANSWER,
    CONDITIONS,
    DECISION,
    IMAGE,
    JOINTS,
    REQUEST,
    SETUP,
    read_setup,
    told,
)
from lerobot_inference.control.predictor import Prediction
from lerobot_inference.control.schedules import choose_schedule
from lerobot_inference.errors import ConfigError
from lerobot_inference.types import FloatArray, UInt8Array

type Entry = tuple[str, float, Mapping[str, Any]]
"""Kind, the controller's time in seconds, and what was written."""


@dataclass(frozen=True)
class Replayed:
    """decisions: how many were made again; different: the first that came out otherwise, as (logged, replayed)."""

    decisions: int
    different: tuple[dict[str, Any], dict[str, Any]] | None = None


class _Logged:
    """Answers what was answered, at the same call of the same tick."""

    def __init__(self) -> None:
        self.busy = False
        self.calls = 0
        self.coming: Mapping[str, Any] | None = None

    def ask(self, state: FloatArray, image: UInt8Array) -> None:  # noqa: ARG002 - the log has the answer
        self.busy = True

    def answer(self) -> Prediction | None:
        self.calls += 1
        if self.coming is None or self.coming["call"] != self.calls:
            return None
        entry, self.coming, self.busy = self.coming, None, False
        actions = entry["actions"]
        return Prediction(None if actions is None else np.array(actions, np.float32), entry["error"], entry["seconds"])


def replay(entries: Iterable[Entry]) -> Replayed:
    """Feed a journal's entries to a new controller and compare its decisions with those written, to the last bit.

    Raises ConfigError for a journal that doesn't begin with its setup.
    """
    stream = iter(entries)
    kind, _, setup = next(stream, ("nothing", 0.0, {}))
    if kind != SETUP:
        raise ConfigError(f"the log begins with {kind}, expected {SETUP}", hint="give the whole log of a node")
    settings, guards, schedule, spec, lead = read_setup(setup)
    predictor = _Logged()
    controller = Controller(settings, guards, choose_schedule(schedule, spec, settings.action_mode, lead), predictor)
    decisions = 0
    for kind, now_s, entry in stream:
        if kind == ANSWER:
            predictor.coming = entry
        elif kind == DECISION:
            predictor.calls = 0
            again = told(controller.tick(now_s))
            if again != entry:
                return Replayed(decisions, (dict(entry), again))
            decisions += 1
        else:
            _feed(controller, kind, now_s, entry)
    return Replayed(decisions)


def _feed(controller: Controller, kind: str, now_s: float, entry: Mapping[str, Any]) -> None:
    if kind == JOINTS:
        positions = [float(position) for position in entry["positions"]]
        controller.senses.see_joints(entry["names"], positions, entry["stamp_s"], now_s)
    elif kind == IMAGE:
        controller.senses.see_image(np.empty((0, 0, 3), np.uint8), entry["stamp_s"], now_s)
    elif kind == CONDITIONS:
        controller.stopped, controller.publishers = entry["stopped"] or None, entry["publishers"]
    elif kind == REQUEST:
        match entry["request"]:
            case "arm":
                controller.arm(now_s)
            case "disarm":
                controller.disarm(entry["answer"])
            case "reset_fault":
                controller.reset_fault(now_s)
            case "reset_episode":
                controller.reset_episode()
            case "stop":
                controller.stop()
