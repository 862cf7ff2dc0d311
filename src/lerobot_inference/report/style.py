"""One look for every figure: colours, the header that says what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

# Okabe and Ito's palette, told apart with any colour vision: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY, PALE = "#CC79A7", "#56B4E9", "#222222", "#8A8A8A", "#D9D9D9"

PREDICTED, RECORDED, CALL = BLUE, BLACK, VERMILION
JOINT_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK)
HEATMAP = "viridis"

WIDTH = 10.5
DPI = 140
HEADER, LEGEND = 0.82, 0.24
"""Inches at the top for title, subtitle and legend; the legend's part of it."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.ymargin": 0.09,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    "lines.solid_joinstyle": "round",
    "savefig.dpi": DPI,
}


def styled() -> AbstractContextManager[None]:
    """Draw within this."""
    return rc_context(STYLE)  # type: ignore[arg-type]  # the stubs want each key as a literal


def joint_colours(joints: int) -> list[str]:
    """One colour a joint: the palette while it lasts, then evenly spaced along a perceptually uniform map."""
    if joints <= len(JOINT_COLOURS):
        return list(JOINT_COLOURS[:joints])
    return [to_hex(colormaps[HEATMAP](x)) for x in np.linspace(0, 0.93, joints)]


def figure(height: float, title: str, subtitle: str, legend: Sequence[Artist] = ()) -> Figure:
    """An empty figure under its header: title, what it is about, legend. height: inches below the header."""
    header = HEADER if legend else HEADER - LEGEND
    total = height + header
    layout = ConstrainedLayoutEngine(rect=(0.004, 0.0, 0.992, height / total), h_pad=0.06, w_pad=0.06)
    fig = Figure(figsize=(WIDTH, total), layout=layout)
    fig.text(0.012, 1 - 0.12 / total, title, size=12, weight="bold", va="top", color=BLACK)
    fig.text(0.012, 1 - 0.37 / total, subtitle, va="top", color="#555555")
    if legend:
        corner = (0.004, 1 - 0.53 / total)
        key = fig.legend(handles=legend, loc="upper left", bbox_to_anchor=corner, ncols=len(legend), borderpad=0.2)
        key.set_in_layout(False)
    return fig


def panel_title(ax: Axes, title: str, remark: str = "") -> None:
    """A panel's bold title, and what to read off it in plain type on the right."""
    ax.set_title(title, weight="bold")
    if remark:
        ax.set_title(remark, loc="right", color="#555555", size=8)


def log_milliseconds(axis: Axis) -> None:
    """Plain numbers (0.01, 1, 100) on a logarithmic axis of milliseconds."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda *_: ""))
