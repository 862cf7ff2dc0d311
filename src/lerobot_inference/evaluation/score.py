"""Score one episode under every protocol of the plan."""

from __future__ import annotations

import numpy as np

from lerobot_inference.control import make_schedule
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import DatasetError, EngineError
from lerobot_inference.evaluation.baselines import BaselineInput
from lerobot_inference.evaluation.demonstrations import Demonstrations
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import Deployed, ErrorSum, ProtocolScore, measure_deployed
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.replay import AsDeployed, Stopwatch, replay_as_deployed, replay_every_frame
from lerobot_inference.evaluation.results import Failure

type Outcome = EpisodeScore | Failure


def score_episode(evaluation: Evaluation, engine: Engine, index: int) -> Outcome:
    """Replay one episode and save its predictions; what is wrong with the episode is a Failure. Raises StorageError."""
    try:
        score, predictions = _score(evaluation, engine, index)
    except (DatasetError, EngineError) as error:
        return Failure(episode=index, kind=type(error).__name__, message=error.message)
    predictions.save(predictions_path(evaluation.output, index))
    return score


def _score(evaluation: Evaluation, engine: Engine, index: int) -> tuple[EpisodeScore, EpisodePredictions]:
    dataset, plan = evaluation.dataset, evaluation.plan
    episode = dataset.episode(index)
    steps = range(episode.scored_length)
    if not steps:
        raise DatasetError(f"episode {index} has no recorded action to compare with")
    recorded = BaselineInput.of(episode, steps, dataset, plan.action_mode, Demonstrations.of(dataset))
    times = Stopwatch()
    deployed = replay_as_deployed(episode, steps, engine, make_schedule(engine.spec), times)
    every = None
    if plan.every_frame:
        every = replay_every_frame(episode, steps[:: plan.stride], engine, recorded, plan.batch_size)
    score = EpisodeScore(index, score_deployed(recorded, deployed), every, times)
    horizon = every.means["horizon_error"].reached if every else None
    return score, EpisodePredictions.of(episode, steps, deployed, horizon)


def score_deployed(recorded: BaselineInput, deployed: AsDeployed) -> ProtocolScore:
    """Score a run over all of `recorded`; baselines are asked at the frames at which the network was asked."""
    asked_at = deployed.asked_at()
    run = Deployed(
        predicted=deployed.predicted,
        recorded=recorded.actions,
        states=recorded.states,
        chunk_starts=deployed.chunk_starts,
        action_mode=recorded.action_mode,
        fps=recorded.fps,
    )
    return ProtocolScore(
        error=ErrorSum.of(deployed.predicted, recorded.actions),
        baselines=recorded.score(asked_at, np.arange(len(asked_at)) - asked_at),
        means=measure_deployed(run),
    )
