"""The unit of work of an evaluation: one episode, as recorded or under a perturbation. Done once, and kept on disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import ConfigError, DatasetError, EngineError
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.perturbations import Perturbation
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results import SCORES_FOLDER, Failure
from lerobot_inference.evaluation.robustness import score_perturbed
from lerobot_inference.evaluation.score import score_episode

log = logging.getLogger(__name__)

type Outcome = EpisodeScore | Failure


@dataclass(frozen=True)
class Task:
    """One episode to be scored; perturbation: None is as it was recorded, under every protocol of the plan."""

    episode: int
    perturbation: Perturbation | None = None

    def perform(self, evaluation: Evaluation, engine: Engine) -> Outcome:
        """Score the episode and keep the score on disk; what is wrong with the episode is a Failure.

        The score is written last: where it is, the predictions are. Raises StorageError.
        """
        try:
            score, predictions = self._score(evaluation, engine)
        except (DatasetError, EngineError) as error:
            return self.failure(type(error).__name__, error.message)
        if predictions:
            predictions.save(predictions_path(evaluation.output, self.episode))
        score.save(self.score_path(evaluation.output))
        return score

    def failure(self, kind: str, message: str) -> Failure:
        """Why it has no score."""
        under = f"under {self.perturbation.name}: " if self.perturbation else ""
        return Failure(episode=self.episode, kind=kind, message=under + message)

    def kept(self, output: Path) -> EpisodeScore | None:
        """The score that `perform` left in the results folder; None: it did not, or what it left is damaged."""
        if not self.score_path(output).exists():
            return None
        try:
            return self.load(output)
        except ConfigError as error:
            log.warning("episode %d is done again: %s", self.episode, error.message)
            return None

    def load(self, output: Path) -> EpisodeScore:
        """The score that `perform` left in the results folder. Raises ConfigError: it did not, or that is damaged."""
        if not self.perturbation:
            EpisodePredictions.load(predictions_path(output, self.episode))
        return EpisodeScore.load(self.score_path(output))

    def score_path(self, output: Path) -> Path:
        """scores/ep000.npz, or scores/jpeg_50/ep000.npz."""
        folder = output / SCORES_FOLDER / (self.perturbation.name.replace(":", "_") if self.perturbation else "")
        return folder / f"ep{self.episode:03d}.npz"

    def _score(self, evaluation: Evaluation, engine: Engine) -> tuple[EpisodeScore, EpisodePredictions | None]:
        if self.perturbation:
            return score_perturbed(evaluation, engine, self.episode, self.perturbation), None
        return score_episode(evaluation, engine, self.episode)


def all_tasks(plan: EvaluationPlan) -> list[Task]:
    """Every episode as recorded, then every episode under the first perturbation, and so on."""
    return [Task(episode, each) for each in (None, *plan.perturbations) for episode in plan.episodes]
