"""Where the predicted actions would take each joint, over where the joint was."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lerobot_inference.report.joints import call_key, draw_series, joint_grid, mark_calls
from lerobot_inference.report.style import PREDICTED, RECORDED, panel_title
from lerobot_inference.report.text import MRAD, RAD, significant
from lerobot_inference.report.view import EpisodeView
from lerobot_inference.types import ActionMode


def draw(view: EpisodeView) -> Figure:
    """Positions in radians. The policy saw the recorded images and states throughout: nothing is fed back."""
    data = view.data
    times, reached = view.predicted_path(0, view.episode.steps)
    delta = view.mode is ActionMode.DELTA
    legend = [
        Line2D([], [], color=RECORDED, lw=1.8, label="measured position"),
        Line2D(
            [],
            [],
            color=PREDICTED,
            lw=1.2,
            label="predicted deltas summed from the measured start pose"
            if delta
            else "predicted target, due one step later",
        ),
        call_key(view),
    ]
    title = "Joint positions reconstructed from the predicted actions (open loop)"
    fig, axes = joint_grid(view, title, f"joint position ({RAD.label})", legend)
    measured_joints = data.states.shape[1]
    for joint, (ax, name) in enumerate(zip(axes, view.joint_names, strict=True)):
        draw_series(ax, times, reached[:, joint], PREDICTED, 1.2, 3)
        mark_calls(ax, view, times, reached[:, joint])
        if joint >= measured_joints:
            panel_title(ax, name, "not measured: displacement, not position" if delta else "not measured")
            continue
        measured = data.states[:, joint]
        draw_series(ax, data.timestamps, measured, RECORDED, 1.8, 2)
        gap = reached[: len(measured), joint] - measured
        panel_title(ax, name, f"gap: end {significant(MRAD.scale * gap[-1])}, largest {MRAD.text(np.abs(gap).max())}")
    return fig
