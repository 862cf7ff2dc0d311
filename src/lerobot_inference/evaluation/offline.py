"""A few steps of one episode: the quick look of scripts/test-lerobot-inference.py."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot_inference.control import make_schedule
from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import DatasetError, UsageError
from lerobot_inference.evaluation.baselines import BaselineInput
from lerobot_inference.evaluation.fit import find_action_mode
from lerobot_inference.evaluation.metrics import Spread
from lerobot_inference.evaluation.predictions import EpisodePredictions
from lerobot_inference.evaluation.replay import Stopwatch, replay_as_deployed
from lerobot_inference.evaluation.results import ErrorFigures, Timing
from lerobot_inference.evaluation.score import score_deployed
from lerobot_inference.evaluation.summary import timing


@dataclass(frozen=True)
class OfflineRun:
    """error: the policy's; hold_still: that of an arm that does not move, on the same steps."""

    predictions: EpisodePredictions
    error: ErrorFigures
    hold_still: ErrorFigures
    timing: Timing
    throughput_hz: float


def select_steps(episode: Episode, start_frame: int, num_steps: int) -> range:
    """The frames from `start_frame` on, at most `num_steps`, as far as recorded actions can be scored.

    Raises DatasetError when the episode ends before start_frame, UsageError for a count below 1.
    """
    if num_steps < 1:
        raise UsageError(f"--num-steps is {num_steps}, expected at least 1")
    if not 0 <= start_frame < episode.scored_length:
        raise DatasetError(
            f"episode {episode.index} has no frame {start_frame} to start at",
            hint=f"choose --start-frame from 0 to {episode.scored_length - 1}",
        )
    return range(start_frame, min(start_frame + num_steps, episode.scored_length))


def run_offline(dataset: Dataset, engine: Engine, episode: Episode, steps: range) -> OfflineRun:
    """Replay `steps` as deployed and score them, with a policy that fits the dataset (see `check_fit`).

    Raises DatasetError, EngineError.
    """
    cold_forward_s = engine.warm_up()
    stopwatch = Stopwatch()
    deployed = replay_as_deployed(episode, steps, engine, make_schedule(engine.spec), stopwatch)
    recorded = BaselineInput.of(episode, steps, dataset, find_action_mode(dataset, [episode.index]))
    score, spread = score_deployed(recorded, deployed), Spread.of(dataset)
    return OfflineRun(
        predictions=EpisodePredictions.of(episode, steps, deployed),
        error=score.error.figures(spread),
        hold_still=score.baselines["hold_still"].figures(spread),
        timing=timing(stopwatch, cold_forward_s, dataset.fps),
        throughput_hz=len(steps) / float(deployed.inference_times.sum()),
    )
