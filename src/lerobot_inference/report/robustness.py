"""How much worse the policy gets when its pictures do."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lerobot_inference.report.column import column_figure
from lerobot_inference.report.style import BLACK, PREDICTED
from lerobot_inference.report.text import shortened, significant
from lerobot_inference.report.view import NAME_LENGTH, RunView

ROW = 0.21
"""Inches."""
NARROWEST = (0.8, 2.0)
"""The axis holds at least this, so that a change of a few per cent looks like one."""


def draw(view: RunView) -> Figure:
    """As-deployed protocol; only for results that have perturbations."""
    results = view.results.robustness
    rows, names = np.arange(len(results)), [shortened(name, NAME_LENGTH) for name in results]
    legend = [
        Line2D([], [], color=PREDICTED, lw=2, marker="o", ms=4, label="with 95 % interval"),
        Line2D([], [], color=BLACK, lw=1, ls="--", label="undisturbed"),
    ]
    remark = "As deployed, the same episodes; mean squared error over that of the undisturbed run"
    fig = column_figure(view, max(1.2, ROW * len(rows) + 0.5), "Error with worsened pictures", remark, legend)
    ax = fig.subplots()
    ax.set_xscale("log")
    values = list(NARROWEST)
    for row, found in zip(rows, results.values(), strict=True):
        if found.interval:
            ax.hlines(row, *found.interval, color=PREDICTED, lw=2)
            values += found.interval
        if found.mse_ratio:
            ax.plot(found.mse_ratio, row, "o", color=PREDICTED, ms=4.5, zorder=3)
            values.append(found.mse_ratio)
    ax.axvline(1, color=BLACK, lw=1, ls="--", zorder=1)
    positive = [value for value in values if value > 0]
    ax.set_xlim(min(positive) / 1.15, max(positive) * 1.15)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks(rows, names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel("times the undisturbed mean squared error")
    figures = ax.secondary_yaxis("right")
    figures.set_yticks(rows, [_text(found.mse_ratio) for found in results.values()])
    figures.tick_params(length=0)
    figures.spines.right.set_visible(False)
    return fig


def _text(ratio: float | None) -> str:
    return "n/a" if ratio is None else f"{significant(ratio)}\N{MULTIPLICATION SIGN}"
