"""Parquet tables as checked numpy arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

INCOMPLETE = "the download or recording may be incomplete: fetch the dataset again"
ROWS_AT_ONCE = 8
BUFFER_BYTES = 1 << 16


def read_table(path: Path, columns: Sequence[str], rows: pc.Expression | None = None) -> pa.Table:
    """Read `columns`, and of these only the rows that match the pyarrow filter `rows`.

    Raises DatasetError when the file is missing or damaged, or lacks a column.
    """
    import pyarrow.parquet as pq

    with _open(path, columns):
        return pq.read_table(path, columns=list(columns), filters=rows, partitioning=None)


def read_cells(path: Path, column: str, rows: Sequence[int]) -> Generator[pa.Scalar]:
    """Yield the cells of `column` in the file's `rows` (ascending from 0), with few of the others in memory.

    How few the file decides, which is read by its pages. Raises as `read_table` does.
    """
    wanted = deque(rows)
    with _open(path, [column]) as file:
        end = 0
        for group in range(file.num_row_groups):
            start, end = end, end + file.metadata.row_group(group).num_rows
            if not wanted or wanted[0] >= end:
                continue
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[column], use_threads=False):
                while wanted and wanted[0] < start + len(batch):
                    yield batch[column][wanted.popleft() - start]
                start += len(batch)


@contextmanager
def _open(path: Path, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """Raise DatasetError when the file is missing or damaged (also while it is read), or lacks a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise DatasetError(f"{path}: no column {missing[0]!r}", hint=INCOMPLETE)
            yield file
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file", hint=INCOMPLETE) from error
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: not a readable parquet file: {error}", hint=INCOMPLETE) from error


def vectors(table: pa.Table, name: str, size: int, where: str) -> NDArray[np.float64]:
    """A column of lists (or scalars, when size is 1) as (rows, size) numbers, finite as float32 too.

    Raises DatasetError, beginning with `where`, when a row has another size or holds a null, NaN or infinity.
    """
    import pyarrow as pa

    column = table[name].combine_chunks()
    while pa.types.is_nested(column.type):
        column = column.flatten()
    try:
        flat = column.to_numpy(zero_copy_only=False).astype(np.float64)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"{where}: {name} is not numeric: {error}") from error
    if flat.size != table.num_rows * size:
        raise DatasetError(f"{where}: {name} holds {flat.size} numbers in {table.num_rows} rows, expected {size} each")
    values: NDArray[np.float64] = flat.reshape(table.num_rows, size)
    with np.errstate(over="ignore"):
        bad = np.argwhere(~np.isfinite(values.astype(np.float32)))
    if bad.size:
        frame, element = bad[0]
        raise DatasetError(
            f"{where}: {name} is {values[frame, element]} at frame {frame}, element {element}",
            hint="leave this episode out, or record it again",
        )
    return values
