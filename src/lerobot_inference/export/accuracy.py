"""What a lower precision costs, measured on recorded episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from lerobot_inference.checkpoint.bundle import Accuracy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import DatasetError, EngineError
from lerobot_inference.evaluation.baselines import BaselineInput
from lerobot_inference.evaluation.replay import replay_every_frame
from lerobot_inference.types import ActionMode, Precision, Progress, silent

MOST_EPISODES = 20
MOST_FRAMES = 200
BATCH_SIZE = 8
LIMITS: Mapping[Precision, float] = {Precision.BF16: 0.01, Precision.INT8: 0.02}
"""By how much a precision may change the mean absolute error before it must be forced."""


@dataclass(frozen=True)
class Yardstick:
    """Frames spread over a dataset, from each of which a chunk is predicted and compared with what was recorded.

    episodes: index -> every how many of its frames.
    """

    dataset: Dataset
    action_mode: ActionMode
    episodes: Mapping[int, range]

    @classmethod
    def over(
        cls,
        dataset: Dataset,
        action_mode: ActionMode,
        most_frames: int = MOST_FRAMES,
        most_episodes: int = MOST_EPISODES,
    ) -> Yardstick:
        """About so many frames of up to so many episodes, spread. Raises DatasetError when nothing can be scored."""
        indices = dataset.episode_indices
        count = min(len(indices), most_episodes)
        chosen = [indices[k * len(indices) // count] for k in range(count)]
        lengths = {index: dataset.episode(index).scored_length for index in chosen}
        stride = max(1, math.ceil(sum(lengths.values()) / most_frames))
        steps = {index: range(0, length, stride) for index, length in lengths.items() if length}
        if not steps:
            raise DatasetError(f"{dataset.root}: no episode has a recorded action to compare with")
        return cls(dataset, action_mode, steps)

    @property
    def frames(self) -> int:
        """How many chunks are predicted."""
        return sum(len(steps) for steps in self.episodes.values())

    def mae(self, engine: Engine, progress: Progress = silent) -> float:
        """Mean absolute error of the engine's chunks, radians. Raises DatasetError, EngineError."""
        sums = []
        for done, (index, steps) in enumerate(self.episodes.items()):
            progress(f"accuracy in {engine.precision}", done, len(self.episodes))
            episode = self.dataset.episode(index)
            recorded = BaselineInput.of(episode, range(episode.scored_length), self.dataset, self.action_mode)
            sums.append(replay_every_frame(episode, steps, engine, recorded, BATCH_SIZE).error)
        progress(f"accuracy in {engine.precision}", len(self.episodes), len(self.episodes))
        return float(reduce(add, sums).absolute.pooled.value)


def measure_accuracy(
    engine: Engine, exact: Engine, yardstick: Yardstick, *, force: bool, progress: Progress = silent
) -> Accuracy:
    """Compare an engine of a lower precision with the same in f32.

    Raises EngineError, with the figures, when the error changes by more than the precision's limit and it isn't forced.
    """
    mae_f32, mae = (yardstick.mae(each, progress) for each in (exact, engine))
    precision, limit = engine.precision, LIMITS[engine.precision]
    change = mae / mae_f32 - 1 if mae_f32 else float(mae > 0)
    if abs(change) > limit and not force:
        raise EngineError(
            f"{precision} changes the mean absolute error by {change:+.2%}, from {mae_f32:.4g} to {mae:.4g} rad over "
            f"{yardstick.frames} recorded frames; allowed are {limit:.0%}",
            hint=f"nothing was written; export f32, or accept the loss by name with --force {precision}",
        )
    return Accuracy(
        frames=yardstick.frames, mae_f32=mae_f32, mae=mae, change=change, limit=limit, forced=abs(change) > limit
    )
