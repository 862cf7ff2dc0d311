"""Run every benchmark and write their claims into the README. `make bench` runs it.

    .venv/bin/python benchmarks/bench.py [--quick]

With --quick each runs for a moment, to see that it works, and the README stays as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from claim import Record, replace_table, table
from episode import REPOSITORY

from lerobot_inference.files import atomic_write

SCRIPTS = (
    "chunk_latency",
    "precision",
    "cold_start",
    "every_frame",
    "evaluate_episode",
    "video_decode",
    "plots",
    "splicing",
)
ROS_SCRIPTS = ("node_ticks", "node_cpu", "node_start")
ROS_PYTHON = REPOSITORY / ".venv-ros2/bin/python"
README = REPOSITORY / "README.md"


def main() -> int:
    """Run all of them even where one fails; the README is written when none did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that each one works; measures nothing")
    options = ["--quick"] if parser.parse_args().quick else []
    failed, pythons = [], dict.fromkeys(SCRIPTS, sys.executable)
    if ROS_PYTHON.exists():
        pythons |= dict.fromkeys(ROS_SCRIPTS, str(ROS_PYTHON))
    else:
        print(f"left out, as there is no {ROS_PYTHON} (make test-ros2 makes it): {', '.join(ROS_SCRIPTS)}")
    for script, python in pythons.items():
        print(f"\n== benchmarks/{script}.py", flush=True)
        path = Path(__file__).with_name(f"{script}.py")
        if subprocess.run([python, str(path), *options], check=False).returncode:
            failed.append(script)
    if failed:
        print(f"failed: {', '.join(failed)}; README.md is as it was", file=sys.stderr)
        return 1
    if not options:
        content = table([Record.load(script) for script in pythons])
        document = replace_table(README.read_text(encoding="utf-8"), content)
        with atomic_write(README) as file:
            file.write_text(document, encoding="utf-8")
        print(f"\n{content}\n\nwritten to {README}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
