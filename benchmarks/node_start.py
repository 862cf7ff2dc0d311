"""How long from starting the node to its first status, and to its first command to the arm.

    .venv-ros2/bin/python benchmarks/node_start.py [--quick]

The node as it is shipped, with the full-size policy in each engine and control on from the start: Python, rclpy, the
network read, built and warmed up, discovery by DDS, the first joint state and picture, and a command that moves the arm
once the first chunk is there. No guard minds what that untrained policy says. One start of each goes first and isn't
counted, so that files come from the page cache. Needs ROS 2 (`make test-ros2` installs it), and `.venv` to write the
policy the first time.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from claim import Claim, run
from node_ticks import PREFETCH
from places import CACHE, REPOSITORY
from robot import Robot, started

ROUNDS = 7
ENGINES = ("openvino", "onnxruntime")
PROGRAM = ("-m", "lerobot_inference.ros2.act_inference_node")


class Start(NamedTuple):
    """Seconds from spawning the process. command_s: to the first command that is more than a hold."""

    status_s: float
    command_s: float


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table, and claim both times for each engine."""
    policy = full_size_policy()
    starts: dict[str, list[Start]] = {engine: [] for engine in ENGINES}
    for counted in range(2 if quick else 1 + ROUNDS):
        for engine in ENGINES:
            begun = start(policy, engine)
            if counted:
                starts[engine].append(begun)
    print(f"\nfull size, median of {len(starts[ENGINES[0]])} starts")
    print(f"{'':<14}{'first status s':>15}{'first command s':>17}")
    for engine, found in starts.items():
        status_s, command_s = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"{engine:<14}{status_s:>15.2f}{command_s:>17.2f}")
        yield Claim(
            f"from starting the node to its first status and its first command, {engine} f32",
            f"{status_s:.2f} s and {command_s:.2f} s",
        )


def start(policy: Path, engine: str) -> Start:
    """One start."""
    given = {"policy_repo": policy, "engine": engine, "status_hz": 20.0} | PREFETCH
    with Robot.open() as robot, started(PROGRAM, guarded=False, **given) as node:
        robot.wait(lambda: robot.heard_status_s and robot.moving_s, "command")
        return Start(robot.heard_status_s[0] - node.began_s, robot.moving_s[0] - node.began_s)


def full_size_policy() -> Path:
    """The untrained policy of full size that the other benchmarks use; lerobot, which writes it, is in .venv alone."""
    folder = CACHE / "full_size_policy"
    if not folder.exists():
        program = [REPOSITORY / ".venv/bin/python", "-m", "lerobot_inference", "sim", "train", "--full-size"]
        subprocess.run([*program, "--output", folder], check=True)
    return folder


if __name__ == "__main__":
    run(__file__, __doc__, measure, "one start of each")
