"""The node's clock goes back while the arm moves: its machine's, or that of a simulation which begins anew."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from rclpy.time import Time
from ros_kit import NodeProcess, Wire
from rosgraph_msgs.msg import Clock

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


@pytest.mark.usefixtures("cell")
def test_a_simulation_that_begins_anew_latches_and_the_node_goes_by_its_time_from_then_on(
    wire: Wire, node: NodeProcess
) -> None:
    back_s = [0.0]

    def tell() -> None:
        message = Clock()
        message.clock = Time(nanoseconds=int((time.time() - back_s[0]) * 1e9)).to_msg()
        clock.publish(message)

    clock = wire.node.create_publisher(Clock, "/clock", 10)
    timer = wire.node.create_timer(0.005, tell)
    try:
        node.start(use_sim_time=True).arm()
        back_s[0] = 5.0
        assert "clock: it went back by 4.9" in wire.wait_for_state("latched")["reason"]
        assert wire.commands[-1].is_hold
        wire.wait(lambda: node.call("reset_fault").success, "reset")
        node.arm()
    finally:
        wire.node.destroy_timer(timer)
        wire.node.destroy_publisher(clock)
