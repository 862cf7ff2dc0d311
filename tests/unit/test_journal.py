"""A journal is enough to decide everything again, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from control_kit import HZ, IMAGE, JOINTS, PERIOD_S, START, ScriptedPredictor, guard_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_inference.control import ControlSettings, Guards, ScheduleName
from lerobot_inference.control.journal import Journal
from lerobot_inference.control.replay import Entry, replay
from lerobot_inference.errors import ConfigError
from lerobot_inference.types import ActionMode, ImageShape, PolicySpec

SPEC = PolicySpec(6, 6, {"observation.images.color": ImageShape(4, 4)}, chunk_size=20, n_action_steps=10)
EVENTS = st.sampled_from(["none", "nan", "no joints", "rival", "stop", "arm", "reset", "episode", "disarm", "error"])


def run(events: list[tuple[str, int]], schedule: ScheduleName, seed: int) -> list[Entry]:
    """Whatever happens to a controller, written down."""
    rng = np.random.default_rng(seed)
    event = "none"

    def say(_: np.ndarray) -> np.ndarray | str:
        chunk = rng.normal(0, 0.004, (20, 6)).astype(np.float32)
        return "out of memory" if event == "error" else np.full_like(chunk, np.nan) if event == "nan" else chunk

    entries: list[Entry] = []

    def write(kind: str, now_s: float, entry: Mapping[str, Any]) -> None:
        entries.append((kind, now_s, entry))

    chosen = ControlSettings(JOINTS, ActionMode.DELTA, HZ, (1, -1, 1, 1, 1, 1))
    predictor = ScriptedPredictor(say, delay=2)
    journal = Journal(write, chosen, Guards.make(guard_settings()), schedule, SPEC, 4, predictor, 100.0)
    arm, now_s = START.copy(), 100.0
    for event, ticks in [("arm", 5), *events]:
        for tick in range(ticks):
            now_s += PERIOD_S
            angles = arm.tolist() if event != "nan" else [float("nan"), *arm.tolist()[1:]]
            if event != "no joints":
                journal.see_joints(JOINTS, angles, now_s - 0.001, now_s)
            journal.see_image(IMAGE, now_s - 0.002, now_s)
            journal.see_conditions("e-stop" if event == "stop" else None, int(event == "rival"), now_s)
            if tick == 0:
                request(journal, event, now_s)
            arm = journal.tick(now_s).command
    journal.stop(now_s)
    journal.tick(now_s)
    return entries


def request(journal: Journal, event: str, now_s: float) -> None:
    """What a person asks for."""
    match event:
        case "arm":
            journal.arm(now_s)
        case "reset":
            journal.reset_fault(now_s)
        case "episode":
            journal.reset_episode(now_s)
        case "disarm":
            journal.disarm("a person", now_s)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    events=st.lists(st.tuples(EVENTS, st.integers(1, 15)), max_size=12),
    schedule=st.sampled_from(list(ScheduleName)),
)
def test_a_replay_decides_as_the_log_says(events: list[tuple[str, int]], schedule: ScheduleName) -> None:
    entries = run(events, schedule, seed=1)
    replayed = replay(entries)
    assert replayed.different is None
    assert replayed.decisions == sum(kind == "decision" for kind, _, _ in entries) > 5


def test_a_changed_answer_is_a_different_decision() -> None:
    entries = run([("none", 30)], ScheduleName.QUEUE, seed=2)
    index = next(i for i, (kind, _, _) in enumerate(entries) if kind == "answer")
    kind, now_s, entry = entries[index]
    changed = [[value * (1 + 1e-6) for value in row] for row in entry["actions"]]
    entries[index] = (kind, now_s, {**entry, "actions": changed})
    replayed = replay(entries)
    assert replayed.different is not None
    logged, again = replayed.different
    assert logged["tick"] == again["tick"]
    assert logged["command"] != again["command"]


def test_a_log_without_its_beginning_is_refused() -> None:
    with pytest.raises(ConfigError, match="begins with decision, expected setup"):
        replay(run([], ScheduleName.QUEUE, seed=0)[-1:])
    with pytest.raises(ConfigError, match="begins with nothing"):
        replay([])
