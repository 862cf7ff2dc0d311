"""Steps as processes of this very installation."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import BinaryIO

import lerobot_inference
from lerobot_inference.jobs.cache import content, digest
from lerobot_inference.jobs.pipeline import Step
from lerobot_inference.jobs.record import StepRecord
from lerobot_inference.plugins import installed

# Steps run the same interpreter and installation as this, whatever PATH and the Python files in this folder say.
PROGRAMS = {"lerobot-inference": [sys.executable, "-P", "-m", "lerobot_inference"], "python": [sys.executable]}
PACKAGE = Path(lerobot_inference.__file__).parent
HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 5.0  # how long a stopped step may take to clean up before the next, harder signal


class Processes:
    """A Runner whose steps share this machine, this user and the network."""

    def program(self, step: Step) -> str:
        """A digest of Python, the files of this package and of its plugins, and every installed package's version."""
        del step  # all steps run the same
        return _installation()

    def run(self, step: Step, planned: StepRecord, printed: BinaryIO) -> int:
        """Run a step to its end. Ctrl-C ends it, with everything it started, before KeyboardInterrupt goes on."""
        program, *arguments = planned.command
        process = None
        try:
            with _interrupts_wait():  # one in the middle of this would leave a process that nobody knows
                process = subprocess.Popen(
                    [*PROGRAMS.get(program, [program]), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    env=_environment(step),
                    process_group=0,  # Ctrl-C comes to us alone, and we end the step with everything it started
                )
            exit_code = process.wait()
        except OSError as error:
            printed.write(f"{program} can't be run: {error.strerror}\n".encode())
            return 127
        except KeyboardInterrupt:
            if process:
                _end(process)
            raise
        return exit_code if exit_code >= 0 else 128 - exit_code


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C and SIGTERM within are raised as KeyboardInterrupt at the end."""
    if threading.current_thread() is not threading.main_thread():  # Python gives signals to the main thread alone
        yield
        return
    held: list[int] = []
    before = {each: signal.signal(each, lambda number, _: held.append(number)) for each in INTERRUPTS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in held:
            signal.raise_signal(number)


def _environment(step: Step) -> dict[str, str]:
    """The caller's environment and the step's own; a step that works offline is given no Hub token."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **step.environment}
    if step.is_offline:
        for token in HUB_TOKENS:
            environment.pop(token, None)
    return environment


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a step and everything it started: ask, insist, force."""
    for order in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, order)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(GRACE_S)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@cache
def _installation() -> str:
    versions = sorted(f"{found.name}=={found.version}" for found in distributions())
    # A plugin that somebody works on changes without a version.
    code = [PACKAGE, *(path for plugin in installed() for path in plugin.code)]
    return digest([platform.python_version(), versions, [content(path) for path in code]])
