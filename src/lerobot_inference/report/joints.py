"""A grid of small axes, one a joint, over a shared time axis."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lerobot_inference.report.style import CALL, figure
from lerobot_inference.report.view import EpisodeView
from lerobot_inference.types import FloatArray, TimeArray

ONE_COLUMN_UP_TO = 3
ROW_HEIGHT = {1: 1.9, 2: 1.35}
"""Inches, by number of columns."""
MOST_CALLS = 120
SHORT = 3
"""A series of fewer points is drawn as markers: a line through so few can't be seen."""


def joint_grid(view: EpisodeView, title: str, unit: str, legend: Sequence[Artist]) -> tuple[Figure, list[Axes]]:
    """A figure with one labelled axes per joint, in training order, down the first column first."""
    joints = len(view.joint_names)
    columns = 1 if joints <= ONE_COLUMN_UP_TO else 2
    rows = -(-joints // columns)
    fig = figure(rows * ROW_HEIGHT[columns] + 0.35, title, view.subtitle, legend)
    grid = fig.subplots(rows, columns, sharex=True, squeeze=False)
    axes: list[Axes] = list(grid.T.flat)
    for spare in axes[joints:]:
        # Kept for its time axis: without it the column above would end at another height than its neighbour.
        spare.set(yticks=[])
        spare.spines.left.set_visible(False)
        spare.grid(visible=False)
    for bottom in grid[-1]:
        bottom.set_xlabel("time in the episode (s)")
    axes[0].set_xlim(*view.time_limits)
    fig.supylabel(unit, size=8.5)
    return fig, axes[:joints]


def draw_series(
    ax: Axes, times: TimeArray, values: FloatArray, colour: str, width: float, order: int, alpha: float = 1.0
) -> None:
    """A line, or markers where there are too few points for one."""
    marker = "o" if len(times) < SHORT else ""
    ax.plot(
        times, values, color=colour, lw=width, marker=marker, ms=3 + 2 * width, mfc="none", alpha=alpha, zorder=order
    )


def call_key(view: EpisodeView, marker: str = "o") -> Line2D:
    """Legend entry of `mark_calls`."""
    count = len(view.data.chunk_starts)
    if count > MOST_CALLS:
        return Line2D([], [], lw=0, label=f"{count} network calls in {view.episode.steps} steps (not marked)")
    return Line2D([], [], color=CALL, lw=0, marker=marker, ms=4, label=f"network call ({count})")


def mark_calls(ax: Axes, view: EpisodeView, times: TimeArray, values: FloatArray) -> None:
    """A dot on the curve at each network call, unless the dots would hide the curve."""
    calls = view.data.chunk_starts
    if len(calls) <= MOST_CALLS:
        ax.plot(times[calls], values[calls], "o", color=CALL, ms=3.2, zorder=4)
