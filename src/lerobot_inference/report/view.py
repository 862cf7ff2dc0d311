"""What a plot is given: one episode, or the whole run, beside the results it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lerobot_inference.evaluation.predictions import EpisodePredictions
from lerobot_inference.evaluation.results import EpisodeResult, EvalResults
from lerobot_inference.report.text import MRAD, shortened, source_name
from lerobot_inference.types import ActionMode, FloatArray, TimeArray

NAME_LENGTH = 22
SOURCE_LENGTH = 36


@dataclass(frozen=True)
class RunView:
    """All scored episodes, in the order of `results.per_episode`."""

    results: EvalResults
    episodes: Sequence[EpisodePredictions]

    @property
    def joint_names(self) -> list[str]:
        """Names short enough for an axis."""
        return [shortened(name, NAME_LENGTH) for name in self.results.joint_names]

    @property
    def subtitle(self) -> str:
        """Policy, dataset, how much was scored, the error, and the skill against the best baseline."""
        episodes, steps = self.results.episodes_evaluated, self.results.as_deployed.steps
        scored = f"{episodes} episode{'s' * (episodes != 1)}"
        skill = self.results.as_deployed.skill
        about = _subtitle(self.results, scored, steps, self.results.aggregate_mae)
        return f"{about}  ·  skill {'n/a' if skill is None else f'{skill:.3f}'}"

    @property
    def machine(self) -> str:
        """What ran the policy."""
        provenance = self.results.provenance
        return f"{provenance.engine} {provenance.precision} on {provenance.device}"

    def why(self, *fields: str) -> str:
        """The reason that the results give for the first of these fields that has one."""
        reasons = self.results.reasons
        return next((reasons[field] for field in fields if field in reasons), "not in these results")


@dataclass(frozen=True)
class EpisodeView:
    """One scored episode. `data` agrees with `episode` in length and is finite (see load_predictions)."""

    results: EvalResults
    episode: EpisodeResult
    data: EpisodePredictions

    @property
    def joint_names(self) -> list[str]:
        """Names short enough for an axis."""
        return [shortened(name, NAME_LENGTH) for name in self.results.joint_names]

    @property
    def subtitle(self) -> str:
        """Policy, dataset, episode, and its error."""
        return _subtitle(self.results, f"episode {self.episode.episode}", self.episode.steps, self.episode.mae)

    @property
    def best_baseline(self) -> tuple[str, list[float]]:
        """Name of the run's best baseline, and its error on this episode, (A,) radians."""
        name = self.results.as_deployed.best_baseline
        return name.replace("_", " "), self.episode.baselines[name].per_joint_mae

    @property
    def mode(self) -> ActionMode:
        """What the actions mean."""
        return ActionMode(self.results.action_mode)

    @property
    def action_label(self) -> str:
        """What the numbers of an action are."""
        return "joint step per control period" if self.mode is ActionMode.DELTA else "joint position target"

    @property
    def period_s(self) -> float:
        """Seconds from one step to the next."""
        return 1 / self.results.fps

    @property
    def absolute_error(self) -> FloatArray:
        """(T, A) radians."""
        error: FloatArray = np.abs(self.data.predicted - self.data.ground_truth)
        return error

    def predicted_path(self, start: int, end: int) -> tuple[TimeArray, FloatArray]:
        """Where the predicted actions of the steps from `start` up to `end` lead: times (n + 1,), positions (n + 1, A).

        Seconds and radians. q[0] is the pose measured at `start` (0 for a joint that isn't measured); q[t + 1] is
        q[t] + action[t] for deltas, action[t] for absolute targets: the dataset's own convention, action[t] against
        state[t + 1].
        """
        predicted, measured = self.data.predicted[start:end], self.data.states[start]
        first = np.zeros((1, predicted.shape[1]))
        first[0, : len(measured)] = measured[: first.shape[1]]
        delta = self.mode is ActionMode.DELTA
        after = first + np.cumsum(predicted, axis=0, dtype=np.float64) if delta else predicted
        times = self.data.timestamps[start : end + 1]
        if end == len(self.data.timestamps):
            times = np.append(times, times[-1] + self.period_s)
        return times, np.concatenate([first, after]).astype(np.float32)

    @property
    def time_limits(self) -> tuple[float, float]:
        """Ends of the time axis, seconds: from the first step to the end of the last, and a little room."""
        start, end = float(self.data.timestamps[0]), float(self.data.timestamps[-1]) + self.period_s
        room = 0.02 * (end - start)
        return start - room, end + room


def _subtitle(results: EvalResults, scored: str, steps: int, mae: float) -> str:
    parts = (
        f"policy {shortened(source_name(results.policy_repo_id), SOURCE_LENGTH)}",
        f"dataset {shortened(source_name(results.dataset_repo_id), SOURCE_LENGTH)}",
        scored,
        f"{steps} step{'s' * (steps != 1)} at {results.fps:g} Hz",
        f"MAE {MRAD.text(mae)}",
    )
    return "  ·  ".join(parts)
