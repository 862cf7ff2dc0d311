"""Where the robot's guards would step in."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lerobot_inference.control import Severity
from lerobot_inference.evaluation.results import SafetyReplay
from lerobot_inference.report.column import column_figure, missing
from lerobot_inference.report.style import GREY, ORANGE, PALE, PURPLE, VERMILION
from lerobot_inference.report.view import RunView
from lerobot_inference.types import IntArray

TITLE = "Safety replay"
AS_ASKED, SLOWED, HELD, OFF, LATCHED = range(5)
LOOKS = {
    "as asked": PALE,
    "slowed down": ORANGE,
    "held": PURPLE,
    "control off": GREY,
    "latched": VERMILION,
}
"""What became of a step, by the numbers above."""
OF_SEVERITY = {
    Severity.ACCEPT: AS_ASKED,
    Severity.WARN: AS_ASKED,
    Severity.SCALE: SLOWED,
    Severity.HOLD: HELD,
    Severity.REJECT: HELD,
    Severity.DISARM: OFF,
    Severity.LATCH: LATCHED,
}
ROW = 0.16
"""Inches."""
TALLEST = 4.0
MOST_NAMED = 24
"""Episodes that get a row with a number."""


def draw(view: RunView) -> Figure:
    """A row an episode, from its first step on: what the guards made of each of the policy's commands."""
    safety = view.results.safety_replay
    if safety is None:
        return missing(view, TITLE, view.why("safety_replay"))
    rows = timeline([data.safety for data in view.episodes])
    numbers = [episode.episode for episode in view.results.per_episode]
    legend = [Patch(color=colour, label=label) for label, colour in LOOKS.items()]
    fig = column_figure(view, min(TALLEST, max(1.2, ROW * len(rows) + 0.5)), TITLE, _remark(safety), legend)
    ax = fig.subplots()
    ax.imshow(
        rows,
        cmap=ListedColormap(list(LOOKS.values())).with_extremes(under="white"),
        vmin=0,
        vmax=len(LOOKS) - 1,
        aspect="auto",
        interpolation="nearest",
        extent=(0, rows.shape[1] / view.results.fps, len(rows) - 0.5, -0.5),
    )
    if len(rows) <= MOST_NAMED:
        ax.set_yticks(range(len(rows)), [str(number) for number in numbers])
        ax.hlines(np.arange(1, len(rows)) - 0.5, 0, rows.shape[1] / view.results.fps, color="white", lw=1)
        ax.set_ylabel("episode")
    else:
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set_ylabel("place of the episode")
    ax.grid(visible=False)
    ax.set_xlabel("seconds since the episode's first step")
    return fig


def timeline(answers: list[IntArray]) -> IntArray:
    """(episodes, longest) numbers of LOOKS, -1 after an episode's end. answers: Severity's numbers."""
    rows = np.full((len(answers), max(map(len, answers))), -1, np.int64)
    for row, each in zip(rows, answers, strict=True):
        row[: len(each)] = [OF_SEVERITY[Severity(number)] for number in each.tolist()]
    return rows


def _remark(safety: SafetyReplay) -> str:
    spoke = ", ".join(f"{name} {found.ticks}" for name, found in safety.guards.items() if found.ticks)
    return (
        f"As deployed, through the robot's guards; {safety.stopped_episodes} episodes stopped, of {safety.ticks} ticks "
        f"{safety.scaled_ticks} slowed down and {safety.held_ticks} held; {spoke or 'no guard spoke'}"
    )
