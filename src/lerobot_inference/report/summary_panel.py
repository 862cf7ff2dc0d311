"""One episode on one page: all joints, error spread, latency, error against the best baseline."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lerobot_inference.report.joints import draw_series
from lerobot_inference.report.latency import SHORTEST_MS
from lerobot_inference.report.style import (
    BLACK,
    CALL,
    GREY,
    PREDICTED,
    baseline_look,
    joint_colours,
    panel_title,
    plain_log,
)
from lerobot_inference.report.text import angle_unit, significant
from lerobot_inference.report.view import EpisodeView
from lerobot_inference.report.wide import LABEL, NUMBERS, Header, panels, text_width


def draw(view: EpisodeView) -> Figure:
    """2 x 2 panels."""
    names = max(text_width(name, 8) for name in view.joint_names)
    fig, ((overlay, boxes), (latency, bars)) = panels(
        Header("Episode summary", view.subtitle),
        (2, 2),
        max(2.1, 0.24 * len(view.joint_names)),
        left=NUMBERS + LABEL,
        between=names + 0.3,
    )
    _draw_overlay(overlay, view)
    _draw_boxes(boxes, view)
    _draw_latency(latency, view)
    _draw_bars(bars, view)
    return fig


def _draw_overlay(ax: Axes, view: EpisodeView) -> None:
    data = view.data
    unit = angle_unit([data.predicted, data.ground_truth])
    for joint, colour in enumerate(joint_colours(len(view.joint_names))):
        recorded, predicted = data.ground_truth[:, joint] * unit.scale, data.predicted[:, joint] * unit.scale
        draw_series(ax, data.timestamps, recorded, colour, 2.4, 2, alpha=0.35)
        draw_series(ax, data.timestamps, predicted, colour, 0.9, 3)
    ax.set_xlim(*view.time_limits)
    ax.set_xlabel("time in the episode (s)")
    ax.set_ylabel(f"{view.action_label} ({unit.label})")
    panel_title(ax, "All joints", "thin: predicted, pale: recorded; colours as on the right")


def _draw_boxes(ax: Axes, view: EpisodeView) -> None:
    error = view.absolute_error
    unit = angle_unit(error)
    parts = ax.boxplot(
        error * unit.scale,
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": BLACK},
        manage_ticks=False,
    )
    for box, colour in zip(parts["boxes"], joint_colours(len(view.joint_names)), strict=True):
        box.set(facecolor=colour, alpha=0.6, lw=0.6)
    rows = np.arange(1, error.shape[1] + 1)
    ax.plot(error.max(axis=0) * unit.scale, rows, "|", color=BLACK, ms=6, mew=1.4)
    ax.set_yticks(rows, view.joint_names)
    ax.set_ylim(len(rows) + 0.5, 0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"absolute error ({unit.label})")
    panel_title(ax, "Spread of the error", "box: quartiles, whiskers: 5-95 %, tick: largest")


def _draw_latency(ax: Axes, view: EpisodeView) -> None:
    data, deadline_ms = view.data, 1000 * view.period_s
    milliseconds = np.maximum(1000 * data.inference_times, SHORTEST_MS)
    forward = np.zeros(len(milliseconds), bool)
    forward[data.chunk_starts] = True
    ax.plot(data.timestamps[~forward], milliseconds[~forward], "o", color=GREY, ms=2)
    ax.plot(data.timestamps[forward], milliseconds[forward], "o", color=CALL, ms=4)
    ax.axhline(deadline_ms, color=BLACK, lw=1, ls="--")
    ax.set_yscale("log")
    plain_log(ax.yaxis)
    ax.set_ylim(min(milliseconds.min() / 2, deadline_ms / 50), 12 * max(milliseconds.max(), deadline_ms))
    ax.set_xlim(*view.time_limits)
    ax.set_xlabel("time in the episode (s)")
    ax.set_ylabel("wall time of a step (ms)")
    handles = [
        Line2D([], [], color=CALL, lw=0, marker="o", ms=4, label="network call"),
        Line2D([], [], color=GREY, lw=0, marker="o", ms=2, label="queue pop"),
        Line2D([], [], color=BLACK, lw=1, ls="--", label=f"deadline {significant(deadline_ms)} ms"),
    ]
    ax.legend(handles=handles, loc="upper left", ncols=3, columnspacing=1.2, handletextpad=0.4)
    late = int((1000 * data.inference_times > deadline_ms).sum())
    panel_title(ax, "Latency", f"{late} of {len(milliseconds)} steps over the deadline")


def _draw_bars(ax: Axes, view: EpisodeView) -> None:
    name, theirs = view.best_baseline
    policy, baseline = np.asarray(view.episode.per_joint_mae), np.asarray(theirs)
    unit, rows = angle_unit([policy, baseline]), np.arange(len(policy))
    _, colour = baseline_look(view.results.as_deployed.best_baseline)
    for values, offset, fill in ((policy, -0.2, PREDICTED), (baseline, 0.2, colour)):
        bars = ax.barh(rows + offset, values * unit.scale, height=0.4, color=fill)
        ax.bar_label(bars, [significant(value * unit.scale) for value in values], padding=2, size=6.5, color="#444444")
    ax.set_yticks(rows, view.joint_names)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.12)
    ax.set_xlabel(f"mean absolute error ({unit.label})")
    handles = [Patch(color=PREDICTED, label="policy"), Patch(color=colour, label=f"{name} (best baseline)")]
    panel_title(ax, "Mean error")
    ax.legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=2, borderpad=0)
