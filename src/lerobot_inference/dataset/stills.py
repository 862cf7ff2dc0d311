"""Frames of one episode from pictures (PNG or JPEG bytes) in its table."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lerobot_inference.dataset.tables import read_cells, read_table
from lerobot_inference.errors import DatasetError
from lerobot_inference.types import ImageShape, UInt8Array

if TYPE_CHECKING:
    import pyarrow.compute as pc


def read_stills(
    file: Path, rows: pc.Expression, camera: str, numbers: Sequence[int], shape: ImageShape
) -> Generator[UInt8Array]:
    """Yield an episode's frames `numbers` (ascending) as (H, W, 3) RGB; `rows` is the filter that selects the episode.

    Raises DatasetError naming the file and the frame that can't be read.
    """
    import av
    import pyarrow.compute as pc

    cells = read_cells(file, camera, _places(file, rows & pc.field("frame_index").isin(list(numbers))))
    for number, cell in zip(numbers, cells, strict=True):
        found = cell.as_py()
        data = found.get("bytes") if isinstance(found, dict) else found
        if not isinstance(data, bytes):
            raise DatasetError(f"{file}: {camera} of frame {number} is not stored in the table")
        try:
            with av.open(io.BytesIO(data), "r") as picture:
                image = next(picture.decode(video=0)).to_ndarray(format="rgb24")
        except (OSError, StopIteration, av.FFmpegError) as error:
            raise DatasetError(f"{file}: {camera} of frame {number} can't be decoded: {error}") from error
        size = ImageShape(*image.shape[:2])
        if size != shape:
            raise DatasetError(f"{file}: {camera} of frame {number} is {size}, meta/info.json says {shape}")
        yield image.astype(np.uint8, copy=False)


def _places(file: Path, rows: pc.Expression) -> list[int]:
    """Where in the file, counted in rows from 0, the filter finds something."""
    import pyarrow as pa

    table = read_table(file, ["episode_index", "frame_index", "index"])
    numbered = table.append_column("row", pa.array(range(table.num_rows)))
    places: list[int] = numbered.filter(rows)["row"].to_pylist()
    return places
