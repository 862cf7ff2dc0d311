"""How the error grows with the distance to the frame that a chunk was predicted from."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lerobot_inference.report.column import baseline_key, column_figure, interval_remark, missing, policy_key
from lerobot_inference.report.style import BLACK, PREDICTED, baseline_look
from lerobot_inference.report.text import angle_unit
from lerobot_inference.report.view import RunView

TITLE = "Error by step within the chunk"
BAND = 0.22
"""Opacity."""


def draw(view: RunView) -> Figure:
    """Every-frame protocol, all episodes pooled; what is left of the dashed line is executed before the next chunk."""
    results = view.results
    protocol = results.protocols.get("every_frame")
    if protocol is None or not protocol.horizon_mae:
        return missing(view, TITLE, view.why("protocols.every_frame", "protocols.every_frame.horizon_mae"))
    pooled, intervals = np.asarray(protocol.horizon_mae), protocol.intervals
    band = np.asarray(intervals.horizon_mae) if intervals and intervals.horizon_mae else None
    unit = angle_unit([*pooled, *(figures.mae for figures in protocol.baselines.values())])
    legend = [policy_key(marker=""), *(baseline_key(name, line=True) for name in protocol.baselines)]
    legend.append(Line2D([], [], color=BLACK, lw=1, ls="--", label="executed up to here"))
    keys = [*legend, Patch(color=PREDICTED, alpha=BAND, lw=0, label="95 % interval")] if band is not None else legend
    remark = f"Every frame; {results.n_action_steps} of {results.chunk_size} steps are executed; "
    fig = column_figure(view, 2.1, TITLE, remark + interval_remark(view, "every_frame"), keys, 2)
    ax = fig.subplots()
    steps = np.arange(len(pooled))
    if band is not None:
        ax.fill_between(steps, *(band.T * unit.scale), color=PREDICTED, alpha=BAND, lw=0)
    for name, figures in protocol.baselines.items():
        ax.axhline(figures.mae * unit.scale, color=baseline_look(name)[1], lw=1)
    ax.plot(steps, pooled * unit.scale, color=PREDICTED, lw=1.5, marker="o" if len(pooled) < 3 else "", ms=4)
    ax.axvline(results.n_action_steps - 0.5, color=BLACK, lw=1, ls="--")
    ax.set_xlim(-0.5, max(len(pooled), results.n_action_steps) - 0.3)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"steps ahead of the frame (one is {1000 / results.fps:.3g} ms)")
    ax.yaxis.set_major_locator(MaxNLocator(5))  # not by the axes' size, which the layout is still to find
    ax.set_ylabel(f"mean absolute error ({unit.label})")
    return fig
