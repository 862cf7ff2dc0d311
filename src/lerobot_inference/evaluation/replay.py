"""Replay one recorded episode through a policy, open loop, under either protocol."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import reduce
from itertools import batched, islice
from operator import add
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.control import Schedule
from lerobot_inference.dataset.prefetch import prefetch
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import EngineError
from lerobot_inference.evaluation.baselines import BASELINES, BaselineInput
from lerobot_inference.evaluation.metrics import ErrorSum
from lerobot_inference.types import FloatArray, IntArray, TimeArray, UInt8Array


class RecordedEpisode(Protocol):
    """The part of dataset.Episode that a replay needs."""

    @property
    def states(self) -> FloatArray:
        """(T, S) radians."""

    def frames(self, wanted: Sequence[int], cameras: Sequence[str]) -> Generator[dict[str, UInt8Array]]:
        """One {camera: (H, W, 3) uint8 RGB} for each wanted frame, in order."""


@dataclass
class Stopwatch:
    """Wall times of the as-deployed run, seconds, one entry for each time it happened.

    decode: waiting for the next frame that is needed (decoding runs ahead on a thread).
    policy_step: all that one control step waits for once the frame is there.
    """

    preprocess: list[float] = field(default_factory=list)
    forward: list[float] = field(default_factory=list)
    postprocess: list[float] = field(default_factory=list)
    queue_pop: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    policy_step: list[float] = field(default_factory=list)
    total_s: float = 0.0

    def add(self, other: Stopwatch) -> None:
        """Append the times of another run."""
        self.preprocess += other.preprocess
        self.forward += other.forward
        self.postprocess += other.postprocess
        self.queue_pop += other.queue_pop
        self.decode += other.decode
        self.policy_step += other.policy_step
        self.total_s += other.total_s


@dataclass(frozen=True)
class AsDeployed:
    """predicted (T, A) radians; inference_times (T,) seconds; chunk_starts (K,) indices into T."""

    predicted: FloatArray
    inference_times: TimeArray
    chunk_starts: IntArray

    def asked_at(self) -> IntArray:
        """(T,) indices into T: for each step the latest one at which the network was asked."""
        steps = np.arange(len(self.predicted))
        return self.chunk_starts[np.searchsorted(self.chunk_starts, steps, side="right") - 1]


def replay_as_deployed(
    episode: RecordedEpisode,
    steps: range,
    engine: Engine,
    schedule: Schedule,
    stopwatch: Stopwatch,
) -> AsDeployed:
    """Do what the robot's controller would do over the frames `steps`: one action a tick from the schedule.

    Raises EngineError, also when the output never changes over the whole run (a collapsed policy); DatasetError
    when a frame can't be decoded.
    """
    schedule.reset()
    began = time.perf_counter()
    chunk_starts = schedule.chunk_ticks(len(steps))
    predicted, times = [], []
    with closing(episode.frames([steps[tick] for tick in chunk_starts], list(engine.spec.cameras))) as frames:
        for frame in steps:
            images: dict[str, UInt8Array] = {}
            if schedule.needs_chunk:
                waited = time.perf_counter()
                images = next(frames)
                stopwatch.decode.append(time.perf_counter() - waited)
            started = time.perf_counter()
            if images:
                batch = {name: image[None] for name, image in images.items()}
                chunk = engine.predict(batch, episode.states[frame][None])
                stopwatch.preprocess.append(chunk.preprocess_s)
                stopwatch.forward.append(chunk.forward_s)
                stopwatch.postprocess.append(chunk.postprocess_s)
                schedule.add_chunk(chunk.actions[0])
            popped = time.perf_counter()
            predicted.append(schedule.next_action())
            finished = time.perf_counter()
            stopwatch.queue_pop.append(finished - popped)
            stopwatch.policy_step.append(finished - started)
            times.append(finished - started)
    stopwatch.total_s += time.perf_counter() - began
    result = np.stack(predicted)
    if len(result) > 1 and not np.ptp(result, axis=0).any():
        raise EngineError(f"the policy's output is the same at all {len(result)} steps: it has collapsed")
    return AsDeployed(result, np.asarray(times), np.asarray(chunk_starts, np.int64))


@dataclass(frozen=True)
class EveryFrame:
    """One chunk from each frame. error: pooled over frames and chunk steps; baselines: name -> the same.

    horizon_absolute: (chunk,) sums of |e| over frames and joints; horizon_counts: (chunk,) how many of each.
    """

    error: ErrorSum
    baselines: dict[str, ErrorSum]
    horizon_absolute: NDArray[np.float64]
    horizon_counts: NDArray[np.int64]

    def __add__(self, other: EveryFrame) -> EveryFrame:
        return EveryFrame(
            self.error + other.error,
            {name: sums + other.baselines[name] for name, sums in self.baselines.items()},
            self.horizon_absolute + other.horizon_absolute,
            self.horizon_counts + other.horizon_counts,
        )

    @property
    def horizon_mae(self) -> NDArray[np.float64]:
        """Mean absolute error by chunk step, as far as any frame reaches. Radians."""
        reached = self.horizon_counts > 0
        means: NDArray[np.float64] = self.horizon_absolute[reached] / self.horizon_counts[reached]
        return means


def replay_every_frame(
    episode: RecordedEpisode,
    steps: range,
    engine: Engine,
    baseline_input: BaselineInput,
    batch_size: int,
) -> EveryFrame:
    """Predict a chunk from each frame of `steps` (at least one) and compare it with what was recorded after it.

    The prediction for t + k made at t meets the action recorded at t + k; nothing past the last scored action
    (`baseline_input.actions` ends there) is compared. Decoding, the engine and the comparison each have a thread and
    run at the same time; this one compares. Raises EngineError, DatasetError.
    """
    truth = baseline_input.actions
    answers = {name: baseline(baseline_input) for name, baseline in BASELINES.items()}
    with closing(prefetch(_predict(episode, steps, engine, batch_size), depth=1)) as predicted:
        return reduce(add, (_compare(frames, chunks, truth, answers) for frames, chunks in predicted))


def _predict(
    episode: RecordedEpisode, steps: range, engine: Engine, batch_size: int
) -> Generator[tuple[IntArray, FloatArray]]:
    """Yield frame numbers (B,) and the chunks (B, chunk, A) predicted from them, in order."""
    with closing(episode.frames(list(steps), list(engine.spec.cameras))) as pictures:
        for batch in batched(steps, batch_size):
            views = list(islice(pictures, len(batch)))
            images = {name: np.stack([view[name] for view in views]) for name in engine.spec.cameras}
            yield np.asarray(batch, np.int64), engine.predict(images, episode.states[list(batch)]).actions


def _compare(frames: IntArray, chunks: FloatArray, truth: FloatArray, answers: Mapping[str, FloatArray]) -> EveryFrame:
    """Score the chunks (B, chunk, A) predicted from `frames` (B,) where truth (T, A) reaches.

    answers: baseline -> (T, A), its one action for the chunk from each frame.
    """
    chunk_size, joints = chunks.shape[1:]
    row, ahead = np.nonzero(frames[:, None] + np.arange(chunk_size) < len(truth))
    asked = frames[row]
    predicted, recorded = chunks[row, ahead], truth[asked + ahead]
    absolute = np.abs(predicted.astype(np.float64) - recorded).sum(axis=1)
    return EveryFrame(
        error=ErrorSum.of(predicted, recorded),
        baselines={name: ErrorSum.of(answer[asked], recorded) for name, answer in answers.items()},
        horizon_absolute=np.bincount(ahead, absolute, chunk_size).astype(np.float64, copy=False),
        horizon_counts=np.bincount(ahead, minlength=chunk_size) * joints,
    )
