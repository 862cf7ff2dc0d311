"""Whether the arm jerks when a new chunk takes over."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lerobot_inference.evaluation.results import Motion
from lerobot_inference.report.column import column_figure, missing
from lerobot_inference.report.style import PREDICTED, RECORDED
from lerobot_inference.report.text import angle_unit, significant
from lerobot_inference.report.view import RunView
from lerobot_inference.types import TimeArray

TITLE = "Jumps where a new chunk begins"
FIELD = "protocols.as_deployed.smoothness.predicted"
ROW = 0.3
"""Inches."""


def draw(view: RunView) -> Figure:
    """As-deployed protocol; the recorded actions at the same steps are what a jump is to be compared with."""
    smoothness = view.results.as_deployed.smoothness
    motions = {"predicted": (smoothness.predicted, PREDICTED, -0.17), "recorded": (smoothness.recorded, RECORDED, 0.17)}
    drawn = [(*jumps(motion), colour, offset) for motion, colour, offset in motions.values()]
    if not all(border.size and inside.size for border, inside, _, _ in drawn):
        return missing(view, TITLE, view.why(f"{FIELD}.border_jump", f"{FIELD}.interior_jump"))
    rows = np.arange(len(view.joint_names))
    unit = angle_unit([values for border, inside, _, _ in drawn for values in (border, inside)])
    ratios = [f"{name} {_ratio(motion.border_jump, motion.interior_jump)}" for name, (motion, *_) in motions.items()]
    legend = [
        Line2D([], [], color=colour, lw=1.2, marker="o", ms=4, mfc=colour if filled else "white", label=label)
        for name, (_, colour, _) in motions.items()
        for label, filled in ((f"{name}, at the border", True), (f"{name}, inside a chunk", False))
    ]
    remark = f"As deployed; at the border over inside: {', '.join(ratios)}; on the right: predicted, each joint"
    fig = column_figure(view, max(1.4, ROW * len(rows) + 0.5), TITLE, remark, legend, 2)
    ax = fig.subplots()
    for border, inside, colour, offset in drawn:
        ax.hlines(rows + offset, border * unit.scale, inside * unit.scale, color=colour, lw=1.2)
        ax.plot(border * unit.scale, rows + offset, "o", color=colour, ms=4)
        ax.plot(inside * unit.scale, rows + offset, "o", color=colour, mfc="white", ms=4, zorder=3)
    _write_ratios(ax, *drawn[0][:2])
    ax.set_yticks(rows, view.joint_names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"mean action change a step ({unit.label})")
    return fig


def jumps(motion: Motion) -> tuple[TimeArray, TimeArray]:
    """(A,) radians each, at chunk borders and inside chunks; empty where there are no such steps."""
    return np.asarray(motion.per_joint_border_jump or []), np.asarray(motion.per_joint_interior_jump or [])


def _write_ratios(ax: Axes, border: TimeArray, inside: TimeArray) -> None:
    ratios = ax.secondary_yaxis("right")
    ratios.set_yticks(range(len(border)), [_ratio(*pair) for pair in zip(border, inside, strict=True)])
    ratios.tick_params(length=0)
    ratios.spines.right.set_visible(False)


def _ratio(border: float | None, inside: float | None) -> str:
    if border is None or not inside:
        return "n/a"
    return f"{significant(border / inside)}\N{MULTIPLICATION SIGN}"
