"""A grid of small axes, one a joint, over a shared time axis."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lerobot_inference.report.style import CALL
from lerobot_inference.report.view import EpisodeView
from lerobot_inference.report.wide import LABEL, NUMBERS, Header, panels
from lerobot_inference.types import FloatArray, TimeArray

ONE_COLUMN_UP_TO = 3
PANEL_HEIGHT = {1: 1.6, 2: 1.05}
"""Inches, by number of columns."""
MOST_CALLS = 120
SHORT = 3
"""A series of fewer points is drawn as markers: a line through so few can't be seen."""


def joint_grid(view: EpisodeView, title: str, unit: str, legend: Sequence[Artist]) -> tuple[Figure, list[Axes]]:
    """A figure with one labelled axes per joint, in training order, down the first column first."""
    joints = len(view.joint_names)
    columns = 1 if joints <= ONE_COLUMN_UP_TO else 2
    rows = -(-joints // columns)
    fig, grid = panels(
        Header(f"{title}, each joint to its own scale" if joints > 1 else title, view.subtitle, legend),
        (rows, columns),
        PANEL_HEIGHT[columns],
        left=NUMBERS + LABEL,
        between=NUMBERS + 0.1,
        share_time=True,
    )
    axes = [row[column] for column in range(columns) for row in grid]
    for spare in axes[joints:]:
        # Kept for its time axis: the column has the same one at the bottom as its neighbour.
        spare.set(yticks=[])
        spare.spines.left.set_visible(False)
        spare.grid(visible=False)
    for ax in axes[:joints]:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    for bottom in grid[-1]:
        bottom.set_xlabel("time in the episode (s)")
    axes[0].set_xlim(*view.time_limits)
    fig.text(0.012, 0.5, unit, rotation=90, va="center")
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
    count, steps = len(view.data.chunk_starts), view.episode.steps
    if count > MOST_CALLS:
        how_often = "at every step" if count == steps else f"{count} times in {steps} steps"
        return Line2D([], [], lw=0, label=f"the network is called {how_often} (not marked)")
    return Line2D([], [], color=CALL, lw=0, marker=marker, ms=4, label=f"network call, a new chunk begins ({count})")


def mark_calls(ax: Axes, view: EpisodeView, times: TimeArray, values: FloatArray) -> None:
    """A dot on the curve at each network call, unless the dots would hide the curve."""
    calls = view.data.chunk_starts
    if len(calls) <= MOST_CALLS:
        ax.plot(times[calls], values[calls], "o", color=CALL, ms=3.2, zorder=4)
