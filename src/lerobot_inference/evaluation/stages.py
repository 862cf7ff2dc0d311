"""The order of an evaluation's work, whoever does it: all episodes as recorded, then under each perturbation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lerobot_inference.engine.base import Engine
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.perturbations import Perturbation
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.results import Failure
from lerobot_inference.evaluation.task import Outcome, Task
from lerobot_inference.types import Progress

type Perform = Callable[[Sequence[Task]], Iterator[Outcome]]
"""Begins to work on tasks and yields the outcome of each, in their order."""


def in_this_process(evaluation: Evaluation, engine: Engine) -> Perform:
    """Perform one task after the other."""
    return lambda tasks: (task.perform(evaluation, engine) for task in tasks)


@dataclass
class Stages:
    """Does one part of the work after the other, and collects what fails. kept: what need not be done again."""

    kept: Mapping[Task, EpisodeScore]
    perform: Perform
    progress: Progress

    def __post_init__(self) -> None:
        self.failures: list[Failure] = []

    def recorded(self, episodes: Sequence[int]) -> list[EpisodeScore]:
        """The scores of these episodes as they were recorded."""
        return self._run("evaluate", [Task(episode) for episode in episodes])

    def perturbed(self, perturbation: Perturbation, scores: Sequence[EpisodeScore]) -> list[EpisodeScore]:
        """The scores under a perturbation, of those episodes that have one without."""
        return self._run(perturbation.name, [Task(score.episode, perturbation) for score in scores])

    def _run(self, name: str, tasks: Sequence[Task]) -> list[EpisodeScore]:
        """The scores of those tasks that don't fail, in order."""
        missing = [task for task in tasks if task not in self.kept]
        before, total = len(tasks) - len(missing), len(tasks)
        self.progress(name, before, total)
        outcomes: dict[Task, Outcome] = dict(self.kept)
        for done, (task, outcome) in enumerate(zip(missing, self.perform(missing), strict=True), start=before + 1):
            outcomes[task] = outcome
            self.progress(name, done, total)
        found = [outcomes[task] for task in tasks]
        self.failures += [outcome for outcome in found if isinstance(outcome, Failure)]
        return [outcome for outcome in found if not isinstance(outcome, Failure)]
