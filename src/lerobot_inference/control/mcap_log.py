"""A journal in an MCAP file, which Foxglove opens: one channel a kind of entry, JSON in each, and the guards' words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot_inference.control.guards import Severity
from lerobot_inference.control.journal import DECISION
from lerobot_inference.control.log_schemas import FOXGLOVE_LOG, foxglove_log, schema
from lerobot_inference.control.replay import Entry
from lerobot_inference.errors import ConfigError, require
from lerobot_inference.files import storage_errors

if TYPE_CHECKING:
    from mcap.writer import Writer

TOPIC = "/lerobot/log/"
GUARDS_TOPIC = "/lerobot/guards"
"""For a person to read in Foxglove's Log panel; a replay goes by the entries alone."""
NANOSECONDS = 1_000_000_000


class McapLog:
    """An MCAP file that is being written; close it, or its index is missing (what was written can still be read)."""

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
            self._writer: Writer = writer.Writer(str(path), chunk_size=1 << 18)
            self._writer.start(profile="", library="lerobot-inference")
        self._path = path
        self._channels: dict[str, int] = {}
        self._sequence = 0
        self._spoken: set[tuple[str, str]] = set()

    def write(self, kind: str, now_s: float, entry: Mapping[str, Any]) -> None:
        """Append one entry; `now_s` itself is in it, since nanoseconds would round it. Raises StorageError."""
        with storage_errors(self._path):
            self._add(TOPIC + kind, kind, now_s, {"now_s": now_s, **entry})
            if kind == DECISION:
                self._tell_guards(now_s, entry["events"])

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

    def _add(self, topic: str, kind: str, now_s: float, message: Mapping[str, Any]) -> None:
        if topic not in self._channels:
            described = self._writer.register_schema(kind, "jsonschema", json.dumps(schema(kind)).encode())
            self._channels[topic] = self._writer.register_channel(topic, "json", described)
        self._sequence += 1
        time = round(now_s * NANOSECONDS)
        data = json.dumps(message, allow_nan=False).encode()
        self._writer.add_message(self._channels[topic], time, data, time, self._sequence)


def read_log(path: Path) -> Iterator[Entry]:
    """The entries of a log, in the order in which they were written.

    Raises UsageError without the extra `record`, ConfigError for a file that isn't such a log.
    """
    reader = require("mcap.reader", "record")
    exceptions = require("mcap.exceptions", "record")
    try:
        with path.open("rb") as file:
            for _, channel, message in reader.make_reader(file).iter_messages(log_time_order=False):
                if channel.topic.startswith(TOPIC):
                    entry = json.loads(message.data)
                    yield channel.topic.removeprefix(TOPIC), entry.pop("now_s"), entry
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="give the MCAP file that the node recorded") from error
    except (exceptions.McapError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: not a log of the node: {error}") from error
