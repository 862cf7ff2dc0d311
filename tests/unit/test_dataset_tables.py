"""Reading single cells of a large column without holding the column."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_inference.dataset.tables import read_cells
from lerobot_inference.errors import DatasetError

COLUMN = "observation.images.color"


def write(path: Path, rows: int, group: int, size: int = 3) -> Path:
    """A column of pictures as lerobot's writer has it; each one's first bytes tell its row."""
    pictures = [{"bytes": row.to_bytes(3) + bytes(size - 3), "path": f"{row}.png"} for row in range(rows)]
    table = pa.table({COLUMN: pa.array(pictures), f"{COLUMN}.depth": pa.array(range(rows))})
    pq.write_table(table, path, row_group_size=group, compression="none", use_dictionary=False)
    return path


@settings(deadline=None)
@given(rows=st.integers(1, 60), group=st.integers(1, 60), data=st.data())
def test_the_wanted_cells_come_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group: int, data: st.DataObject
) -> None:
    path = write(tmp_path_factory.mktemp("table") / "file.parquet", rows, group)
    wanted = sorted(data.draw(st.sets(st.integers(0, rows - 1))))
    assert [int.from_bytes(cell.as_py()["bytes"]) for cell in read_cells(path, COLUMN, wanted)] == wanted


def test_the_column_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    size, rows = 20_000, 400
    path = write(tmp_path / "file.parquet", rows, 20, size)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in read_cells(path, COLUMN, range(rows))]
    assert len(held) == rows
    assert 0 < max(held) < rows * size / 4


def test_a_file_without_the_column_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "file.parquet", 3, 3)
    with pytest.raises(DatasetError, match=f"{path}: no column 'observation.images.wrist'"):
        next(read_cells(path, "observation.images.wrist", [0]))


def test_damage_within_the_column_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "file.parquet", 40, 10, 5000)
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    content[start : start + 200] = bytes(b"\xff" * 200)
    path.write_bytes(content)
    cells = read_cells(path, COLUMN, range(40))
    assert [next(cells).as_py()["path"] for _ in range(20)] == [f"{row}.png" for row in range(20)]
    with pytest.raises(DatasetError, match="not a readable parquet file"):
        next(cells)
