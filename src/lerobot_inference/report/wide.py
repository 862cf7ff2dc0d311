"""Figures as wide as a page, for a screen: a header that says what is shown, and panels below it.

Panels lie at fixed places: measuring every label to find better ones takes as long as drawing it, and the pictures of
two episodes would not lie on top of each other. Axes and their ticks are made once and then used for every figure of
their kind: making them takes as long as drawing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from matplotlib.transforms import Bbox

from lerobot_inference.report.style import BLACK

WIDTH = 10.5
DPI = 140
HEADER, LEGEND = 0.82, 0.24
"""Inches at the top for title, subtitle and legend; the legend's part of it."""
NUMBERS = 0.58
"""Inches that the numbers along a vertical axis take."""
LABEL = 0.27
"""Inches that the label of an axis takes."""
TITLE = 0.27
"""Inches that the title of a panel takes."""
TICKS = 0.22
"""Inches that the numbers along a horizontal axis take."""
KINDS = 8
"""Figures that are kept to be used again."""
EDGE = 0.1
"""Inches kept free at the edges of the picture."""


@dataclass(frozen=True)
class Header:
    """What stands above the panels: title, what it is about, legend."""

    title: str
    subtitle: str
    legend: Sequence[Artist] = ()

    @property
    def height(self) -> float:
        """Inches."""
        return HEADER if self.legend else HEADER - LEGEND

    def write(self, fig: Figure) -> None:
        """Put it at the top of a figure."""
        total = fig.get_figheight()
        fig.text(0.012, 1 - 0.12 / total, self.title, size=12, weight="bold", va="top", color=BLACK)
        fig.text(0.012, 1 - 0.37 / total, self.subtitle, va="top", color="#555555")
        if self.legend:
            corner = (0.004, 1 - 0.53 / total)
            columns = len(self.legend)
            fig.legend(handles=list(self.legend), loc="upper left", bbox_to_anchor=corner, ncols=columns, borderpad=0.2)


def panels(
    header: Header,
    shape: tuple[int, int],
    height: float,
    *,
    left: float,
    between: float,
    right: float = EDGE,
    share_time: bool = False,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure and its panels, row by row, good until the next call with a header of this title. Lengths in inches.

    height: of a panel. left, right: from the edges of the picture to the panels. between: from a panel to the next one
    on its right. share_time: one horizontal axis for all, labelled below the last row.
    """
    sheet = _sheet(header.title, header.height, shape, height, left, between, right, share_time)
    sheet.clear()
    header.write(sheet.fig)
    return sheet.fig, sheet.axes


@dataclass(frozen=True)
class _Sheet:
    fig: Figure
    axes: list[list[Axes]]

    def clear(self) -> None:
        """Remove what was drawn; keep the axes with their ticks."""
        panels = [ax for row in self.axes for ax in row]
        others = [ax for ax in self.fig.axes if ax not in panels]
        for artist in [*self.fig.texts, *self.fig.legends, *others]:
            artist.remove()
        for ax in panels:
            for artist in [*ax.lines, *ax.patches, *ax.collections, *ax.images, *ax.texts, *ax.child_axes]:
                artist.remove()
            if (key := ax.get_legend()) is not None:
                key.remove()
            for side in ("left", "right"):
                ax.set_title("", loc=side)
            ax.dataLim.set_points(Bbox.null().get_points())
            ax.autoscale(enable=True)


@lru_cache(maxsize=KINDS)
def _sheet(
    title: str,  # noqa: ARG001
    header: float,
    shape: tuple[int, int],
    height: float,
    left: float,
    between: float,
    right: float,
    share_time: bool,
) -> _Sheet:
    rows, columns = shape
    labels = TICKS + LABEL
    gap = TITLE if share_time else TITLE + labels
    below = TITLE + rows * height + (rows - 1) * gap + labels
    total = below + header
    width = (WIDTH - left - right - (columns - 1) * between) / columns
    fig = Figure(figsize=(WIDTH, total), dpi=DPI)
    grid = fig.subplots(
        rows,
        columns,
        sharex=share_time,
        squeeze=False,
        gridspec_kw={
            "left": left / WIDTH,
            "right": 1 - right / WIDTH,
            "bottom": labels / total,
            "top": (below - TITLE) / total,
            "wspace": between / width,
            "hspace": gap / height,
        },
    )
    return _Sheet(fig, grid.tolist())


def text_width(text: str, size: float) -> float:
    """Inches that `text` takes in type of `size` points."""
    width, _, _ = TextToPath().get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(width) / 72
