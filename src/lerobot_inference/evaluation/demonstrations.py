"""The recorded states of a dataset, and what was done there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.errors import DatasetError
from lerobot_inference.types import STATE, FloatArray, IntArray, TimeArray

MOST_EPISODES = 200
BLOCK = 1 << 20
"""Distances at a time: 4 MiB."""


class Recording(Protocol):
    """The part of dataset.Episode that is needed here: states (T, S) and actions (T, A), radians."""

    @property
    def index(self) -> int:
        """Its number."""

    @property
    def states(self) -> FloatArray:
        """(T, S) radians."""

    @property
    def actions(self) -> FloatArray:
        """(T, A) radians."""

    @property
    def scored_length(self) -> int:
        """How many steps have a recorded action."""


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Episodes one after another, M rows in all.

    states: (S, M), each joint in multiples of `scale` (S,) radians. actions: (M, A), radians.
    episodes: (M,), the number of each row's. ends: (M,), the row of the last frame of each row's.
    """

    states: FloatArray
    scale: FloatArray
    actions: FloatArray
    episodes: IntArray
    ends: IntArray

    @classmethod
    @lru_cache(maxsize=1)
    def of(cls, dataset: Dataset) -> Demonstrations | None:
        """Read the tables of up to MOST_EPISODES episodes, evenly spread, once a process; None: none can be read.

        An episode that can't be read is left out: what is wrong with it is said when it is scored.
        Raises DatasetError without the states' statistics.
        """
        numbers = dataset.episode_indices
        count = min(len(numbers), MOST_EPISODES)
        chosen = (numbers[k * len(numbers) // count] for k in range(count))
        return cls.join(_readable(dataset, chosen), dataset.statistic(STATE, "std"))

    @classmethod
    def join(cls, episodes: Iterable[Recording], std: TimeArray) -> Demonstrations | None:
        """The steps of `episodes` that have a recorded action; distances are in multiples of `std` (S,)."""
        parts = [(e.index, e.states[: e.scored_length], e.actions[: e.scored_length]) for e in episodes]
        lengths = [len(states) for _, states, _ in parts]
        if not sum(lengths):
            return None
        scale = np.where(std > 0, std, 1).astype(np.float32)
        return cls(
            states=np.ascontiguousarray((np.concatenate([states for _, states, _ in parts]) / scale).T),
            scale=scale,
            actions=np.concatenate([actions for _, _, actions in parts]),
            episodes=np.repeat([index for index, _, _ in parts], lengths),
            ends=np.repeat(np.cumsum(lengths) - 1, lengths),
        )

    def without(self, episode: int) -> Demonstrations | None:
        """The rows of all other episodes; None: there are none."""
        others = self.episodes != episode
        if not others.any():
            return None
        row_after = np.cumsum(others) - 1
        return Demonstrations(
            states=np.ascontiguousarray(self.states[:, others]),
            scale=self.scale,
            actions=self.actions[others],
            episodes=self.episodes[others],
            ends=row_after[self.ends[others]],
        )

    def nearest(self, states: FloatArray) -> IntArray:
        """(N,) rows at the least Euclidean distance from states (N, S), N >= 1; the first of several."""
        blocks = np.array_split(states / self.scale, math.ceil(len(states) * len(self.actions) / BLOCK))
        return np.concatenate([self._nearest(block) for block in blocks])

    def action(self, row: IntArray, ahead: IntArray) -> FloatArray:
        """(N, A): what was done `ahead` (N,) steps after `row` (N,); the episode's last action past its end."""
        actions: FloatArray = self.actions[np.minimum(row + ahead, self.ends[row])]
        return actions

    def _nearest(self, states: FloatArray) -> IntArray:
        # Joint by joint, not by a matrix product: the answer must not depend on what else is asked at the same time.
        squared = np.zeros((len(states), len(self.actions)), np.float32)
        for asked, recorded in zip(states.T, self.states, strict=True):
            difference = asked[:, None] - recorded
            squared += np.square(difference, out=difference)
        rows: IntArray = squared.argmin(axis=1)
        return rows


def _readable(dataset: Dataset, numbers: Iterable[int]) -> Iterator[Episode]:
    for number in numbers:
        try:
            yield dataset.episode(number)
        except DatasetError:
            continue
