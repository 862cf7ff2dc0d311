"""Replay one recorded episode through a policy, open loop, under either protocol."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import reduce
from itertools import batched, islice
from operator import add
from typing import Protocol

import numpy as np

from lerobot_inference.control import Schedule
from lerobot_inference.dataset.prefetch import prefetch
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import EngineError
from lerobot_inference.evaluation.baselines import BaselineInput
from lerobot_inference.evaluation.metrics import Chunks, ErrorSum, ProtocolScore, Windows, measure_chunks
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
    """predicted (T, A) radians; inference_times (T,) seconds; chunk_starts (K,) indices into T.

    chunks: (K, chunk, A) radians, all that was predicted at those; None where it was not kept.
    """

    predicted: FloatArray
    inference_times: TimeArray
    chunk_starts: IntArray
    chunks: FloatArray | None = None

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
    predicted, times, chunks = [], [], []
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
                chunks.append(chunk.actions[0])
                schedule.add_chunk(chunks[-1])
            popped = time.perf_counter()
            predicted.append(schedule.next_action())
            finished = time.perf_counter()
            stopwatch.queue_pop.append(finished - popped)
            stopwatch.policy_step.append(finished - started)
            times.append(finished - started)
    stopwatch.total_s += time.perf_counter() - began
    result = np.stack(predicted)
    if len(result) > 1 and not np.ptp(result, axis=0).any():
        raise EngineError("the policy has collapsed: its output is the same at every step")
    return AsDeployed(result, np.asarray(times), np.asarray(chunk_starts, np.int64), np.stack(chunks))


def replay_every_frame(
    episode: RecordedEpisode,
    steps: range,
    engine: Engine,
    baseline_input: BaselineInput,
    batch_size: int,
) -> ProtocolScore:
    """Predict a chunk from each frame of `steps` (at least one) and compare it with what was recorded after it.

    The prediction for t + k made at t meets the action recorded at t + k; nothing past the last scored action
    (`baseline_input.actions` ends there) is compared. Decoding, the engine and the comparison each have a thread and
    run at the same time; this one compares. Raises EngineError, DatasetError.
    """
    with closing(prefetch(predict_chunks(episode, steps, engine, batch_size), depth=1)) as predicted:
        return reduce(add, score_chunks(predicted, baseline_input, steps.step))


def predict_chunks(
    episode: RecordedEpisode, steps: range, engine: Engine, batch_size: int
) -> Generator[tuple[IntArray, FloatArray]]:
    """Yield frame numbers (B,) of `steps` and the chunks (B, chunk, A) predicted from them, in order.

    Raises EngineError, DatasetError.
    """
    with closing(episode.frames(list(steps), list(engine.spec.cameras))) as pictures:
        for batch in batched(steps, batch_size):
            views = list(islice(pictures, len(batch)))
            images = {name: np.stack([view[name] for view in views]) for name in engine.spec.cameras}
            yield np.asarray(batch, np.int64), engine.predict(images, episode.states[list(batch)]).actions


def score_chunks(
    predicted: Iterable[tuple[IntArray, FloatArray]], recorded: BaselineInput, stride: int
) -> Iterator[ProtocolScore]:
    """Score chunks (B, chunk, A) predicted from frames (B,), batch after batch, where the recorded actions reach."""
    end = len(recorded.actions)
    before: TimeArray | None = None
    for frames, chunks in predicted:
        asked = frames[:, None]
        steps = asked + np.arange(chunks.shape[1])
        within, scored = np.minimum(steps, end - 1), steps < end
        said = chunks.astype(np.float64)
        windows = Windows(
            predicted=said,
            recorded=recorded.actions[within].astype(np.float64),
            states=recorded.states[within].astype(np.float64),
            scored=scored,
            action_mode=recorded.action_mode,
            fps=recorded.fps,
        )
        yield ProtocolScore(
            error=ErrorSum.of(chunks[scored], recorded.actions[steps[scored]]),
            baselines=recorded.score(np.broadcast_to(asked, steps.shape)[scored], (steps - asked)[scored]),
            means=measure_chunks(Chunks(windows, said[:0] if before is None else before, stride)),
        )
        before = said[-1:]
