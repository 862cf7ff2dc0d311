"""How much worse a policy does when its pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

from lerobot_inference.control import make_schedule
from lerobot_inference.engine.base import Engine
from lerobot_inference.evaluation.baselines import skill
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import ErrorSum, ProtocolScore, Spread
from lerobot_inference.evaluation.perturbations import Perturbation, PerturbedEpisode
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.replay import Stopwatch, replay_as_deployed
from lerobot_inference.evaluation.results import PerturbedResult
from lerobot_inference.evaluation.statistics import SEED, ratio_interval


def score_perturbed(evaluation: Evaluation, engine: Engine, index: int, perturbation: Perturbation) -> EpisodeScore:
    """Replay one episode as deployed under a perturbation: its error and times alone, for no baseline sees a picture.

    Raises DatasetError, EngineError.
    """
    episode = evaluation.dataset.episode(index)
    steps = range(episode.scored_length)
    perturbed = PerturbedEpisode.of(episode, perturbation, [SEED, index])
    times = Stopwatch()
    deployed = replay_as_deployed(perturbed, steps, engine, make_schedule(engine.spec), times)
    error = ErrorSum.of(deployed.predicted, episode.actions[steps])
    return EpisodeScore(index, ProtocolScore(error, baselines={}, means={}), None, times)


def compare_perturbed(
    perturbed: Sequence[EpisodeScore], undisturbed: Sequence[EpisodeScore], spread: Spread
) -> PerturbedResult:
    """Pool the runs under one perturbation, at least one, and compare with the same episodes without it."""
    by_episode = {score.episode: score.as_deployed for score in undisturbed}
    worse = [score.as_deployed.error for score in perturbed]
    same = [by_episode[score.episode] for score in perturbed]
    error, without = reduce(add, worse).figures(spread), reduce(add, same)
    mse = without.error.figures(spread).mse
    of_best = min(baseline.figures(spread).mse for baseline in without.baselines.values())
    return PerturbedResult(
        error=error,
        skill=skill(error.mse, of_best),
        mse_ratio=error.mse / mse if mse else None,
        interval=ratio_interval([e.squared.pooled for e in worse], [s.error.squared.pooled for s in same]),
    )
