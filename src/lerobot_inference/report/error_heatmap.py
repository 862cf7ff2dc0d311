"""Absolute error by time and joint, as colour."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lerobot_inference.report.joints import MOST_CALLS, call_key
from lerobot_inference.report.style import CALL, HEATMAP
from lerobot_inference.report.text import MRAD, angle_unit, significant
from lerobot_inference.report.view import EpisodeView
from lerobot_inference.report.wide import LABEL, NUMBERS, Header, panels, text_width
from lerobot_inference.types import FloatArray

MOST_COLUMNS = 1200
"""About as many as there are pixels; more would hide single bad steps."""
ROOT_SCALE = 0.5
"""Exponent of the colour scale: with a linear one a single bad step leaves everything else dark."""
WORST = "#FF4F00"
BAR, BAR_GAP = 0.13, 0.05
"""Inches."""


def draw(view: EpisodeView) -> Figure:
    """Rows are joints in training order; the colour scale ends at the episode's largest error, which is marked."""
    error, data = view.absolute_error, view.data
    unit, joints = angle_unit(error), len(view.joint_names)
    pooled, steps_a_column = pool_columns(error, MOST_COLUMNS)
    start, end = data.timestamps[0], data.timestamps[-1] + view.period_s
    note = f"; each column shows the worst of {steps_a_column} steps" if steps_a_column > 1 else ""
    step, joint = np.unravel_index(int(error.argmax()), error.shape)
    worst = Line2D([], [], color=WORST, lw=0, marker="o", mfc="none", ms=6, label=f"largest: {unit.text(error.max())}")
    names = max(text_width(name, 8) for name in view.joint_names) + 0.2
    means = NUMBERS + LABEL
    fig, ((ax,),) = panels(
        Header(f"Absolute error by time and joint{note}", view.subtitle, [call_key(view, "v"), worst]),
        (1, 1),
        max(0.27 * joints, 0.8),
        left=max(names, 0.3),
        between=0,
        right=means + BAR_GAP + BAR + NUMBERS + LABEL,
    )
    picture = ax.imshow(
        pooled.T * unit.scale,
        aspect="auto",
        interpolation="nearest",
        cmap=HEATMAP,
        norm=PowerNorm(ROOT_SCALE, 0, max(float(error.max()) * unit.scale, 1e-9)),
        extent=(start, end, joints - 0.5, -0.5),
    )
    ax.grid(visible=False)
    ax.hlines(np.arange(joints - 1) + 0.5, start, end, color="white", lw=0.8)
    ax.set_yticks(range(joints), view.joint_names)
    ax.set_xlabel("time in the episode (s)")
    ax.plot(data.timestamps[step] + view.period_s / 2, joint, "o", color=WORST, mfc="none", ms=9, mew=1.4)
    _write_means(ax, view)
    if len(data.chunk_starts) <= MOST_CALLS:
        times, top = data.timestamps[data.chunk_starts], np.ones(len(data.chunk_starts))
        ax.plot(times, top, "v", color=CALL, ms=4, transform=ax.get_xaxis_transform(), clip_on=False)
    place = ax.get_position()
    width = fig.get_figwidth()
    bar = fig.add_axes((place.x1 + (means + BAR_GAP) / width, place.y0, BAR / width, place.height))
    fig.colorbar(picture, cax=bar, label=f"absolute error ({unit.label})")
    return fig


def _write_means(ax: Axes, view: EpisodeView) -> None:
    """Each joint's mean absolute error on the right of its row."""
    means = ax.secondary_yaxis("right")
    means.set_yticks(
        range(len(view.joint_names)), [significant(MRAD.scale * mae) for mae in view.episode.per_joint_mae]
    )
    means.set_ylabel(f"MAE ({MRAD.label})")


def pool_columns(error: FloatArray, most: int) -> tuple[FloatArray, int]:
    """Error (T, A) as at most `most` rows, each the largest of so many steps; also says of how many."""
    size = -(-len(error) // most)
    padding = -len(error) % size
    padded = np.pad(error, ((0, padding), (0, 0)), mode="edge")
    return padded.reshape(-1, size, error.shape[1]).max(axis=1), size
