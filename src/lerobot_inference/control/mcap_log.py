"""A journal in an MCAP file, which Foxglove opens: one channel a kind of entry, JSON in each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot_inference.control.replay import Entry
from lerobot_inference.errors import ConfigError, require
from lerobot_inference.files import storage_errors

if TYPE_CHECKING:
    from mcap.writer import Writer

TOPIC = "/lerobot/log/"
NANOSECONDS = 1_000_000_000


class McapLog:
    """An MCAP file that is being written; close it, or its index is missing (what was written can still be read)."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError without the extra `record`, StorageError."""
        writer = require("mcap.writer", "record")
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer: Writer = writer.Writer(str(path), chunk_size=1 << 18)
            self._writer.start(profile="", library="lerobot-inference")
        self._channels: dict[str, int] = {}
        self._sequence = 0

    def write(self, kind: str, now_s: float, entry: Mapping[str, Any]) -> None:
        """Append one entry; `now_s` itself is in it, since nanoseconds would round it."""
        if kind not in self._channels:
            schema = self._writer.register_schema(kind, "jsonschema", b'{"type": "object"}')
            self._channels[kind] = self._writer.register_channel(TOPIC + kind, "json", schema)
        self._sequence += 1
        data = json.dumps({"now_s": now_s, **entry}, allow_nan=False).encode()
        time = round(now_s * NANOSECONDS)
        self._writer.add_message(self._channels[kind], time, data, time, self._sequence)

    def close(self) -> None:
        """Finish the file."""
        self._writer.finish()


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
