"""Missed ticks and jitter while a chunk takes ten control periods to compute: our node against one that calls the
network in its timer, as nodes for lerobot policies do.

    .venv-ros2/bin/python benchmarks/node_ticks.py [--quick]

Needs ROS 2 (`make test-ros2` installs it). Each node is a process of its own (timed_node.py); the robot in this one
publishes joint states at 125 Hz and 480x848 pictures at 30 Hz, and takes from DDS when each command was published. The
network is one that keeps one core busy for ten periods. The nodes take turns within a round, at each rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from claim import Claim, run
from robot import CHUNK, Robot, started
from ticks import Ticks

from lerobot_inference.types import TimeArray

PROMISED_HZ = 30.0
RATES_HZ = (PROMISED_HZ, 125.0)
PERIODS = 10
ROUNDS, SECONDS = 3, 60.0
QUICK_SECONDS = 5.0
SETTLED_S = 2.0
WAYS = ("in_timer", "ours")
PREFETCH = {"schedule": "prefetch", "lead": CHUNK // 4, "enable_control": True}
SCRIPT = Path(__file__).with_name("timed_node.py")


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table, and claim missed ticks and jitter at each rate."""
    rounds, seconds = (1, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    print(f"\n{rounds} x {seconds:g} s each; a chunk takes {PERIODS} periods")
    print(f"{'':<20}{'due':>8}{'missed':>8}{'longest gap ms':>16}{'jitter p50 ms':>15}{'p99':>8}{'max':>8}")
    for hz in RATES_HZ:
        between: dict[str, list[TimeArray]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                between[way].append(np.diff(run_node(way, hz, seconds)))
        yield claim(hz, {way: Ticks(1 / hz, np.concatenate(found)) for way, found in between.items()})


def run_node(way: str, hz: float, seconds: float) -> TimeArray:
    """When its commands were published, once it runs."""
    program = [str(SCRIPT), way, str(PERIODS / hz), "busy"]
    with Robot.open() as robot, started(program, control_hz=hz, **PREFETCH):
        robot.wait(lambda: robot.sent_s, "command")
        robot.commands(SETTLED_S + PERIODS / hz)
        return robot.commands(seconds)


def claim(hz: float, found: Mapping[str, Ticks]) -> Claim:
    """Print both."""
    for way, ticks in found.items():
        jitter = "".join(f"{ticks.jitter_ms(percent):>{width}.2f}" for percent, width in ((50, 15), (99, 8), (100, 8)))
        print(f"{way + f', {hz:g} Hz':<20}{ticks.due:>8}{ticks.missed:>8}{ticks.longest_ms:>16.1f}{jitter}")
    in_timer, ours = (found[way] for way in WAYS)
    what = (
        f"missed ticks at {hz:g} Hz while a chunk takes {PERIODS} periods: our node, against the network in the timer"
    )
    figure = (
        f"{ours.missed} of {ours.due} against {in_timer.missed} of {in_timer.due}; jitter p99 "
        f"{ours.jitter_ms(99):.1f} ms against {in_timer.jitter_ms(99):.1f}"
    )
    if hz != PROMISED_HZ:
        return Claim(what, figure)
    return Claim(what, figure, "no missed tick, jitter p99 < 5 ms", ours.missed == 0 and ours.jitter_ms(99) < 5)


if __name__ == "__main__":
    run(__file__, __doc__, measure, f"one round of {QUICK_SECONDS:g} s")
