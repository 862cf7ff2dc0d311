"""The clock of the node's machine is set back by an hour while the arm moves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ros_kit import NodeProcess, Wire

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, now);
    const char *file = getenv("SET_BACK");
    if (which == CLOCK_REALTIME && file && access(file, F_OK) == 0) now->tv_sec -= 3600;
    return failed;
}
"""
"""Every process that loads it has a clock of its own, an hour back where there is a file of that name."""


COMPILER = shutil.which("cc")


@pytest.mark.usefixtures("cell")
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
def test_a_clock_that_is_set_back_latches_at_the_next_tick(
    wire: Wire, node: NodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, back = tmp_path / "clock.so", tmp_path / "back"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-o", library, "-x", "c", "-", "-ldl"], input=SOURCE.encode(), check=True
    )
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("SET_BACK", str(back))
    node.start().arm()
    back.touch()
    assert "clock: it went back by 3599." in wire.wait_for_state("latched")["reason"]
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
