"""Processes that take turns: each contender has its own, and at any moment only one of them computes.

In one process the thread pools of torch, OpenVINO and ONNX Runtime disturb each other; measured one after the other,
contenders meet different moments of a machine that others use too. So each is built once, in its own process, and
the rounds go A B C, A B C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any, Self

from lerobot_inference.errors import LerobotInferenceError


class SkippedError(Exception):
    """A contender can't run on this machine; the message says why."""


class Worker[**P, R]:
    """A process that has called `make(*arguments)`, and calls what came out of it when this object is called.

    Raises what `make` and the calls raise. `make`, arguments and results are pickled. Ends with the `with` block.
    """

    def __init__(self, make: Callable[..., Callable[P, R]], *arguments: object) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            self._pool.submit(_make, make, arguments).result()
        except BaseException:
            self._pool.shutdown()
            raise

    def __call__(self, *arguments: P.args, **_: P.kwargs) -> R:
        """Let the process do one call and sleep until it has."""
        result: R = self._pool.submit(_call, arguments).result()
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


@contextmanager
def workers[**P, R](
    make: Callable[..., Callable[P, R]], names: Iterable[str], *arguments: object
) -> Iterator[dict[str, Worker[P, R]]]:
    """Name -> a worker built by `make(name, *arguments)`. Prints who can't run here and why, and leaves it out."""
    with ExitStack() as stack:
        able: dict[str, Worker[P, R]] = {}
        for name in names:
            try:
                able[name] = stack.enter_context(Worker(make, name, *arguments))
            except (SkippedError, LerobotInferenceError) as reason:
                print(f"skipped: {name}: {reason}")
        yield able


_made: Callable[..., Any]


def _make(make: Callable[..., Callable[..., Any]], arguments: tuple[Any, ...]) -> None:
    global _made
    _made = make(*arguments)


def _call(arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
    return _made(*arguments)
