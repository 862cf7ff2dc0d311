"""Score one episode under every protocol of the plan."""

from __future__ import annotations

from lerobot_inference.control import make_schedule
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import DatasetError, EngineError
from lerobot_inference.evaluation.baselines import BASELINES, BaselineInput
from lerobot_inference.evaluation.metrics import ErrorSum
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.replay import AsDeployed, Stopwatch, replay_as_deployed, replay_every_frame
from lerobot_inference.evaluation.results import Failure
from lerobot_inference.evaluation.summary import EpisodeScore

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
    recorded = BaselineInput.of(episode, steps, dataset, plan.action_mode)
    times = Stopwatch()
    deployed = replay_as_deployed(episode, steps, engine, make_schedule(engine.spec), times)
    every = None
    if plan.every_frame:
        every = replay_every_frame(episode, steps[:: plan.stride], engine, recorded, plan.batch_size)
    score = EpisodeScore(
        episode=index,
        as_deployed=ErrorSum.of(deployed.predicted, recorded.actions),
        baselines=_score_baselines(recorded, deployed),
        times=times,
        every_frame=every,
    )
    return score, EpisodePredictions.of(episode, steps, deployed, every.horizon_mae if every else None)


def _score_baselines(episode: BaselineInput, deployed: AsDeployed) -> dict[str, ErrorSum]:
    """Ask each baseline at the frames at which the network was asked, and hold its answer in between."""
    asked_at = deployed.asked_at()
    return {name: ErrorSum.of(baseline(episode)[asked_at], episode.actions) for name, baseline in BASELINES.items()}
