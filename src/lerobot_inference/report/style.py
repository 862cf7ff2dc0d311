"""One look for every figure: colours, sizes of type, labels of axes and panels."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Okabe and Ito's palette, told apart with any colour vision: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY, PALE = "#CC79A7", "#56B4E9", "#222222", "#8A8A8A", "#D9D9D9"

PREDICTED, RECORDED, CALL = BLUE, BLACK, VERMILION
JOINT_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK)
HEATMAP = "viridis"

BASELINES = {
    "hold_still": ("s", GREY),
    "repeat_last": ("^", ORANGE),
    "dataset_mean": ("D", GREEN),
    "nearest_neighbour": ("v", PURPLE),
}
"""Marker and colour of each baseline, in every figure."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.parse_math": False,  # names are names, whatever dollars are in them
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
    "axes.formatter.limits": (-9, 9),
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
    "savefig.dpi": "figure",
}


def styled() -> AbstractContextManager[None]:
    """Draw within this."""
    return rc_context(STYLE)  # type: ignore[arg-type]  # the stubs want each key as a literal


def joint_colours(joints: int) -> list[str]:
    """One colour a joint: the palette while it lasts, then evenly spaced along a perceptually uniform map."""
    if joints <= len(JOINT_COLOURS):
        return list(JOINT_COLOURS[:joints])
    return [to_hex(colormaps[HEATMAP](x)) for x in np.linspace(0, 0.93, joints)]


def baseline_look(name: str) -> tuple[str, str]:
    """Marker and colour of a baseline."""
    return BASELINES.get(name, ("P", SKY))


def panel_title(ax: Axes, title: str, remark: str = "") -> None:
    """A panel's bold title, and what to read off it in plain type on the right."""
    ax.set_title(title, weight="bold")
    if remark:
        ax.set_title(remark, loc="right", color="#555555", size=8)


def plain_log(axis: Axis) -> None:
    """Plain numbers (0.01, 1, 100) at some powers of ten of a logarithmic axis, and nothing between them."""
    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
