"""How long a control step waits for the policy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lerobot_inference.report.column import SMALLEST, column_figure
from lerobot_inference.report.style import BLACK, CALL, GREY, PURPLE, plain_log
from lerobot_inference.report.text import significant
from lerobot_inference.report.view import RunView
from lerobot_inference.types import TimeArray

SHORTEST_MS = 1e-4
"""Below the clock's resolution; a logarithmic axis has no zero."""
BINS_PER_DECADE = 12
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
DASHES = {"p50": "-", "p95": "--", "p99": "-.", "max": ":"}


def draw(view: RunView) -> Figure:
    """Network calls above, queue pops below, on one logarithmic axis that holds all of them and the deadline."""
    timing = view.results.timing
    calls, pops = wall_times(view)
    deadline, cold = timing.deadline_ms, timing.cold_forward_ms
    everything = np.concatenate([calls, pops, [deadline, cold]])
    low, high = np.log10(max(everything.min(), SHORTEST_MS)) - 0.15, np.log10(everything.max()) + 0.15
    edges = np.logspace(low, high, max(8, round((high - low) * BINS_PER_DECADE)))
    legend = [
        Line2D([], [], color=BLACK, lw=1.3, label=f"deadline {significant(deadline)} ms"),
        Line2D([], [], color=PURPLE, lw=0, marker="X", ms=5, label=f"first call, cold: {significant(cold)} ms"),
        *(Line2D([], [], color="#555555", lw=0.9, ls=DASHES[name], label=name) for name in PERCENTILES),
    ]
    late = f"{timing.deadline_misses} of {len(calls) + len(pops)} steps over the deadline"
    fig = column_figure(view, 2.5, "Wall time of a control step", f"As deployed, {view.machine}; {late}", legend, 2)
    above, below = fig.subplots(2, 1, sharex=True)
    _draw_kind(above, "network calls", calls, edges, CALL)
    _draw_kind(below, "queue pops", pops, edges, GREY)
    above.plot(cold, 0.06, "X", color=PURPLE, ms=5, transform=above.get_xaxis_transform(), zorder=4)
    for ax in (above, below):
        ax.axvline(deadline, color=BLACK, lw=1.3)
    below.set_xscale("log")
    below.set_xlim(edges[0], edges[-1])
    plain_log(below.xaxis)
    below.set_xlabel("wall time (ms)")
    return fig


def wall_times(view: RunView) -> tuple[TimeArray, TimeArray]:
    """Milliseconds of all steps that called the network, and of those that took an action from the queue."""
    calls, pops = [], []
    for data in view.episodes:
        forward = np.zeros(len(data.inference_times), bool)
        forward[data.chunk_starts] = True
        calls.append(1000 * data.inference_times[forward])
        pops.append(1000 * data.inference_times[~forward])
    return np.maximum(np.concatenate(calls), SHORTEST_MS), np.maximum(np.concatenate(pops), SHORTEST_MS)


def _draw_kind(ax: Axes, kind: str, milliseconds: TimeArray, edges: TimeArray, colour: str) -> None:
    ax.set_ylabel(kind)
    if not len(milliseconds):
        ax.text(0.5, 0.5, "none: the network is called at every step", transform=ax.transAxes, ha="center", size=8)
        return
    ax.hist(milliseconds, edges.tolist(), color=colour)
    marks = dict(zip(PERCENTILES, np.percentile(milliseconds, list(PERCENTILES.values())), strict=True))
    for name, value in marks.items():
        ax.axvline(value, color="#555555", lw=0.9, ls=DASHES[name])
    ax.set_title(", ".join(f"{name} {_text(value)}" for name, value in marks.items()), size=SMALLEST)


def _text(milliseconds: float) -> str:
    return f"{significant(milliseconds)} ms" if milliseconds >= 0.1 else f"{significant(1000 * milliseconds)} µs"
