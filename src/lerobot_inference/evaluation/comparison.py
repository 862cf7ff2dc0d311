"""A candidate against the champion on the same recordings, episode by episode."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.errors import EvaluationError
from lerobot_inference.evaluation.results import EvalResults, Interval
from lerobot_inference.evaluation.statistics import bootstrap_weights, finite_interval
from lerobot_inference.records import Figure, Record

LEAST_EPISODES = 5
"""Shared episodes; the resamples of fewer are too alike for an interval to mean much."""
MOST_EXACT = 12
"""Episodes up to which every pattern of signs is tried, 4096 of them."""
DRAWS = 10_000
BATCH = 1000
"""Draws held in memory at a time."""
SEED = 0

type Floats = NDArray[np.float64]


class JointDifference(Record):
    """One joint's mean absolute error, candidate minus champion, radians. interval: 95 %.

    p: two-sided, of a sign-flip test over episodes. p_holm: the same after Holm's correction for all joints.
    """

    joint: str
    mae: Figure
    interval: Interval
    p: Figure
    p_holm: Figure


class Comparison(Record):
    """Candidate minus champion, as deployed, over the episodes that both were scored on: below 0 is an improvement.

    mse, mae: pooled over steps and joints, radians squared and radians; their 95 % intervals resample episodes.
    champion_mae, candidate_mae: over the same episodes. steps: of all of them.
    """

    episodes: list[int]
    steps: int
    champion_mae: Figure
    candidate_mae: Figure
    mse: Figure
    mse_interval: Interval
    mae: Figure
    mae_interval: Interval
    joints: list[JointDifference]


@dataclass(frozen=True)
class _Sums:
    """absolute, squared: (E, J) error of each episode and joint, summed over steps. steps: (E,)."""

    absolute: Floats
    squared: Floats
    steps: Floats

    @classmethod
    def of(cls, results: EvalResults, episodes: list[int]) -> _Sums:
        scored = {score.episode: score for score in results.per_episode}
        chosen = [scored[episode] for episode in episodes]
        steps = np.array([score.steps for score in chosen], np.float64)
        absolute = np.array([score.per_joint_mae for score in chosen]) * steps[:, None]
        squared = np.array([score.per_joint_mse for score in chosen]) * steps[:, None]
        return cls(absolute, squared, steps)


def why_not_comparable(candidate: EvalResults, champion: EvalResults) -> str | None:
    """What stands in the way of a paired comparison; None when nothing does."""
    for what, ours, theirs in (
        ("joint names", candidate.joint_names, champion.joint_names),
        ("fps", candidate.fps, champion.fps),
        ("action mode", candidate.action_mode, champion.action_mode),
        # FFmpeg gives the same video other colours there (docs/evaluation.md), and with them other errors.
        ("processor", _architecture(candidate), _architecture(champion)),
    ):
        if ours != theirs:
            return f"other {what}: {_shown(ours)}, the champion's {_shown(theirs)}"
    here, there = candidate.provenance.dataset_files, champion.provenance.dataset_files
    changed = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    if changed:
        return f"evaluated on another dataset: {changed[0]} differs"
    shared = shared_episodes(candidate, champion)
    if len(shared) < LEAST_EPISODES:
        return f"{len(shared)} episodes are shared, a comparison needs {LEAST_EPISODES}"
    if not np.array_equal(_Sums.of(candidate, shared).steps, _Sums.of(champion, shared).steps):
        return "the same episodes were scored over other numbers of steps"
    return None


def _architecture(results: EvalResults) -> str:
    return results.provenance.machine.split()[-1]


def shared_episodes(candidate: EvalResults, champion: EvalResults) -> list[int]:
    """The numbers of the episodes that both were scored on."""
    theirs = {score.episode for score in champion.per_episode}
    return sorted(score.episode for score in candidate.per_episode if score.episode in theirs)


def compare(candidate: EvalResults, champion: EvalResults) -> Comparison:
    """Paired differences of two results for which `why_not_comparable` has nothing to say."""
    episodes = shared_episodes(candidate, champion)
    ours, theirs = _Sums.of(candidate, episodes), _Sums.of(champion, episodes)
    steps, weights = ours.steps, bootstrap_weights(len(episodes))

    def interval(sums: Floats) -> Interval:
        found = finite_interval(weights @ sums / (weights @ steps), len(episodes))
        if found is None:
            raise EvaluationError("the errors are too large to be compared")
        return found

    absolute, squared = ours.absolute - theirs.absolute, ours.squared - theirs.squared
    total = steps.sum()
    p_values = [sign_flip_p(column) for column in absolute.T]
    return Comparison(
        episodes=episodes,
        steps=int(total),
        champion_mae=float(theirs.absolute.mean(axis=1).sum() / total),
        candidate_mae=float(ours.absolute.mean(axis=1).sum() / total),
        mse=float(squared.mean(axis=1).sum() / total),
        mse_interval=interval(squared.mean(axis=1)),
        mae=float(absolute.mean(axis=1).sum() / total),
        mae_interval=interval(absolute.mean(axis=1)),
        joints=[
            JointDifference(joint=joint, mae=float(sums.sum() / total), interval=interval(sums), p=p, p_holm=p_holm)
            for joint, sums, p, p_holm in zip(candidate.joint_names, absolute.T, p_values, holm(p_values), strict=True)
        ],
    )


def sign_flip_p(differences: Floats) -> float:
    """Two-sided p of paired differences (E,): how often random signs give a sum as large.

    Fisher's randomisation test (The Design of Experiments, 1935, section 21), over all sign patterns up to MOST_EXACT
    episodes; beyond, over DRAWS random ones, where the observed one counts too (Phipson and Smyth, Permutation
    P-values Should Never Be Zero, 2010).
    """
    count = len(differences)
    exact = count <= MOST_EXACT
    if exact:
        sums = np.array(list(product((1.0, -1.0), repeat=count))) @ differences
    else:
        random = np.random.default_rng(SEED)
        batches = (random.choice((1.0, -1.0), size=(BATCH, count)) for _ in range(DRAWS // BATCH))
        sums = np.concatenate([signs @ differences for signs in batches])
    rounding = 1e-12 * np.abs(differences).sum()  # patterns that give the same sum must tie with it
    extreme = int((np.abs(sums) >= abs(differences.sum()) - rounding).sum())
    return extreme / len(sums) if exact else (extreme + 1) / (DRAWS + 1)


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted for their number, in the order given (Holm, A Simple Sequentially Rejective Multiple Test
    Procedure, 1979): the k-th smallest of m times m - k + 1, never below the one before it, at most 1.
    """
    adjusted, largest = list(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
