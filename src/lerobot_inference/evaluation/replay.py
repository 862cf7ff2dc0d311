"""Replay one recorded episode through a policy, open loop, under either protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.control import Schedule
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

    def frames(self, wanted: Sequence[int], cameras: Sequence[str]) -> Iterator[dict[str, UInt8Array]]:
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
    frames = episode.frames([steps[tick] for tick in chunk_starts], list(engine.spec.cameras))
    predicted, times = [], []
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
    """Predict a chunk from each frame of `steps` and compare it with what was recorded after that frame.

    The prediction for t + k made at t meets the action recorded at t + k; nothing past the last scored action
    (`baseline_input.actions` ends there) is compared. Raises EngineError, DatasetError.
    """
    truth, chunk_size = baseline_input.actions, engine.spec.chunk_size
    answers = {name: baseline(baseline_input) for name, baseline in BASELINES.items()}
    nothing = ErrorSum.of(truth[:0], truth[:0])
    error, baselines = nothing, dict.fromkeys(BASELINES, nothing)
    absolute, counts = np.zeros(chunk_size), np.zeros(chunk_size, np.int64)
    frames = episode.frames(list(steps), list(engine.spec.cameras))
    for batch in batched(steps, batch_size):
        pictures = [next(frames) for _ in batch]
        images = {name: np.stack([picture[name] for picture in pictures]) for name in pictures[0]}
        chunks = engine.predict(images, episode.states[list(batch)]).actions
        for frame, chunk in zip(batch, chunks, strict=True):
            recorded = truth[frame : frame + chunk_size]
            reach = len(recorded)
            error += ErrorSum.of(chunk[:reach], recorded)
            for name, answer in answers.items():
                baselines[name] += ErrorSum.of(np.broadcast_to(answer[frame], recorded.shape), recorded)
            absolute[:reach] += np.abs(chunk[:reach].astype(np.float64) - recorded).sum(axis=1)
            counts[:reach] += truth.shape[1]
    return EveryFrame(error, baselines, absolute, counts)
