"""Cells and tables as the page's template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lerobot_inference.evaluation.results import Interval
from lerobot_inference.report.text import significant


@dataclass(frozen=True)
class Cell:
    """One cell. interval: 95 %, in brackets. mark: colours the text. prose: words, set to the left and wrapped.

    meaning: what the quantity is, shown on demand. link: within the page, or to a plot beside it.
    """

    text: str
    interval: str = ""
    mark: str = ""
    prose: bool = False
    meaning: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A caption, column headings, and rows whose first cell names the row. note: below the table."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


NONE = Cell("n/a", mark="none")
EMPTY = Cell("")


def number(value: float | None, interval: Interval | None = None, *, scale: float = 1.0, signed: bool = False) -> Cell:
    """A figure, times `scale`, to three significant digits; its interval in the same unit."""
    if value is None:
        return NONE
    shown = ""
    if interval is not None:
        shown = f"[{', '.join(_text(scale * end, signed) for end in interval)}]"
    return Cell(_text(scale * value, signed), shown)


def mrad(value: float | None, interval: Interval | None = None, *, signed: bool = False) -> Cell:
    """Radians, shown in milliradians."""
    return number(value, interval, scale=1000.0, signed=signed)


def percent(value: float | None) -> Cell:
    """A fraction, shown in percent."""
    return NONE if value is None else Cell(f"{significant(100 * value)} %")


def words(name: str) -> str:
    """A key of the results file as words."""
    return name.replace("_", " ")


def _text(value: float, signed: bool) -> str:
    return f"{'+' if signed and value > 0 else ''}{significant(value)}"
