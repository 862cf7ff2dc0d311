"""What a predictor with no policy would score: the least that a policy must beat.

Each baseline is asked when the policy is asked, knows what the policy knows at that moment (and the actions
before it), and answers one action for the whole chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.types import ACTION, ActionMode, FloatArray


@dataclass(frozen=True)
class BaselineInput:
    """states (T, S), actions (T, A): one episode, radians. mean_action: (A,), of the whole dataset."""

    states: FloatArray
    actions: FloatArray
    mean_action: FloatArray
    action_mode: ActionMode

    @classmethod
    def of(cls, episode: Episode, steps: range, dataset: Dataset, action_mode: ActionMode) -> BaselineInput:
        """The frames `steps` of a recorded episode."""
        mean = dataset.statistics[ACTION]["mean"].astype(np.float32)
        return cls(episode.states[steps], episode.actions[steps], mean, action_mode)


def hold_still(episode: BaselineInput) -> FloatArray:
    """Stay where the arm is: a zero delta, or the present joint positions as the target.

    An absolute action beyond the state (a gripper command, say) keeps its last value; before any, the mean.
    """
    if episode.action_mode is ActionMode.DELTA:
        return np.zeros_like(episode.actions)
    held = np.concatenate([episode.mean_action[None], episode.actions[:-1]])
    shared = min(episode.states.shape[1], held.shape[1])
    held[:, :shared] = episode.states[:, :shared]
    return held


def repeat_last(episode: BaselineInput) -> FloatArray:
    """Do again what was done one step before; hold still at the first frame."""
    before_first = hold_still(episode)[:1]
    return np.concatenate([before_first, episode.actions[:-1]])


def dataset_mean(episode: BaselineInput) -> FloatArray:
    """The mean action of the dataset, always."""
    return np.broadcast_to(episode.mean_action, episode.actions.shape)


BASELINES: Mapping[str, Callable[[BaselineInput], FloatArray]] = {
    "hold_still": hold_still,
    "repeat_last": repeat_last,
    "dataset_mean": dataset_mean,
}
"""Name -> function from an episode to (T, A): what the baseline answers when asked at each frame."""


def skill(policy_mse: float, best_baseline_mse: float) -> float | None:
    """1 - mse / mse of the best baseline: 1 is perfect, 0 no better, negative worse; None for a perfect baseline."""
    if best_baseline_mse == 0:
        return None
    return 1 - policy_mse / best_baseline_mse
