"""What the command line prints on: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from lerobot_inference.types import Progress

# No markup: paths and messages hold square brackets of their own. What is styled is a Text.
console = Console(markup=False, highlight=False)
errors = Console(stderr=True, markup=False, highlight=False)

LINE_EVERY_S = 5.0


def print_json(record: BaseModel) -> None:
    """Print a record as JSON alone on stdout, for scripts."""
    print(record.model_dump_json(indent=2))


def warn(message: str) -> None:
    """Say on stderr that something came out in another way than a person may expect."""
    errors.print(Text.assemble(("warning:", "bold yellow"), f" {message}"), soft_wrap=True)


@contextmanager
def progress_display() -> Iterator[Progress]:
    """Draw progress: bars on a terminal, a line every few seconds elsewhere."""
    if errors.is_terminal:
        with _bars() as progress:
            yield progress
    else:
        yield _Lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=errors) as bars:
        tasks: dict[str, int] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield draw


class _Lines:
    """One line at the start and end of a stage and every few seconds between."""

    def __init__(self) -> None:
        self._stage = ""
        self._last = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what == self._stage and done < total and now - self._last < LINE_EVERY_S:
            return
        self._stage, self._last = what, now
        errors.print(f"{what}: {done}/{total}", soft_wrap=True)
