"""A journal in an MCAP file, which Foxglove opens: one channel a kind of entry, JSON in each, and the guards' words."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from os import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot_inference.control.decision import State
from lerobot_inference.control.guards import Severity
from lerobot_inference.control.journal import DECISION
from lerobot_inference.control.log_schemas import FOXGLOVE_LOG, VERDICT, foxglove_log, schema, severest
from lerobot_inference.control.replay import Entry
from lerobot_inference.errors import ConfigError, require
from lerobot_inference.files import storage_errors

if TYPE_CHECKING:
    from mcap.writer import Writer

TOPIC = "/lerobot/log/"
GUARDS_TOPIC = "/lerobot/guards"
VERDICT_TOPIC = "/lerobot/verdict"
"""For a person to read in Foxglove's panels Log and State Transitions; a replay goes by the entries alone."""
NANOSECONDS = 1_000_000_000
CHUNK = 1 << 15
"""Bytes that are written at a time: less than a second of a run, so that a power cut takes no more of it."""


class McapLog:
    """An MCAP file that is being written; close it, or its index and the last CHUNK bytes are missing."""

    def __init__(self, path: Path) -> None:
        """A log that `path` holds already gets the time of its end into its name: nobody's last run is overwritten.

        Raises UsageError without the extra `record`, StorageError.
        """
        writer = require("mcap.writer", "record")
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                ended = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                path.rename(path.with_stem(f"{path.stem}-{ended:%Y%m%dT%H%M%S.%fZ}"))
            self._writer: Writer = writer.Writer(str(path), chunk_size=CHUNK)
            self._writer.start(profile="", library="lerobot-inference")
        self._path = path
        self._channels: dict[str, int] = {}
        self._sequence = 0
        self._spoken: set[tuple[str, str]] = set()
        self._verdict: dict[str, Any] = {}

    def write(self, kind: str, now_s: float, entry: Mapping[str, Any]) -> None:
        """Append one entry; `now_s` itself is in it, since nanoseconds would round it. Raises StorageError."""
        with storage_errors(self._path):
            self._add(TOPIC + kind, kind, now_s, {"now_s": now_s, **entry})
            if kind == DECISION:
                self._tell_guards(now_s, entry["events"])
                if entry["events"] or entry["state"] != State.LATCHED:  # a latch stands until a person lifts it
                    self._tell_verdict(now_s, severest(entry["events"]))

    def close(self) -> None:
        """Finish the file. Raises StorageError."""
        with storage_errors(self._path):
            self._writer.finish()

    def _tell_guards(self, now_s: float, events: Sequence[tuple[str, str, str]]) -> None:
        """Each guard's words when it begins to say them, not at every tick again."""
        for guard, severity, reason in events:
            if (guard, severity) not in self._spoken:
                said = foxglove_log(round(now_s * NANOSECONDS), guard, Severity[severity], reason)
                self._add(GUARDS_TOPIC, FOXGLOVE_LOG, now_s, said)
        self._spoken = {(guard, severity) for guard, severity, _ in events}

    def _tell_verdict(self, now_s: float, verdict: dict[str, Any]) -> None:
        """What all guards made of a tick, where it is another than before."""
        if verdict != self._verdict:
            self._add(VERDICT_TOPIC, VERDICT, now_s, {"now_s": now_s, **verdict})
        self._verdict = verdict

    def _add(self, topic: str, kind: str, now_s: float, message: Mapping[str, Any]) -> None:
        if topic not in self._channels:
            described = self._writer.register_schema(kind, "jsonschema", json.dumps(schema(kind)).encode())
            self._channels[topic] = self._writer.register_channel(topic, "json", described)
        self._sequence += 1
        time = round(now_s * NANOSECONDS)
        data = json.dumps(message, allow_nan=False).encode()
        self._writer.add_message(self._channels[topic], time, data, time, self._sequence)


def read_log(path: Path) -> Iterator[Entry]:
    """The entries of a log, in the order in which they were written; of one that breaks off, all that are whole.

    Raises UsageError without the extra `record`, ConfigError for a file that isn't such a log.
    """
    reader, records = require("mcap.stream_reader", "record"), require("mcap.records", "record")
    exceptions = require("mcap.exceptions", "record")
    kinds: dict[int, str] = {}
    try:
        with path.open("rb") as file, suppress(exceptions.EndOfFile, struct.error):
            for record in reader.StreamReader(file, validate_crcs=True).records:
                if isinstance(record, records.Channel) and record.topic.startswith(TOPIC):
                    kinds[record.id] = record.topic.removeprefix(TOPIC)
                elif isinstance(record, records.Message) and record.channel_id in kinds:
                    entry = json.loads(record.data)
                    yield kinds[record.channel_id], entry.pop("now_s"), entry
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="give the MCAP file that the node recorded") from error
    except (exceptions.McapError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: not a log of the node: {error}") from error


def breaks_off(path: Path) -> bool:
    """Whether a log that `read_log` reads was never finished: its node was killed, or runs still."""
    magic: bytes = require("mcap.writer", "record").MCAP0_MAGIC
    with path.open("rb") as file:
        file.seek(-len(magic), SEEK_END)
        return file.read() != magic
