"""Find out from the recordings whether an action is a step to add or a position to go to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.errors import DatasetError
from lerobot_inference.types import ActionMode, FloatArray

HINT = "say which it is with --action-mode delta or --action-mode absolute"


class Recording(Protocol):
    """The table of an episode. states, actions: (T, joints)."""

    @property
    def states(self) -> FloatArray:
        """Joint positions, radians."""

    @property
    def actions(self) -> FloatArray:
        """What the demonstrator commanded."""


@dataclass(frozen=True)
class ActionModeEvidence:
    """What spoke for the mode, over `steps` recorded steps.

    delta_misfit: rms of action[t] - (state[t+1] - state[t]), as a share of the actions' own rms.
    absolute_misfit: rms of action[t] - state[t+1], as a share of the actions' standard deviation.
    0 is a perfect fit; 1 is no better than knowing nothing.
    """

    mode: ActionMode
    delta_misfit: float
    absolute_misfit: float
    steps: int

    def __str__(self) -> str:
        return (
            f"{self.mode}: over {self.steps} steps, actions miss state[t+1] - state[t] by {self.delta_misfit:.1%} "
            f"of their size and state[t+1] by {self.absolute_misfit:.1%} of their spread"
        )


def infer_action_mode(episodes: Iterable[Recording]) -> ActionModeEvidence:
    """Compare each action[t] with state[t+1] - state[t] and with state[t+1], all joints pooled.

    Raises DatasetError when neither explains the actions (misfit under a half) or both do so about as well.
    """
    recorded = list(episodes)
    if sum(len(episode.states) - 1 for episode in recorded) < 1:
        raise DatasetError("no episode has two frames, so the action convention can't be inferred", hint=HINT)
    if any(episode.states.shape != episode.actions.shape for episode in recorded):
        raise DatasetError("states and actions differ in size, so the action convention can't be inferred", hint=HINT)
    actions = np.concatenate([episode.actions[:-1] for episode in recorded]).astype(np.float64)
    following = np.concatenate([episode.states[1:] for episode in recorded]).astype(np.float64)
    steps = np.concatenate([np.diff(episode.states.astype(np.float64), axis=0) for episode in recorded])
    delta = _misfit(actions - steps, actions)
    absolute = _misfit(actions - following, actions - actions.mean(axis=0))
    best, other = sorted((delta, absolute))
    if best >= 0.5 or other <= 2 * best:
        raise DatasetError(
            f"actions are neither clearly steps nor clearly positions: they miss state[t+1] - state[t] by {delta:.1%} "
            f"of their size and state[t+1] by {absolute:.1%} of their spread",
            hint=HINT,
        )
    mode = ActionMode.DELTA if delta < absolute else ActionMode.ABSOLUTE
    return ActionModeEvidence(mode, delta, absolute, len(actions))


def _misfit(residual: NDArray[np.float64], signal: NDArray[np.float64]) -> float:
    """Ratio of rms values; 1 µrad keeps it finite for an arm at rest."""
    return float(np.sqrt(np.mean(residual**2)) / (np.sqrt(np.mean(signal**2)) + 1e-6))
