"""One worker process of a parallel component, seen from its driver."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from lerobot_inference.errors import LerobotInferenceError
from lerobot_inference.processes import live_with

SHOWN_LINES = 12  # of a traceback
_SPAWN = get_context("spawn")


class BatchError(LerobotInferenceError):
    """A mini-batch failed. results: how many files of it were done all the same."""

    def __init__(self, message: str, *, results: int = 0, exit_code: int = 1) -> None:
        super().__init__(message)
        self.results, self.exit_code = results, exit_code


class _Fault(NamedTuple):
    """What a worker process answers when the script raised something."""

    text: str
    exit_code: int


class Worker:
    """A process that has imported `script`; begun by the first mini-batch, and again after it has died."""

    def __init__(self, script: Path, arguments: Sequence[str]) -> None:
        self.script, self.arguments = script, arguments
        self._process: SpawnProcess | None = None

    def run(self, batch: Sequence[str], timeout_s: float) -> list[str]:
        """What the script says of these files, as text.

        Raises BatchError, LerobotInferenceError when the script can't be imported or its init() fails.
        """
        if not self._process:
            self._begin()
        results = self._ask(list(batch), timeout_s)
        if len(results) < len(batch):
            raise BatchError(f"run() returned {len(results)} results for {len(batch)} files", results=len(results))
        return results

    def shut_down(self) -> None:
        """Let it call the script's shutdown(), if it has one, and end."""
        if self._process:
            self._ask(None, None)

    def kill(self) -> int | None:
        """End the process at once; return its exit code, its own if it had died before."""
        process, self._process = self._process, None
        if not process:
            return None
        process.kill()
        process.join()
        return process.exitcode

    def _begin(self) -> None:
        self._ours, theirs = _SPAWN.Pipe()
        lifeline, self._lifeline = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=_serve, args=(theirs, lifeline, self.script, self.arguments))
        self._process.start()
        theirs.close()
        lifeline.close()
        try:
            self._answer(None)
        except BatchError as error:
            failed = LerobotInferenceError(f"{self.script} can't begin: {error.message}")
            failed.exit_code = error.exit_code
            raise failed from error

    def _ask(self, batch: list[str] | None, timeout_s: float | None) -> list[str]:
        try:
            self._ours.send(batch)
        except OSError:  # it died since
            raise BatchError(f"the worker process died with exit code {self.kill()}") from None
        return self._answer(timeout_s)

    def _answer(self, timeout_s: float | None) -> list[str]:
        """What the process says next. Raises BatchError for an exception there, and when it is silent or dies."""
        try:
            if not self._ours.poll(timeout_s):
                self.kill()
                raise BatchError(f"not done after {timeout_s:g} s (retry_settings.timeout)")
            answer = self._ours.recv()
        except (EOFError, OSError):
            raise BatchError(f"the worker process died with exit code {self.kill()}") from None
        if isinstance(answer, _Fault):
            raise BatchError(answer.text, exit_code=answer.exit_code)
        results: list[str] = answer
        return results


def _serve(driver: Connection, lifeline: Connection, script: Path, arguments: Sequence[str]) -> None:
    """In the worker process: answer every mini-batch with results, or with the end of a traceback."""
    live_with(lifeline)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    try:
        entry = importlib.import_module(script.stem)
        entry.init()
        driver.send([])
        while (batch := driver.recv()) is not None:
            driver.send(_attempt(entry, batch))
        getattr(entry, "shutdown", lambda: None)()
        driver.send([])
    except Exception as error:  # whatever the script does is told to the driver
        driver.send(_explain(error))


def _attempt(entry: ModuleType, batch: list[str]) -> list[str] | _Fault:
    try:
        return [str(result) for result in entry.run(batch)]
    except Exception as error:
        return _explain(error)


def _explain(error: Exception) -> _Fault:
    """Our own errors say what is wrong; of any other the end of its traceback is shown."""
    if isinstance(error, LerobotInferenceError):
        return _Fault(error.message + (f"\n       {error.hint}" if error.hint else ""), error.exit_code)
    return _Fault("\n".join(traceback.format_exc().splitlines()[-SHOWN_LINES:]), 1)
