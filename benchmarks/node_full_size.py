"""Ten minutes at 30 Hz beside a full-size policy: missed ticks and jitter of the node as it is shipped.

    .venv-ros2/bin/python benchmarks/node_full_size.py [--quick]

The policy runs in OpenVINO, f32, on one thread, so that a core is left for the ticks and for the robot, which publishes
joint states at 125 Hz and 480x848 pictures at 30 Hz. No guard minds what that untrained policy says. Needs ROS 2 (`make
test-ros2` installs it), and `.venv` to write the policy the first time.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from claim import Claim, run
from node_start import PROGRAM, full_size_policy
from node_ticks import PREFETCH, PROMISED_HZ, QUICK_SECONDS, SETTLED_S
from robot import Robot, started
from ticks import Ticks

SECONDS = 600.0


def measure(quick: bool) -> Iterable[Claim]:
    """Print and claim missed ticks and jitter."""
    given = {"policy_repo": full_size_policy(), "engine": "openvino", "threads": 1, "control_hz": PROMISED_HZ}
    with Robot.open() as robot, started(PROGRAM, guarded=False, **(given | PREFETCH)):
        robot.wait(lambda: robot.moving_s, "command")
        robot.commands(SETTLED_S)
        moving = len(robot.moving_s)
        ticks = Ticks(1 / PROMISED_HZ, np.diff(robot.commands(QUICK_SECONDS if quick else SECONDS)))
        moved = len(robot.moving_s) - moving
    jitter = ", ".join(f"p{percent:g} {ticks.jitter_ms(percent):.2f}" for percent in (50, 99, 100))
    print(f"\n{ticks.due} ticks due, {ticks.missed} missed, {moved} of them with motion; jitter ms: {jitter}")
    print(f"longest time without a command {ticks.longest_ms:.1f} ms")
    yield Claim(
        f"missed ticks in {SECONDS / 60:g} minutes at {PROMISED_HZ:g} Hz with a full-size policy",
        f"{ticks.missed} of {ticks.due}; jitter p99 {ticks.jitter_ms(99):.1f} ms",
        "no missed tick, jitter p99 < 5 ms",
        ticks.missed == 0 and ticks.jitter_ms(99) < 5,
    )


if __name__ == "__main__":
    run(__file__, __doc__, measure, f"{QUICK_SECONDS:g} s")
