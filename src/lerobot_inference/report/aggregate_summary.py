"""The whole run on one page: error by episode, joint and horizon, and the latency distribution."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lerobot_inference.report.style import (
    BLACK,
    CALL,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PREDICTED,
    PURPLE,
    SKY,
    figure,
    log_milliseconds,
    panel_title,
)
from lerobot_inference.report.summary_panel import SHORTEST_MS
from lerobot_inference.report.text import angle_unit, significant
from lerobot_inference.report.view import RunView

MOST_LABELS = 20
FEWEST_PLACES = 8
BINS_PER_DECADE = 12
BASELINE_MARKERS = (("s", GREY), ("^", ORANGE), ("D", GREEN), ("v", PURPLE), ("P", SKY))


def draw(view: RunView) -> Figure:
    """2 x 2 panels, as-deployed protocol but for the horizon."""
    height = 2 * max(2.9, 0.24 * len(view.joint_names) + 0.9)
    fig = figure(height, "Evaluation summary", view.subtitle)
    (episodes, joints), (horizon, latency) = fig.subplots(2, 2)
    _draw_episodes(episodes, view)
    _draw_joints(joints, view)
    _draw_horizon(horizon, view)
    _draw_latency(latency, view)
    return fig


def _draw_episodes(ax: Axes, view: RunView) -> None:
    results = view.results
    mae = np.asarray([episode.mae for episode in results.per_episode])
    unit, places = angle_unit(mae), np.arange(len(mae))
    ax.bar(places, mae * unit.scale, width=0.8, color=PREDICTED)
    ax.axhline(results.aggregate_mae * unit.scale, color=BLACK, lw=1, ls="--")
    shown = places[:: -(-len(mae) // MOST_LABELS)]
    ax.set_xticks(shown, [str(results.per_episode[place].episode) for place in shown])
    room = max(0.7, (FEWEST_PLACES - len(mae)) / 2)
    ax.set_xlim(-room, len(mae) - 1 + room)
    ax.grid(visible=False, axis="x")
    ax.set_xlabel("episode")
    ax.set_ylabel(f"mean absolute error ({unit.label})")
    panel_title(ax, "Error by episode", f"dashed: all steps pooled, {unit.text(results.aggregate_mae)}")


def _draw_joints(ax: Axes, view: RunView) -> None:
    protocol = view.results.as_deployed
    rows = np.arange(len(view.joint_names))
    baselines = {name: np.asarray(figures.per_joint_mae) for name, figures in protocol.baselines.items()}
    policy = np.asarray(protocol.error.per_joint_mae)
    unit = angle_unit([policy, *baselines.values()])
    for (name, values), (marker, colour) in zip(baselines.items(), BASELINE_MARKERS, strict=False):
        ax.plot(values * unit.scale, rows, marker, color=colour, ms=5, label=name.replace("_", " "))
    ax.hlines(rows, 0, policy * unit.scale, color=PREDICTED, lw=2)
    ax.plot(policy * unit.scale, rows, "o", color=PREDICTED, ms=6, label="policy", clip_on=False, zorder=3)
    ax.set_yticks(rows, view.joint_names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"mean absolute error ({unit.label})")
    panel_title(ax, "Error by joint")
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(baselines) + 1,
        fontsize=7.5,
        borderpad=0,
        columnspacing=0.9,
        handlelength=1.2,
        handletextpad=0.2,
    )


def _draw_horizon(ax: Axes, view: RunView) -> None:
    results = view.results
    every_frame = results.protocols.get("every_frame")
    if every_frame is None or not every_frame.horizon_mae:
        why = results.reasons.get("protocols.every_frame", "not in these results")
        ax.text(0.5, 0.5, f"every-frame protocol: {why}", transform=ax.transAxes, ha="center", color=GREY)
        ax.set(xticks=[], yticks=[])
        panel_title(ax, "Error by step within the chunk")
        return
    pooled = np.asarray(every_frame.horizon_mae)
    curves = [data.horizon_mae for data in view.episodes if data.horizon_mae.size]
    unit = angle_unit(np.concatenate([pooled, *curves]))
    for curve in curves:
        ax.plot(np.arange(len(curve)), curve * unit.scale, color=PALE, lw=0.8, zorder=2)
    ax.plot(np.arange(len(pooled)), pooled * unit.scale, color=PREDICTED, lw=1.8, zorder=3, marker="o", ms=2.5)
    ax.axvline(results.n_action_steps - 0.5, color=BLACK, lw=1, ls="--")
    ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    ax.set_xlabel("step within the chunk (0: the frame the chunk was predicted from)")
    ax.set_ylabel(f"mean absolute error ({unit.label})")
    handles = [
        Line2D([], [], color=PREDICTED, lw=1.8, label="all episodes"),
        Line2D([], [], color=PALE, lw=0.8, label="each episode"),
        Line2D([], [], color=BLACK, lw=1, ls="--", label="executed up to here"),
    ]
    ax.legend(handles=handles, loc="best", frameon=True, framealpha=0.9, edgecolor="none")
    panel_title(ax, "Error by step within the chunk", f"{results.n_action_steps} of {results.chunk_size} are executed")


def _draw_latency(ax: Axes, view: RunView) -> None:
    deadline_ms = view.results.timing.deadline_ms
    calls, pops = [], []
    for data in view.episodes:
        forward = np.zeros(len(data.inference_times), bool)
        forward[data.chunk_starts] = True
        calls.append(1000 * data.inference_times[forward])
        pops.append(1000 * data.inference_times[~forward])
    groups = [np.maximum(np.concatenate(group), SHORTEST_MS) for group in (pops, calls)]
    both = np.concatenate(groups)
    low, high = np.log10(min(both.min(), deadline_ms / 50)) - 0.15, np.log10(max(both.max(), deadline_ms)) + 0.3
    edges = np.logspace(low, high, max(8, round((high - low) * BINS_PER_DECADE)))
    ax.hist(groups, edges.tolist(), stacked=True, color=[GREY, CALL])
    ax.axvline(deadline_ms, color=BLACK, lw=1, ls="--")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0.7)
    log_milliseconds(ax.xaxis)
    log_milliseconds(ax.yaxis)
    ax.set_xlabel("wall time of a step (ms)")
    ax.set_ylabel("steps")
    handles = [
        Patch(color=CALL, label="network call"),
        Patch(color=GREY, label="queue pop"),
        Line2D([], [], color=BLACK, lw=1, ls="--", label=f"deadline {significant(deadline_ms)} ms"),
    ]
    ax.legend(handles=handles, loc="upper center", frameon=True, framealpha=0.9, edgecolor="none")
    late = int((both > deadline_ms).sum())
    panel_title(ax, "Latency", f"{late} of {len(both)} steps over the deadline")
