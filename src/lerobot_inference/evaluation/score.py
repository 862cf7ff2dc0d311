"""Score one episode under every protocol of the plan."""

from __future__ import annotations

import numpy as np

from lerobot_inference.control import make_schedule
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import DatasetError
from lerobot_inference.evaluation.baselines import BaselineInput
from lerobot_inference.evaluation.demonstrations import Demonstrations
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import Deployed, ErrorSum, ProtocolScore, measure_deployed
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.predictions import EpisodePredictions
from lerobot_inference.evaluation.replay import AsDeployed, Stopwatch, replay_as_deployed, replay_every_frame
from lerobot_inference.evaluation.safety_replay import GuardedArm


def score_episode(evaluation: Evaluation, engine: Engine, index: int) -> tuple[EpisodeScore, EpisodePredictions]:
    """Replay one episode. Raises DatasetError, EngineError when it can't be scored."""
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
    arm = GuardedArm.of(evaluation.policy, dataset, plan)
    safety, answers = (None, None) if isinstance(arm, str) else arm.replay(deployed, recorded.states[0])
    score = EpisodeScore(index, score_deployed(recorded, deployed), every, times, safety, evaluation.workers)
    horizon = every.means["horizon_error"].reached if every else None
    return score, EpisodePredictions.of(episode, steps, deployed, horizon, answers)


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
