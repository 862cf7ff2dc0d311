"""Give back the memory of a file that a library keeps mapped but no longer reads."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

MADV_DONTNEED = 4  # linux/mman.h


def release(file: Path) -> None:
    """Drop the mapped pages of `file` (which may be deleted by now) from this process; a later read brings them back.

    They are clean copies of what is on disk, so the kernel would take them back under pressure; this does it at once.
    Only Linux tells where a file is mapped; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, _, path = line.partition(" ")
        if str(file) not in path:
            continue
        first, end = (int(address, 16) for address in addresses.split("-"))
        libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), MADV_DONTNEED)
