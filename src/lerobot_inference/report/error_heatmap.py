"""Absolute error by time and joint, as colour."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lerobot_inference.report.joints import MOST_CALLS, call_key
from lerobot_inference.report.style import CALL, HEATMAP, figure
from lerobot_inference.report.text import MRAD, angle_unit, significant
from lerobot_inference.report.view import EpisodeView
from lerobot_inference.types import FloatArray

MOST_COLUMNS = 1200
"""About as many as there are pixels; more would hide single bad steps."""


def draw(view: EpisodeView) -> Figure:
    """Rows are joints in training order; the colour scale ends at the episode's largest error."""
    error, data = view.absolute_error, view.data
    unit, joints = angle_unit(error), len(view.joint_names)
    pooled, steps_a_column = pool_columns(error, MOST_COLUMNS)
    start, end = data.timestamps[0], data.timestamps[-1] + view.period_s
    note = f"; each column shows the worst of {steps_a_column} steps" if steps_a_column > 1 else ""
    fig = figure(
        max(0.27 * joints + 1.1, 2.1), f"Absolute error by time and joint{note}", view.subtitle, [call_key(view, "v")]
    )
    ax = fig.subplots()
    picture = ax.imshow(
        pooled.T * unit.scale,
        aspect="auto",
        interpolation="nearest",
        cmap=HEATMAP,
        vmin=0,
        vmax=max(float(error.max()) * unit.scale, 1e-9),
        extent=(start, end, joints - 0.5, -0.5),
    )
    ax.grid(visible=False)
    ax.set_yticks(range(joints), view.joint_names)
    ax.set_xlabel("time in the episode (s)")
    means = ax.secondary_yaxis("right")
    means.set_yticks(range(joints), [significant(MRAD.scale * mae) for mae in view.episode.per_joint_mae])
    means.set_ylabel(f"MAE ({MRAD.label})")
    if len(data.chunk_starts) <= MOST_CALLS:
        times, top = data.timestamps[data.chunk_starts], np.ones(len(data.chunk_starts))
        ax.plot(times, top, "v", color=CALL, ms=4, transform=ax.get_xaxis_transform(), clip_on=False)
    fig.colorbar(picture, ax=ax, pad=0.015, label=f"absolute error ({unit.label})")
    return fig


def pool_columns(error: FloatArray, most: int) -> tuple[FloatArray, int]:
    """Error (T, A) as at most `most` rows, each the largest of so many steps; also says of how many."""
    size = -(-len(error) // most)
    padding = -len(error) % size
    padded = np.pad(error, ((0, padding), (0, 0)), mode="edge")
    return padded.reshape(-1, size, error.shape[1]).max(axis=1), size
