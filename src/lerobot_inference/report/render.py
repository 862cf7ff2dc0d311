"""Draw every plot of a results folder."""

from __future__ import annotations

from pathlib import Path

from lerobot_inference.errors import require
from lerobot_inference.evaluation.results_folder import load_predictions, load_results
from lerobot_inference.files import atomic_folder
from lerobot_inference.types import Progress, silent

PLOTS_FOLDER = "plots"


def render_plots(results_folder: Path, output: Path, progress: Progress = silent) -> list[Path]:
    """Write `output/plots` (CONTRACTS: Plots), replacing what was there; return the pictures, the run's own first.

    Raises ConfigError when the results can't be read, UsageError without matplotlib, StorageError; nothing is
    written then.
    """
    require("matplotlib", "report")
    from lerobot_inference.report.catalogue import EPISODE_PLOTS, RUN_PLOTS
    from lerobot_inference.report.style import styled
    from lerobot_inference.report.view import EpisodeView, RunView

    results = load_results(results_folder)
    episodes = [
        EpisodeView(results, episode, load_predictions(results_folder, results, episode))
        for episode in results.per_episode
    ]
    run = RunView(results, [view.data for view in episodes])
    written: list[Path] = []
    with atomic_folder(output / PLOTS_FOLDER) as folder, styled():
        for name, draw_run in RUN_PLOTS.items():
            written.append(Path(f"{name}.png"))
            draw_run(run).savefig(folder / written[-1])
        for done, view in enumerate(episodes):
            progress("plot", done, len(episodes))
            inner = Path(f"episode_{view.episode.episode:03d}")
            (folder / inner).mkdir()
            for name, draw_episode in EPISODE_PLOTS.items():
                written.append(inner / f"{name}.png")
                draw_episode(view).savefig(folder / written[-1])
        progress("plot", len(episodes), len(episodes))
    return [output / PLOTS_FOLDER / path for path in written]
