"""Which plots there are. Imports matplotlib: import this only to draw.

Another plot is one more file with a `draw`, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.report import (
    action_deltas,
    aggregate_summary,
    border_jumps,
    cumulative_positions,
    error_by_horizon,
    error_heatmap,
    joint_errors,
    latency,
    robustness,
    safety_replay,
    summary_panel,
    worst_episodes,
)
from lerobot_inference.report.view import EpisodeView, RunView

EPISODE_PLOTS: Mapping[str, Callable[[EpisodeView], Figure]] = {
    "action_deltas": action_deltas.draw,
    "cumulative_positions": cumulative_positions.draw,
    "error_heatmap": error_heatmap.draw,
    "summary_panel": summary_panel.draw,
}
"""File name -> one picture for each episode."""

RUN_PLOTS: Mapping[str, Callable[[RunView], Figure]] = {
    "aggregate_summary": aggregate_summary.draw,
    "error_by_horizon": error_by_horizon.draw,
    "joint_errors": joint_errors.draw,
    "border_jumps": border_jumps.draw,
    "latency": latency.draw,
    "worst_episodes": worst_episodes.draw,
    "safety_replay": safety_replay.draw,
    "robustness": robustness.draw,
}
"""File name -> one picture for the whole run."""


def run_plots(results: EvalResults) -> dict[str, Callable[[RunView], Figure]]:
    """Those of RUN_PLOTS that these results have: robustness only where pictures were worsened."""
    return {name: draw for name, draw in RUN_PLOTS.items() if name != "robustness" or results.robustness}
