"""Pages of a mapped file can be given back and come again when they are read."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from lerobot_inference.engine.mapped_memory import release

SIZE = 1 << 20


def resident(file: Path) -> int:
    """Bytes of `file` in this process's memory."""
    lines = iter(Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines())
    return sum(
        int(next(line for line in lines if line.startswith("Rss:")).split()[1]) * 1024
        for heading in lines
        if str(file) in heading
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells where a file is mapped")
@pytest.mark.parametrize("deleted", [False, True])
def test_released_pages_leave_and_come_back_when_read(tmp_path: Path, deleted: bool) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(range(256)) * (SIZE // 256))
    with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        if deleted:
            file.unlink()
        assert sum(mapped[::4096]) == 0
        assert resident(file) == SIZE
        release(file)
        assert resident(file) == 0
        assert mapped[SIZE - 1] == 255
