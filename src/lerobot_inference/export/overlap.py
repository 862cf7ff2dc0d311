"""How much chunks in a row disagree on recorded episodes: the limits of the guard `chunk_overlap`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np

from lerobot_inference.checkpoint import BundleContract
from lerobot_inference.checkpoint.bundle import GuardThresholds
from lerobot_inference.control.guards.chunk_overlap import disagreement
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine.base import Engine
from lerobot_inference.evaluation.replay import predict_chunks
from lerobot_inference.types import FloatArray, Progress, silent

MOST_EPISODES = 8
MOST_FRAMES = 800
BATCH_SIZE = 8
PERCENTILE = 99
MARGIN = 4.0
"""An arm that limits slow down isn't where the chunk before supposed it, and disagrees more than any recording: the
demo's policy by up to 2.5 times the percentile under `soft_start`, 1.1 times without. Shuffled pictures reach 14."""
LEAST = 1e-4
"""Radians; less is no more than the arm's own resolution, and a policy that always says the same has none."""


def calibrate(engine: Engine, dataset: Dataset, progress: Progress = silent) -> GuardThresholds | None:
    """MARGIN times the 99th percentile of the disagreement, for each stride at which two chunks overlap.

    A chunk is predicted from each frame of a stretch of each of up to MOST_EPISODES episodes, spread over the dataset.
    None where no two chunks overlap. Raises DatasetError, EngineError.
    """
    indices = dataset.episode_indices
    count = min(len(indices), MOST_EPISODES)
    chosen = [indices[k * len(indices) // count] for k in range(count)]
    chunks = []
    for number, index in enumerate(chosen):
        progress("calibrate the guards", number, count)
        episode = dataset.episode(index)
        steps = stretch(episode.length, number, count)
        with closing(predict_chunks(episode, steps, engine, BATCH_SIZE)) as predicted:
            chunks.append(np.concatenate([batch for _, batch in predicted]))
    progress("calibrate the guards", count, count)
    strides = range(1, min(engine.spec.chunk_size, max(map(len, chunks))))
    limits = [_limit(chunks, stride) for stride in strides]
    return GuardThresholds(chunk_overlap=limits, episodes=chosen, frames=sum(map(len, chunks))) if limits else None


def stretch(length: int, number: int, count: int) -> range:
    """The frames of the `number`-th of `count` episodes that are looked at: early in the first, late in the last."""
    frames = min(length, MOST_FRAMES // count)
    begin = (length - frames) * number // max(1, count - 1)
    return range(begin, begin + frames)


def _limit(chunks: Sequence[FloatArray], stride: int) -> float:
    """Radians, three digits of them. chunks: one (T, chunk, A) an episode, of frames that follow each other."""
    found = [
        disagreement(before[stride:], after)
        for each in chunks
        for before, after in zip(each[:-stride], each[stride:], strict=True)
    ]
    return float(f"{max(LEAST, MARGIN * float(np.percentile(found, PERCENTILE))):.3g}")


def in_words(contract: BundleContract) -> str:
    """What was calibrated, in one sentence for a person."""
    found = contract.guard_thresholds
    if found is None:
        return "guard chunk_overlap has no limits: no two chunks overlap"
    stride = min(contract.n_action_steps, len(found.chunk_overlap))
    return (
        f"guard chunk_overlap latches where two chunks disagree by more than {found.chunk_overlap[stride - 1]:g} rad "
        f"({stride} steps apart): {MARGIN:g} times the {PERCENTILE}th percentile over {found.frames} frames of "
        f"{len(found.episodes)} recorded episodes"
    )
