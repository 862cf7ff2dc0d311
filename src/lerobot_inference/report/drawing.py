"""Draw the pictures of a results folder, in this process or in several."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_inference.engine.base import available_cores
from lerobot_inference.errors import LerobotInferenceError
from lerobot_inference.evaluation.predictions import EpisodePredictions
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_predictions, load_results
from lerobot_inference.processes import worker_processes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPISODES_A_WORKER = 3
"""What makes a process worth starting: importing matplotlib takes about as long as drawing these."""
COMPRESSION = 3
"""Of PNG, by zlib's scale; 6 takes longer and saves two per cent."""
OBJECTS_A_COLLECTION = 50_000
"""Those of about one figure."""


@dataclass(frozen=True)
class Drawing:
    """Reads a results folder as it is needed, and draws into `folder`."""

    results_folder: Path
    folder: Path

    def draw_run(self) -> list[Path]:
        """Draw what shows the whole run. Returns the pictures, relative to `folder`."""
        from lerobot_inference.report.catalogue import run_plots
        from lerobot_inference.report.view import RunView

        view = RunView(self._results, [self._data(place) for place in range(len(self._results.per_episode))])
        return [self._save(draw, view, Path(name)) for name, draw in run_plots(self._results).items()]

    def draw_episode(self, place: int) -> list[Path]:
        """Draw the episode at this place in the results. Returns the pictures, relative to `folder`."""
        from lerobot_inference.report.catalogue import EPISODE_PLOTS
        from lerobot_inference.report.view import EpisodeView

        episode = self._results.per_episode[place]
        view = EpisodeView(self._results, episode, self._data(place))
        inner = Path(f"episode_{episode.episode:03d}")
        (self.folder / inner).mkdir()
        return [self._save(draw, view, inner / name) for name, draw in EPISODE_PLOTS.items()]

    @cached_property
    def _results(self) -> EvalResults:
        return load_results(self.results_folder)

    def _data(self, place: int) -> EpisodePredictions:
        return load_predictions(self.results_folder, self._results, self._results.per_episode[place])

    def _save[View](self, draw: Callable[[View], Figure], view: View, name: Path) -> Path:
        from lerobot_inference.report.style import styled

        picture = name.with_name(f"{name.name}.png")
        with styled():
            draw(view).savefig(self.folder / picture, pil_kwargs={"compress_level": COMPRESSION})
        return picture


def draw_all(drawing: Drawing, episodes: int) -> Iterator[list[Path]]:
    """Draw everything; yield the pictures of the run, then of each episode as it is done, in the results' order.

    Raises what drawing raises, LerobotInferenceError when a worker process dies.
    """
    workers = min(available_cores(), episodes // EPISODES_A_WORKER)
    if workers <= 1:
        yield drawing.draw_run()
        yield from map(drawing.draw_episode, range(episodes))
        return
    died = LerobotInferenceError(
        f"one of {workers} processes that draw died: it was killed, or the memory was used up",
        hint="free some memory, then run again",
    )
    with worker_processes(workers, died, _begin, drawing) as pool:
        run = pool.submit(_draw_run)
        drawn = pool.map(_draw_episode, range(episodes))
        yield run.result()
        yield from drawn


_drawing: Drawing  # in a worker process


def _begin(drawing: Drawing) -> None:
    """Prepare a worker process."""
    import lerobot_inference.report.catalogue  # noqa: F401

    # Figures are full of cycles: as it is set, the collector walks through all of matplotlib several times in each.
    gc.freeze()
    gc.set_threshold(OBJECTS_A_COLLECTION, 10, 10)
    global _drawing
    _drawing = drawing


def _draw_run() -> list[Path]:
    return _drawing.draw_run()


def _draw_episode(place: int) -> list[Path]:
    return _drawing.draw_episode(place)
