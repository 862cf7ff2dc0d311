"""Each joint's error beside that of predictors with no policy."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lerobot_inference.report.column import baseline_key, column_figure, interval_remark, policy_key
from lerobot_inference.report.style import PREDICTED, baseline_look
from lerobot_inference.report.text import angle_unit
from lerobot_inference.report.view import RunView

ROW = 0.21
"""Inches."""


def draw(view: RunView) -> Figure:
    """As-deployed protocol; a bar through the policy's dot is its interval."""
    protocol = view.results.as_deployed
    rows, policy = np.arange(len(view.joint_names)), np.asarray(protocol.error.per_joint_mae)
    baselines = {name: np.asarray(figures.per_joint_mae) for name, figures in protocol.baselines.items()}
    intervals = np.asarray(protocol.intervals.per_joint_mae) if protocol.intervals else None
    unit = angle_unit([policy, *baselines.values()])
    legend = [policy_key(), *(baseline_key(name, line=False) for name in baselines)]
    remark = f"As deployed; {interval_remark(view, 'as_deployed')}"
    fig = column_figure(view, max(1.3, ROW * len(rows) + 0.5), "Error by joint", remark, legend)
    ax = fig.subplots()
    for name, values in baselines.items():
        marker, colour = baseline_look(name)
        ax.plot(values * unit.scale, rows, marker, color=colour, ms=4)
    if intervals is not None:
        ax.hlines(rows, *(intervals.T * unit.scale), color=PREDICTED, lw=2, zorder=3)
    ax.plot(policy * unit.scale, rows, "o", color=PREDICTED, ms=4.5, zorder=4)
    ax.set_yticks(rows, view.joint_names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"mean absolute error ({unit.label})")
    return fig
