"""Draw every plot of a results folder."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from lerobot_inference.errors import require
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.files import atomic_folder
from lerobot_inference.report.drawing import Drawing, draw_all
from lerobot_inference.types import Progress, silent

PLOTS_FOLDER = "plots"


def render_plots(results_folder: Path, output: Path, progress: Progress = silent) -> list[Path]:
    """Write `output/plots` (CONTRACTS: Plots), replacing what was there; return the pictures, the run's own first.

    Many episodes are drawn by several processes. Raises ConfigError when the results can't be read, UsageError
    without matplotlib, LerobotInferenceError when a process dies, StorageError; nothing is written then.
    """
    require("matplotlib", "report")
    episodes = len(load_results(results_folder).per_episode)
    written: list[list[Path]] = []
    with atomic_folder(output / PLOTS_FOLDER) as folder:
        for pictures in draw_all(Drawing(results_folder, folder), episodes):
            progress("plot", len(written), episodes)
            written.append(pictures)
    return [output / PLOTS_FOLDER / picture for picture in chain.from_iterable(written)]
