"""One recorded episode: its table in memory, its pictures on demand."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lerobot_inference.dataset.metadata import EpisodeEntry
from lerobot_inference.dataset.prefetch import prefetch
from lerobot_inference.dataset.stills import read_stills
from lerobot_inference.dataset.tables import INCOMPLETE, read_table, vectors
from lerobot_inference.dataset.video import read_frames
from lerobot_inference.errors import DatasetError
from lerobot_inference.types import ACTION, STATE, FloatArray, ImageShape, TimeArray, UInt8Array

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

PREFETCHED_FRAMES = 8
RATE_TOLERANCE = 0.1
"""How far the frames' usual distance may be from that of the dataset's rate, as a share of it."""


@dataclass(frozen=True, eq=False)
class Episode:
    """What was recorded: T frames in order.

    states: (T, S), actions: (T, A), radians. timestamps: (T,) seconds since the episode's start.
    """

    index: int
    length: int
    task: str
    states: FloatArray
    actions: FloatArray
    timestamps: TimeArray
    _cameras: Mapping[str, ImageShape] = field(repr=False)
    _fps: float = field(repr=False)
    _entry: EpisodeEntry = field(repr=False)
    _rows: pc.Expression = field(repr=False)

    @classmethod
    def read(
        cls, entry: EpisodeEntry, *, state_dim: int, action_dim: int, cameras: Mapping[str, ImageShape], fps: float
    ) -> Episode:
        """Read the table. Raises DatasetError when the file is damaged, rows are missing, a number is not finite or the
        frames are not as far apart as `fps` says.
        """
        table, rows = _select(entry)
        where = f"{entry.data_file}: episode {entry.index}"
        timestamps = vectors(table, "timestamp", 1, where)[:, 0]
        periods_s = np.diff(timestamps)
        if not (periods_s > 0).all():
            raise DatasetError(f"{where}: timestamps don't ascend")
        if periods_s.size and abs(fps * float(np.median(periods_s)) - 1) > RATE_TOLERANCE:
            raise DatasetError(
                f"{where}: frames are {np.median(periods_s):.4g} s apart, meta/info.json says {fps:g} a second",
                hint="correct fps in meta/info.json: speeds and deadlines are worked out with it",
            )
        return cls(
            index=entry.index,
            length=entry.length,
            task=entry.task,
            states=vectors(table, STATE, state_dim, where).astype(np.float32),
            actions=vectors(table, ACTION, action_dim, where).astype(np.float32),
            timestamps=timestamps,
            _cameras=cameras,
            _fps=fps,
            _entry=entry,
            _rows=rows,
        )

    @property
    def scored_length(self) -> int:
        """How many steps have a recorded action: all, or all but the last where that is zeros, which is padding."""
        return self.length if self.actions[-1].any() else self.length - 1

    def frames(
        self, wanted: Sequence[int] | None = None, cameras: Sequence[str] | None = None
    ) -> Generator[dict[str, UInt8Array]]:
        """Yield {camera: (H, W, 3) uint8 RGB} for the frame numbers `wanted` (ascending; None: all), in that order.

        Each camera (of `cameras`; None: all) is decoded once, forward, on a thread of its own that runs a few
        frames ahead and ends when the iterator is closed.
        Raises DatasetError naming the file and the frame that can't be read.
        """
        numbers = list(range(self.length)) if wanted is None else list(wanted)
        if any(a >= b for a, b in pairwise(numbers)) or (numbers and not 0 <= numbers[0] <= numbers[-1] < self.length):
            raise DatasetError(
                f"episode {self.index}: frames {numbers} can't be read; "
                f"expected ascending numbers from 0 to {self.length - 1}"
            )
        names = list(self._cameras) if cameras is None else list(cameras)
        unknown = [name for name in names if name not in self._cameras]
        if unknown:
            raise DatasetError(f"the dataset has no camera {unknown[0]!r}; it has {', '.join(self._cameras)}")
        return self._decode(names, numbers)

    def _decode(self, cameras: Sequence[str], numbers: Sequence[int]) -> Generator[dict[str, UInt8Array]]:
        with ExitStack() as stack:
            streams = [
                stack.enter_context(closing(prefetch(self._read(camera, numbers), PREFETCHED_FRAMES)))
                for camera in cameras
            ]
            for _ in numbers:
                yield {camera: next(stream) for camera, stream in zip(cameras, streams, strict=True)}

    def _read(self, camera: str, numbers: Sequence[int]) -> Generator[UInt8Array]:
        shape = self._cameras[camera]
        if camera in self._entry.videos:
            times = self.timestamps[list(numbers)].tolist()
            return read_frames(self._entry.videos[camera], numbers, times, self._fps, shape)
        return read_stills(self._entry.data_file, self._rows, camera, numbers, shape)


def _select(entry: EpisodeEntry) -> tuple[pa.Table, pc.Expression]:
    """The episode's rows and the filter that finds them: by episode_index, or else by the rows its metadata names."""
    import pyarrow.compute as pc

    columns = [STATE, ACTION, "timestamp", "frame_index", "episode_index", "index"]
    first, end = entry.rows
    by_episode = pc.field("episode_index") == entry.index
    by_row = (pc.field("index") >= first) & (pc.field("index") < end)
    counts = []
    for rows in (by_episode, by_row):
        table = read_table(entry.data_file, columns, rows)
        if table["frame_index"].to_pylist() == list(range(entry.length)):
            return table, rows
        counts.append(table.num_rows)
    raise DatasetError(
        f"{entry.data_file}: episode {entry.index} should have {entry.length} rows in order; "
        f"found {counts[0]} by episode_index and {counts[1]} by index",
        hint=INCOMPLETE,
    )
