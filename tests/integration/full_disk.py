"""The command line where no file may grow beyond a size: what a disk that fills up looks like to a program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Set by the program itself: a preexec_fn would run Python in a fork of pytest, which has threads of many libraries.
PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from lerobot_inference.cli import main
main(sys.argv[2:])
"""


def run_with_small_files(size: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`lerobot-inference` with these arguments, its files at most `size` bytes."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(size), *map(str, arguments)],
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
