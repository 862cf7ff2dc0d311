"""What a predictor with no policy would score: the least that a policy must beat.

Each baseline is asked when the policy is asked, and knows what the policy knows at that moment, the actions before it,
and the dataset's other episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.evaluation.demonstrations import Demonstrations
from lerobot_inference.evaluation.metrics import ErrorSum
from lerobot_inference.types import ACTION, ActionMode, FloatArray, IntArray


@dataclass(frozen=True)
class BaselineInput:
    """One recorded episode: states (T, S), actions (T, A), radians, at fps frames a second.

    mean_action: (A,), of the whole dataset. others: the dataset's other episodes; None: none to look into.
    """

    states: FloatArray
    actions: FloatArray
    mean_action: FloatArray
    action_mode: ActionMode
    fps: float
    others: Demonstrations | None = None

    @classmethod
    def of(
        cls,
        episode: Episode,
        steps: range,
        dataset: Dataset,
        action_mode: ActionMode,
        demonstrations: Demonstrations | None = None,
    ) -> BaselineInput:
        """The frames `steps` of a recorded episode; others: of `demonstrations` those that are not this one."""
        return cls(
            states=episode.states[steps],
            actions=episode.actions[steps],
            mean_action=dataset.statistic(ACTION, "mean").astype(np.float32),
            action_mode=action_mode,
            fps=dataset.fps,
            others=demonstrations.without(episode.index) if demonstrations else None,
        )

    def score(self, asked: IntArray, ahead: IntArray) -> dict[str, ErrorSum]:
        """Each baseline's error where it says at `asked` (N,) what to do `ahead` (N,) steps later."""
        truth = self.actions[asked + ahead]
        return {name: ErrorSum.of(baseline(self, asked, ahead), truth) for name, baseline in self.baselines.items()}

    @property
    def baselines(self) -> Mapping[str, Baseline]:
        """Those that can answer: nearest_neighbour needs another episode."""
        return {name: each for name, each in BASELINES.items() if self.others or each is not nearest_neighbour}


type Baseline = Callable[[BaselineInput, IntArray, IntArray], FloatArray]
"""(episode, asked (N,), ahead (N,)) -> (N, A): asked at that frame, the action for so many steps later."""


def hold_still(episode: BaselineInput, asked: IntArray, _ahead: IntArray) -> FloatArray:
    """Stay where the arm is: a zero delta, or the present joint positions as the target.

    An absolute action beyond the state (a gripper command, say) keeps its last value; before any, the mean.
    """
    if episode.action_mode is ActionMode.DELTA:
        return np.zeros((len(asked), episode.actions.shape[1]), np.float32)
    held = np.where(asked[:, None] > 0, episode.actions[asked - 1], episode.mean_action)
    shared = min(episode.states.shape[1], held.shape[1])
    held[:, :shared] = episode.states[asked, :shared]
    return held


def repeat_last(episode: BaselineInput, asked: IntArray, ahead: IntArray) -> FloatArray:
    """Do again what was done one step before; hold still at the first frame."""
    return np.where(asked[:, None] > 0, episode.actions[asked - 1], hold_still(episode, asked, ahead))


def dataset_mean(episode: BaselineInput, asked: IntArray, _ahead: IntArray) -> FloatArray:
    """The mean action of the dataset, always."""
    return np.broadcast_to(episode.mean_action, (len(asked), len(episode.mean_action)))


def nearest_neighbour(episode: BaselineInput, asked: IntArray, ahead: IntArray) -> FloatArray:
    """Do what was done where another episode was in the most similar joint state; its last action past its end.

    Raises ValueError when there is no other episode.
    """
    if episode.others is None:
        raise ValueError("there is no other episode to look into")
    frames, which = np.unique(asked, return_inverse=True)
    nearest = episode.others.nearest(episode.states[frames])
    return episode.others.action(nearest[which], ahead)


BASELINES: Mapping[str, Baseline] = {
    "hold_still": hold_still,
    "repeat_last": repeat_last,
    "dataset_mean": dataset_mean,
    "nearest_neighbour": nearest_neighbour,
}


def skill(policy_mse: float, best_baseline_mse: float) -> float | None:
    """1 - mse / mse of the best baseline: 1 is perfect, 0 no better, negative worse; None for a perfect baseline."""
    if best_baseline_mse == 0:
        return None
    return 1 - policy_mse / best_baseline_mse
