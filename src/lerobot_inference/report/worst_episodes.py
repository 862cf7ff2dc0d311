"""Whether the mean hides bad episodes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lerobot_inference.report.column import column_figure, interval_remark
from lerobot_inference.report.style import BLACK, CALL, GREY, PREDICTED
from lerobot_inference.report.text import angle_unit
from lerobot_inference.report.view import RunView

BAND = 0.3
"""Opacity."""
MOST_NAMED = 16
"""Episodes whose numbers fit below their bars."""
FEWEST_PLACES = 8


def draw(view: RunView) -> Figure:
    """As-deployed protocol, every episode, largest error first."""
    results = view.results
    ranked = sorted(results.per_episode, key=lambda episode: episode.mae, reverse=True)
    mae, places = np.asarray([episode.mae for episode in ranked]), np.arange(len(ranked))
    unit, intervals = angle_unit(mae), results.as_deployed.intervals
    colours = [CALL if episode.episode in results.worst_episodes else PREDICTED for episode in ranked]
    worst = ", ".join(str(number) for number in results.worst_episodes)
    legend = [
        Patch(color=CALL, label=f"worst: episode{'s' * (len(results.worst_episodes) != 1)} {worst}"),
        Line2D([], [], color=BLACK, lw=1, ls="--", label=f"all pooled: {unit.text(results.aggregate_mae)}"),
    ]
    if intervals:
        legend.append(Patch(color=GREY, alpha=BAND, lw=0, label="its 95 % interval"))
    remark = f"As deployed; {interval_remark(view, 'as_deployed')}"
    fig = column_figure(view, 1.9, "Error of every episode", remark, legend, 1)
    ax = fig.subplots()
    if intervals:
        ax.axhspan(*(np.asarray(intervals.mae) * unit.scale), color=GREY, alpha=BAND, lw=0, zorder=0)
    ax.bar(places, mae * unit.scale, width=0.8 if len(mae) <= MOST_NAMED else 1.0, color=colours)
    ax.axhline(results.aggregate_mae * unit.scale, color=BLACK, lw=1, ls="--")
    if len(mae) <= MOST_NAMED:
        ax.set_xticks(places, [str(episode.episode) for episode in ranked])
        ax.set_xlabel("episode, worst first")
    else:
        ax.set_xlabel("rank of the episode, worst first")
    room = max(0.7, (FEWEST_PLACES - len(mae)) / 2)
    ax.set_xlim(-room, len(mae) - 1 + room)
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_locator(MaxNLocator(5))  # not by the axes' size, which the layout is still to find
    ax.set_ylabel(f"mean absolute error ({unit.label})")
    return fig
