"""Run every benchmark and write their claims into README.md, where a bar was set, and all into benchmarks/README.md.

    .venv/bin/python benchmarks/bench.py [--quick]

With --quick each runs for a moment, to see that it works, and both stay as they are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from claim import Record, replace_table, table
from places import REPOSITORY

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
ROS_SCRIPTS = ("node_ticks", "node_full_size", "node_cpu", "node_start")
ROS_PYTHON = REPOSITORY / ".venv-ros2/bin/python"
DOCUMENTS = {"README.md": True, "benchmarks/README.md": False}  # whether only what has a bar stands there


def main() -> int:
    """Run all of them even where one fails; the tables are written when none did."""
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
        print(f"failed: {', '.join(failed)}; the tables are as they were", file=sys.stderr)
        return 1
    if not options:
        write_tables([Record.load(script) for script in pythons])
    return 0


def write_tables(records: Sequence[Record]) -> None:
    """Replace the table of each document."""
    for name, promised in DOCUMENTS.items():
        path = REPOSITORY / name
        document = replace_table(path.read_text(encoding="utf-8"), table(records, promised))
        with atomic_write(path) as file:
            file.write_text(document, encoding="utf-8")
    print(f"\n{table(records)}\n\nwritten to {' and '.join(DOCUMENTS)}")


if __name__ == "__main__":
    sys.exit(main())
