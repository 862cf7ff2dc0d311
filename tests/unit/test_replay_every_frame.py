"""The every-frame protocol: its sums, its threads, its memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_inference.errors import DatasetError, EngineError
from lerobot_inference.evaluation.baselines import BASELINES, BaselineInput
from lerobot_inference.evaluation.replay import EveryFrame, replay_every_frame
from lerobot_inference.types import ActionChunk, ActionMode, FloatArray, ImageShape, PolicySpec, UInt8Array

CAMERA = "observation.images.color"
SMALL = ImageShape(2, 3)


@dataclass
class Recording:
    """An episode whose pictures show their frame's number; from `unreadable` on there are none."""

    states: FloatArray
    shape: ImageShape
    unreadable: int | None = None
    closed: threading.Event = field(default_factory=threading.Event)

    def frames(self, wanted: Sequence[int], cameras: Sequence[str]) -> Generator[dict[str, UInt8Array]]:
        size = (self.shape.height, self.shape.width, 3)
        try:
            for number in wanted:
                if number == self.unreadable:
                    raise DatasetError(f"frame {number} can't be decoded")
                yield {name: np.full(size, number % 256, np.uint8) for name in cameras}
        finally:
            self.closed.set()


@dataclass
class Recall:
    """An engine that answers each state with the chunk it has for it; a state it doesn't know is an EngineError."""

    spec: PolicySpec
    chunks: dict[bytes, FloatArray]
    threads: set[int] = field(default_factory=set)
    seen: list[int] = field(default_factory=list)
    name: str = "recall"
    device: str = "cpu"

    def warm_up(self) -> float:
        return 0.0

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> ActionChunk:
        self.threads.add(threading.get_ident())
        self.seen.extend(images[CAMERA][:, 0, 0, 0].tolist())
        try:
            return ActionChunk(np.stack([self.chunks[state.tobytes()] for state in states]))
        except KeyError:
            raise EngineError("the policy gave a NaN or an infinity") from None


def example(
    steps: int,
    chunk: int,
    joints: int = 6,
    mode: ActionMode = ActionMode.ABSOLUTE,
    shape: ImageShape = SMALL,
) -> tuple[Recording, Recall, BaselineInput]:
    """An episode with one padded frame at its end, and a policy with a random chunk for each of its frames."""
    random = np.random.default_rng(0)
    states = random.normal(size=(steps + 1, joints)).astype(np.float32)
    actions = random.normal(size=(steps, joints)).astype(np.float32)
    chunks = {state.tobytes(): random.normal(size=(chunk, joints)).astype(np.float32) for state in states}
    spec = PolicySpec(joints, joints, {CAMERA: shape}, chunk, chunk)
    recorded = BaselineInput(states[:-1], actions, actions.mean(axis=0), mode)
    return Recording(states, shape), Recall(spec, chunks), recorded


@dataclass
class Sums:
    """The sums of one predictor, added up one comparison of two actions at a time."""

    squared: FloatArray
    absolute: FloatArray
    largest: float = 0.0
    steps: int = 0

    def add(self, predicted: FloatArray, recorded: FloatArray) -> None:
        error = np.abs(predicted.astype(np.float64) - recorded.astype(np.float64))
        self.squared += error**2
        self.absolute += error
        self.largest = max(self.largest, float(error.max()))
        self.steps += 1


def one_by_one(steps: range, engine: Recall, recorded: BaselineInput) -> tuple[dict[str, Sums], FloatArray, list[int]]:
    """What the protocol is, said plainly: (policy and baselines -> sums, sum of |e| by chunk step, how many)."""
    truth, chunk_size = recorded.actions, engine.spec.chunk_size
    joints = truth.shape[1]
    answers = {name: baseline(recorded) for name, baseline in BASELINES.items()}
    sums = {name: Sums(np.zeros(joints), np.zeros(joints)) for name in ("policy", *answers)}
    absolute, counts = np.zeros(chunk_size), [0] * chunk_size
    for frame in steps:
        chunk = engine.chunks[recorded.states[frame].tobytes()]
        for k in range(min(chunk_size, len(truth) - frame)):
            sums["policy"].add(chunk[k], truth[frame + k])
            for name, answer in answers.items():
                sums[name].add(answer[frame], truth[frame + k])
            absolute[k] += np.abs(chunk[k].astype(np.float64) - truth[frame + k]).sum()
            counts[k] += joints
    return sums, absolute, counts


def assert_equal(found: EveryFrame, expected: tuple[dict[str, Sums], FloatArray, list[int]]) -> None:
    sums, absolute, counts = expected
    for name, predictor in {"policy": found.error, **found.baselines}.items():
        assert predictor.steps == sums[name].steps
        assert predictor.largest == sums[name].largest
        np.testing.assert_allclose(predictor.squared, sums[name].squared, rtol=1e-12)
        np.testing.assert_allclose(predictor.absolute, sums[name].absolute, rtol=1e-12)
    np.testing.assert_allclose(found.horizon_absolute, absolute, rtol=1e-12)
    assert found.horizon_counts.tolist() == counts


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 30),
    chunk=st.integers(1, 12),
    joints=st.sampled_from([1, 6, 7]),
    stride=st.integers(1, 5),
    batch_size=st.integers(1, 9),
    mode=st.sampled_from(ActionMode),
)
def test_every_chunk_meets_the_actions_recorded_after_its_frame_and_none_past_the_end(
    steps: int, chunk: int, joints: int, stride: int, batch_size: int, mode: ActionMode
) -> None:
    episode, engine, recorded = example(steps, chunk, joints, mode)
    asked = range(steps)[::stride]
    found = replay_every_frame(episode, asked, engine, recorded, batch_size)
    assert_equal(found, one_by_one(asked, engine, recorded))


def prefetch_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_the_engine_sees_every_frame_once_and_in_order_on_a_thread_of_its_own() -> None:
    episode, engine, recorded = example(20, 4)
    replay_every_frame(episode, range(20), engine, recorded, 8)
    assert engine.seen == list(range(20))
    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads
    assert prefetch_threads() == []


def test_a_frame_that_cannot_be_decoded_ends_the_replay_after_the_batches_before_it() -> None:
    episode, engine, recorded = example(20, 4)
    episode.unreadable = 13
    with pytest.raises(DatasetError, match="frame 13 can't be decoded"):
        replay_every_frame(episode, range(20), engine, recorded, 4)
    assert engine.seen == list(range(12))
    assert prefetch_threads() == []


def test_an_engine_that_fails_ends_the_replay_and_the_decoder() -> None:
    episode, engine, recorded = example(20, 4)
    del engine.chunks[episode.states[9].tobytes()]
    with pytest.raises(EngineError, match="NaN"):
        replay_every_frame(episode, range(20), engine, recorded, 4)
    assert episode.closed.is_set()
    assert prefetch_threads() == []


def test_a_comparison_that_fails_ends_the_engine_and_the_decoder() -> None:
    episode, engine, recorded = example(20, 4)
    for state, chunk in engine.chunks.items():
        engine.chunks[state] = chunk[:, :5]
    with pytest.raises(ValueError, match="broadcast"):
        replay_every_frame(episode, range(20), engine, recorded, 4)
    assert len(engine.seen) < 20
    assert episode.closed.is_set()
    assert prefetch_threads() == []


def test_memory_stays_flat_with_the_episodes_length() -> None:
    """A further frame costs what each baseline says there and its number: no picture and no chunk is kept."""

    def peak(steps: int) -> int:
        episode, engine, recorded = example(steps, 50, shape=ImageShape(48, 64))
        tracemalloc.start()
        try:
            replay_every_frame(episode, range(steps), engine, recorded, 2)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = 128, 1024
    a_chunk = 50 * 6 * 4
    peak(few)  # what is imported and cached on the first call
    assert (peak(many) - peak(few)) / (many - few) < a_chunk / 4
