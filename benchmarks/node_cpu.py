"""How much of a processor core the node itself takes, beside its network.

    .venv-ros2/bin/python benchmarks/node_cpu.py [--quick]

As node_ticks.py, but the network sleeps for ten periods, so that what is left is the node: messages, pictures, guards,
trajectories, the log of its status. The least node that could be, with one point a command and no guard, is beside it.
Needs ROS 2 (`make test-ros2` installs it). Linux only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

from claim import Claim, run
from node_ticks import PERIODS, PREFETCH, RATES_HZ, SCRIPT, SETTLED_S, WAYS
from robot import Robot, started

ROUNDS, SECONDS = 3, 30.0
QUICK_SECONDS = 3.0


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table, and claim the share of a core."""
    rounds, seconds = (1, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    print(f"\n{rounds} x {seconds:g} s each, median; one picture of 480x848 at 30 Hz")
    print(f"{'':<20}{'of a core':>10}{'ms a tick':>11}")
    for hz in RATES_HZ:
        shares: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                shares[way].append(share(way, hz, seconds))
        medians = {way: statistics.median(found) for way, found in shares.items()}
        for way, found in medians.items():
            print(f"{way + f', {hz:g} Hz':<20}{found:>10.1%}{1000 * found / hz:>11.2f}")
        yield Claim(
            f"share of one core that the node takes at {hz:g} Hz, its network apart",
            f"{medians['ours']:.0%}, of which a node with no guards, look-ahead or status would take "
            f"{medians['in_timer']:.0%}",
        )


def share(way: str, hz: float, seconds: float) -> float:
    """Processor time over wall time of a node that runs."""
    program = [str(SCRIPT), way, str(PERIODS / hz), "asleep"]
    with Robot.open() as robot, started(program, control_hz=hz, **PREFETCH) as node:
        robot.wait(lambda: robot.sent_s, "command")
        time.sleep(SETTLED_S)
        used, began = node.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return (node.cpu_s() - used) / (time.monotonic() - began)


if __name__ == "__main__":
    run(__file__, __doc__, measure, f"one round of {QUICK_SECONDS:g} s")
