"""What Foxglove is told of a log's messages, so that it offers their fields for plotting.

Its JSON Schema knows no union and no list of lists: a field that may be null is given as what it else is, and the lists
of lists (a chunk, a trajectory's points, a decision's events) are left out; the messages hold them all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lerobot_inference.control.guards import Severity
from lerobot_inference.control.journal import ANSWER, CONDITIONS, DECISION, IMAGE, JOINTS, REQUEST, SETUP

type Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
NUMBERS: Schema = {"type": "array", "items": NUMBER}

VERDICT = "verdict"
"""What the guards together made of a tick, written when it changes: a band of State Transitions that ends."""
FOXGLOVE_LOG = "foxglove.Log"
"""A schema that Foxglove knows by its name: https://docs.foxglove.dev/docs/sdk/schemas/log"""
INFO, WARNING, ERROR = 2, 3, 4

FIELDS: dict[str, Schema] = {
    SETUP: {"schedule": TEXT, "lead": INTEGER},
    JOINTS: {"names": {"type": "array", "items": TEXT}, "positions": NUMBERS, "stamp_s": NUMBER},
    IMAGE: {"sha256": TEXT, "shape": NUMBERS, "stamp_s": NUMBER},
    CONDITIONS: {"stopped": TEXT, "publishers": INTEGER},
    REQUEST: {"request": TEXT, "answer": TEXT},
    ANSWER: {"error": TEXT, "seconds": NUMBER, "call": INTEGER},
    VERDICT: {"verdict": TEXT, "severity": INTEGER},
    DECISION: {
        "tick": INTEGER,
        "state": TEXT,
        "reason": TEXT,
        "chunk": INTEGER,
        "target": NUMBERS,
        "command": NUMBERS,
        "trajectory": {"type": "object", "properties": {"times_s": NUMBERS}},
    },
}
"""Kind of message -> its fields, `now_s` apart, which all have."""


def schema(kind: str) -> Schema:
    """JSON Schema of a kind of message."""
    fields = _LOG if kind == FOXGLOVE_LOG else {"now_s": NUMBER, **FIELDS[kind]}
    return {"title": kind, "type": "object", "properties": fields}


def severest(events: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """The verdict of a tick's events (guard, severity, reason): `hold image_age`, or `accept`."""
    guard, severity, _ = max(events, key=lambda event: Severity[event[1]], default=("", Severity.ACCEPT.name, ""))
    return {"verdict": f"{severity.lower()} {guard}".strip(), "severity": int(Severity[severity])}


def foxglove_log(time_ns: int, guard: str, severity: Severity, reason: str) -> dict[str, Any]:
    """A guard's words as a foxglove.Log: a warning where the arm goes slower or waits, an error where it is let go."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    level = ERROR if severity >= Severity.DISARM else WARNING if severity >= Severity.SCALE else INFO
    return {
        "timestamp": {"sec": seconds, "nsec": nanoseconds},
        "level": level,
        "message": f"{severity.name.lower()}, {reason}",
        "name": guard,
        "file": "",
        "line": 0,
    }


_LOG: Schema = {
    "timestamp": {"type": "object", "title": "time", "properties": {"sec": INTEGER, "nsec": INTEGER}},
    "level": INTEGER,
    "message": TEXT,
    "name": TEXT,
    "file": TEXT,
    "line": INTEGER,
}
