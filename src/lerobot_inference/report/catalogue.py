"""Which plots there are. Imports matplotlib: import this only to draw.

Another plot is one more file with a `draw`, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from lerobot_inference.report import (
    action_deltas,
    aggregate_summary,
    cumulative_positions,
    error_heatmap,
    summary_panel,
)
from lerobot_inference.report.view import EpisodeView, RunView

EPISODE_PLOTS: Mapping[str, Callable[[EpisodeView], Figure]] = {
    "action_deltas": action_deltas.draw,
    "cumulative_positions": cumulative_positions.draw,
    "error_heatmap": error_heatmap.draw,
    "summary_panel": summary_panel.draw,
}
"""File name -> one picture for each episode."""

RUN_PLOTS: Mapping[str, Callable[[RunView], Figure]] = {"aggregate_summary": aggregate_summary.draw}
"""File name -> one picture for the whole run."""
