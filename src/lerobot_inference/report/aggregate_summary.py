"""The whole run on one page: error by episode, joint and horizon, and the latency distribution."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lerobot_inference.report.column import baseline_key, policy_key
from lerobot_inference.report.latency import BINS_PER_DECADE, wall_times
from lerobot_inference.report.style import (
    BLACK,
    CALL,
    GREY,
    PALE,
    PREDICTED,
    baseline_look,
    panel_title,
    plain_log,
)
from lerobot_inference.report.text import angle_unit, significant
from lerobot_inference.report.view import RunView
from lerobot_inference.report.wide import LABEL, NUMBERS, Header, panels, text_width

MOST_LABELS = 20
FEWEST_PLACES = 8


def draw(view: RunView) -> Figure:
    """2 x 2 panels, as-deployed protocol but for the horizon."""
    legend = [policy_key(), *(baseline_key(name, line=False) for name in view.results.as_deployed.baselines)]
    names = max(text_width(name, 8) for name in view.joint_names)
    fig, ((episodes, joints), (horizon, latency)) = panels(
        Header("Evaluation summary", view.subtitle, legend),
        (2, 2),
        max(2.1, 0.24 * len(view.joint_names)),
        left=NUMBERS + LABEL,
        between=max(names, NUMBERS + LABEL) + 0.3,
    )
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
    for name, values in baselines.items():
        marker, colour = baseline_look(name)
        ax.plot(values * unit.scale, rows, marker, color=colour, ms=5)
    ax.hlines(rows, 0, policy * unit.scale, color=PREDICTED, lw=2)
    ax.plot(policy * unit.scale, rows, "o", color=PREDICTED, ms=6, clip_on=False, zorder=3)
    ax.set_yticks(rows, view.joint_names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"mean absolute error ({unit.label})")
    panel_title(ax, "Error by joint", "markers: see above")


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
    calls, pops = wall_times(view)
    groups = [pops, calls]
    both = np.concatenate(groups)
    low, high = np.log10(min(both.min(), deadline_ms / 50)) - 0.15, np.log10(max(both.max(), deadline_ms)) + 0.3
    edges = np.logspace(low, high, max(8, round((high - low) * BINS_PER_DECADE)))
    ax.hist(groups, edges.tolist(), stacked=True, color=[GREY, CALL])
    ax.axvline(deadline_ms, color=BLACK, lw=1, ls="--")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0.7)
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
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
