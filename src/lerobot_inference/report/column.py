"""Figures as wide as a column of a paper: a title, what to read off it, a legend, and one or two axes."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from lerobot_inference.report.style import BLACK, PREDICTED, baseline_look
from lerobot_inference.report.text import shortened
from lerobot_inference.report.view import RunView

WIDTH = 3.5
DPI = 300
SMALLEST = 7
"""Points."""
LINE = 0.135
"""Inches from one line of small type to the next."""
LETTERS = 62
"""Small letters that fit on a line."""


def column_figure(
    view: RunView, height: float, title: str, remark: str, legend: Sequence[Artist] = (), legend_columns: int = 3
) -> Figure:
    """An empty figure with `height` inches below its header. remark: what to read off, on as many lines as it takes."""
    rows = -(-len(legend) // legend_columns)
    lines = [_scope(view), *wrap(remark, LETTERS)]
    header = 0.27 + LINE * len(lines) + 0.165 * rows + 0.03
    total = height + header
    layout = ConstrainedLayoutEngine(rect=(0.015, 0.0, 0.97, height / total), h_pad=0.03, w_pad=0.03)
    fig = Figure(figsize=(WIDTH, total), dpi=DPI, layout=layout)
    fig.text(0.02, 1 - 0.06 / total, title, size=9, weight="bold", va="top", color=BLACK)
    for number, line in enumerate(lines):
        fig.text(0.02, 1 - (0.26 + LINE * number) / total, line, size=SMALLEST, va="top", color="#444444")
    if legend:
        key = fig.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(0.005, 1 - (0.25 + LINE * len(lines)) / total),
            ncols=legend_columns,
            fontsize=SMALLEST,
            borderpad=0.2,
            labelspacing=0.3,
            columnspacing=1.0,
            handlelength=1.6,
            handletextpad=0.5,
        )
        key.set_in_layout(False)
    return fig


def missing(view: RunView, title: str, reason: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    fig = column_figure(view, 0.75, title, "")
    ax = fig.subplots()
    ax.set_axis_off()
    text = "\n".join(wrap(f"not drawn: {reason}", LETTERS - 8))
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", size=SMALLEST + 1, color=BLACK)
    return fig


def policy_key(label: str = "policy", marker: str = "o") -> Line2D:
    """Legend entry of the policy's figures."""
    return Line2D([], [], color=PREDICTED, lw=1.4, marker=marker, ms=4, label=label)


def baseline_key(name: str, *, line: bool) -> Line2D:
    """Legend entry of a baseline that is drawn as a line, or as markers."""
    marker, colour = baseline_look(name)
    return Line2D([], [], color=colour, lw=1 if line else 0, marker="" if line else marker, ms=4, label=_words(name))


def interval_remark(view: RunView, protocol: str) -> str:
    """What the bars or bands of this protocol's intervals are, or why there are none."""
    if view.results.protocols[protocol].intervals is None:  # type: ignore[index]
        return f"no interval: {view.why(f'protocols.{protocol}.intervals')}"
    return "95 % interval, episodes resampled"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _scope(view: RunView) -> str:
    episodes = view.results.episodes_evaluated
    policy = shortened(view.results.policy_repo_id.rstrip("/").rsplit("/", 1)[-1], 36)
    return f"{policy}, {episodes} episode{'s' * (episodes != 1)}, {view.results.as_deployed.steps} steps"
