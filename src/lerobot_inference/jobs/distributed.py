"""Run a command component of several nodes here: as many processes at once, each with a RANK of its own.

    python -m lerobot_inference.jobs.distributed --processes COUNT -- PROGRAM [ARGUMENT ...]

They get the environment that torch's launcher and Azure ML's `distribution: pytorch` give. There are no more of them
than cores. The first that fails ends the others, and its exit code is the launcher's.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from lerobot_inference.engine.base import available_cores
from lerobot_inference.jobs.process import PROGRAMS

POLL_S = 0.05
GRACE_S = 5.0  # how long a process may take to end after another has failed


def main(argv: Sequence[str]) -> int:
    """Run what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="distributed")
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(argv)
    program, *arguments = given.command
    count = min(given.processes, available_cores())
    print(f"{count} processes of {given.processes}, each with a RANK", file=sys.stderr, flush=True)
    return launch([*PROGRAMS.get(program, [program]), *arguments], count)


def launch(command: Sequence[str], count: int) -> int:
    """Run `command` that often at once; return 0, or the exit code of the first that fails."""
    common = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    common |= {"MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            running.append(subprocess.Popen(command, env={**os.environ, **common, **own}))
        return _wait(running)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            _end(process)


def _wait(running: Sequence[subprocess.Popen[bytes]]) -> int:
    while True:
        codes = [process.poll() for process in running]
        for rank, code in enumerate(codes):
            if code:
                print(f"rank {rank} ended with exit code {code}, and so do all", file=sys.stderr, flush=True)
                return code if code > 0 else 128 - code
        if None not in codes:
            return 0
        time.sleep(POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
