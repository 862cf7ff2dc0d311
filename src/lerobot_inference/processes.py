"""Worker processes that never outlive what started them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

from lerobot_inference.errors import LerobotInferenceError


@contextmanager
def worker_processes(
    count: int, died: LerobotInferenceError, begin: Callable[..., None], *arguments: object
) -> Iterator[ProcessPoolExecutor]:
    """Start up to `count` processes, on demand, that call begin(*arguments) first; finish their work at the end.

    Whatever else ends this block, or this process, ends them. Raises `died` when one of them does.
    """
    spawn = get_context("spawn")  # a forked child would inherit locks that threads of this process hold
    lifeline, end = spawn.Pipe(duplex=False)
    with lifeline, ProcessPoolExecutor(count, spawn, _begin, (lifeline, begin, arguments)) as pool, end:
        try:
            yield pool
            pool.shutdown()
        except BrokenProcessPool as error:
            raise died from error


def _begin(lifeline: Connection, begin: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Prepare a worker process."""
    live_with(lifeline)
    begin(*arguments)


def live_with(lifeline: Connection) -> None:
    """In a worker process: end it as soon as the parent closes the other end or is no more."""

    def end() -> None:
        lifeline.poll(None)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent ends the lifeline
    threading.Thread(target=end, daemon=True).start()
