"""Each joint's predicted action over the recorded one, with a dot at each network call."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lerobot_inference.report.joints import call_key, draw_series, joint_grid, mark_calls
from lerobot_inference.report.style import PREDICTED, RECORDED, panel_title
from lerobot_inference.report.text import MRAD, angle_unit
from lerobot_inference.report.view import EpisodeView


def draw(view: EpisodeView) -> Figure:
    """Actions as the policy gives them: deltas per step, or absolute targets."""
    data = view.data
    unit = angle_unit([data.predicted, data.ground_truth])
    legend = [
        Line2D([], [], color=RECORDED, lw=1.8, label="recorded"),
        Line2D([], [], color=PREDICTED, lw=1.2, label="predicted"),
        call_key(view),
    ]
    title = "Actions, predicted and recorded"
    fig, axes = joint_grid(view, title, f"{view.action_label} ({unit.label})", legend)
    for joint, (ax, name) in enumerate(zip(axes, view.joint_names, strict=True)):
        truth, predicted = data.ground_truth[:, joint] * unit.scale, data.predicted[:, joint] * unit.scale
        draw_series(ax, data.timestamps, truth, RECORDED, 1.8, 2)
        draw_series(ax, data.timestamps, predicted, PREDICTED, 1.2, 3)
        mark_calls(ax, view, data.timestamps, predicted)
        panel_title(ax, name, f"MAE {MRAD.text(view.episode.per_joint_mae[joint])}")
    return fig
