"""A journal is enough to decide everything again, bit for bit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from control_kit import HZ, IMAGE, JOINTS, PERIOD_S, START, ScriptedPredictor, guard_settings, steady
from docs_kit import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema

from lerobot_inference.control import ControlSettings, Guards, ScheduleName, Severity, State
from lerobot_inference.control.journal import Journal
from lerobot_inference.control.log_schemas import schema as foxglove_schema
from lerobot_inference.control.mcap_log import GUARDS_TOPIC, TOPIC, VERDICT_TOPIC, McapLog, breaks_off, read_log
from lerobot_inference.control.replay import Entry, replay
from lerobot_inference.errors import ConfigError, StorageError
from lerobot_inference.types import ActionMode, ImageShape, PolicySpec

SPEC = PolicySpec(6, 6, {"observation.images.color": ImageShape(4, 4)}, chunk_size=20, n_action_steps=10)
KINDS = {"setup", "joints", "image", "conditions", "request", "answer", "decision"}
EVENTFUL = [("none", 30), ("nan", 5), ("reset", 3), ("arm", 10), ("rival", 4), ("disarm", 3), ("error", 20)]
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


def test_decisions_do_not_depend_on_what_can_be_kept_of_them() -> None:
    written: list[str] = []

    def write(kind: str, _: float, _entry: Mapping[str, Any]) -> None:
        if len(written) == 20:
            raise StorageError("log.mcap: the disk is full")
        written.append(kind)

    chosen, guards = ControlSettings(JOINTS, ActionMode.DELTA, HZ), Guards.make(guard_settings())
    predictor = ScriptedPredictor(steady([0.001] * 6, steps=20))
    journal = Journal(write, chosen, guards, ScheduleName.QUEUE, SPEC, 4, predictor, 100.0)
    now_s = 100.0
    for tick in range(20):
        now_s += PERIOD_S
        journal.see_joints(JOINTS, START.tolist(), now_s, now_s)
        journal.see_image(IMAGE, now_s, now_s)
        if tick == 0:
            journal.arm(now_s)
        assert journal.tick(now_s).state is State.RUNNING
    assert journal.failure is not None
    assert journal.failure.message == "log.mcap: the disk is full"
    assert len(written) == 20, "and nothing after it, which would be a log with a hole"
    assert journal.stop(now_s) is not None


def test_a_full_disk_is_named_with_the_log_that_was_to_be_on_it() -> None:
    log = McapLog(Path("/dev/full"))
    noise = np.random.default_rng(0).integers(0, 256, 1 << 19, np.uint8).tobytes().hex()
    with pytest.raises(StorageError, match="/dev/full: the disk is full"):
        log.write("request", 1.0, {"request": noise, "answer": ""})
    with pytest.raises(StorageError, match="/dev/full: the disk is full"):
        log.close()


def test_the_log_of_an_earlier_run_is_kept(entries: list[Entry], tmp_path: Path) -> None:
    """A supervisor that starts a crashed node again must not delete what it crashed of."""
    path = tmp_path / "logs" / "decisions.mcap"
    for count in (3, 2, 1):
        log = McapLog(path)
        for entry in entries[:count]:
            log.write(*entry)
        log.close()
    assert len(list(read_log(path))) == 1
    earlier = sorted(path.parent.glob("decisions-20??????T??????.??????Z.mcap"))
    assert [len(list(read_log(kept))) for kept in earlier] == [3, 2]


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


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return run(EVENTFUL, ScheduleName.QUEUE, seed=3)


@pytest.fixture(scope="module")
def file(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as the node writes it down."""
    path = tmp_path_factory.mktemp("log") / "run.mcap"
    log = McapLog(path)
    for entry in entries:
        log.write(*entry)
    log.close()
    return path


def messages(file: Path) -> Iterator[tuple[Schema, Channel, Message, Any]]:
    with file.open("rb") as stream:
        for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages():
            assert schema is not None
            yield schema, channel, message, json.loads(message.data)


def test_a_file_holds_every_entry_in_its_order_and_replays(entries: list[Entry], file: Path) -> None:
    assert list(read_log(file)) == [(kind, now_s, json.loads(json.dumps(entry))) for kind, now_s, entry in entries]
    assert replay(read_log(file)).different is None


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is what Foxglove takes it for; a field that is null is drawn as nothing."""
    match schema["type"]:
        case "number":
            return type(value) in (int, float)
        case "integer":
            return type(value) is int
        case "string":
            return type(value) is str
        case "array":
            assert schema["items"]["type"] in ("number", "string"), "Foxglove knows no list of lists"
            return type(value) is list and all(fits(item, schema["items"]) for item in value)
        case "object":
            known = schema["properties"]
            return all(value[name] is None or fits(value[name], part) for name, part in known.items())
        case kind:
            pytest.fail(f"Foxglove knows no {kind}")


def test_a_channel_says_what_its_messages_are_in_the_json_schema_that_foxglove_reads(file: Path) -> None:
    described = {}
    for schema, channel, message, content in messages(file):
        assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
        if content.get("positions", [0.0])[0] != "nan":  # JSON has no NaN: it is text, which is drawn as nothing
            assert fits(content, json.loads(schema.data)), content
        described[channel.topic] = schema.name
        time_s = content.get("now_s") or content["timestamp"]["sec"] + content["timestamp"]["nsec"] / 1e9
        assert message.log_time == message.publish_time == pytest.approx(time_s * 1e9, abs=200)
    assert described == {TOPIC + kind: kind for kind in KINDS} | {
        GUARDS_TOPIC: "foxglove.Log",
        VERDICT_TOPIC: "verdict",
    }


def test_what_the_guards_made_of_each_tick_is_a_band_that_ends(entries: list[Entry], file: Path) -> None:
    expected: list[tuple[float, str]] = []
    for kind, now_s, entry in entries:
        if kind == "decision":
            severest = max((Severity[severity] for _, severity, _ in entry["events"]), default=Severity.ACCEPT)
            guard = next((guard for guard, severity, _ in entry["events"] if Severity[severity] is severest), "")
            verdict = f"{severest.name.lower()} {guard}".strip()
            stands = entry["state"] == "latched" and not entry["events"]
            if not stands and (not expected or expected[-1][1] != verdict):
                expected.append((now_s, verdict))
    said = [content for _, channel, _, content in messages(file) if channel.topic == VERDICT_TOPIC]
    assert [(line["now_s"], line["verdict"]) for line in said] == expected
    assert {"accept"} < {verdict for _, verdict in expected}


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_of_a_log_that_breaks_off_all_that_is_whole_is_read(
    entries: list[Entry], file: Path, tmp_path: Path, kept: float
) -> None:
    """A node that is killed, or whose PC loses power, finishes no file: then above all it must be told what was."""
    content = file.read_bytes()
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(content[: int(kept * len(content))])
    found = list(read_log(broken))
    assert 0.2 * kept * len(entries) < len(found) <= len(entries)
    assert found == list(read_log(file))[: len(found)]
    assert replay(found).different is None
    assert breaks_off(broken)
    assert not breaks_off(file)


def test_the_layout_of_the_documentation_shows_what_a_log_holds() -> None:
    layout = (ROOT / "docs" / "how-to" / "foxglove-layout.json").read_text()
    paths = re.findall(r'"(/lerobot/[^"]*)"', layout)
    assert len(paths) > 10
    for path in paths:
        topic, _, field = path.partition(".")
        if topic == GUARDS_TOPIC:
            continue
        fields = foxglove_schema("verdict" if topic == VERDICT_TOPIC else topic.removeprefix(TOPIC))["properties"]
        assert not field or field.partition("[")[0] in fields, path


def test_a_guards_words_are_a_line_for_the_log_panel_when_it_begins_to_say_them(
    entries: list[Entry], file: Path
) -> None:
    expected, before = [], set()
    for kind, _, entry in entries:
        if kind == "decision":
            now = {(guard, severity): reason for guard, severity, reason in entry["events"]}
            expected += [
                (guard, f"{severity.lower()}, {now[guard, severity]}")
                for guard, severity in now
                if (guard, severity) not in before
            ]
            before = set(now)
    said = [content for _, channel, _, content in messages(file) if channel.topic == GUARDS_TOPIC]
    assert [(line["name"], line["message"]) for line in said] == expected
    assert len(expected) >= 3
    for line in said:
        severity = Severity[line["message"].partition(",")[0].upper()]
        assert line["level"] == (4 if severity >= Severity.DISARM else 3 if severity >= Severity.SCALE else 2)
