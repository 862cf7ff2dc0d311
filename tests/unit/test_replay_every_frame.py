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
from lerobot_inference.evaluation.demonstrations import Demonstrations
from lerobot_inference.evaluation.metrics import Mean, ProtocolScore
from lerobot_inference.evaluation.replay import replay_every_frame
from lerobot_inference.types import ActionChunk, ActionMode, FloatArray, ImageShape, PolicySpec, UInt8Array

CAMERA = "observation.images.color"
SMALL = ImageShape(2, 3)
FPS = 30.0


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


@dataclass
class Demonstration:
    """Another episode of the dataset."""

    index: int
    states: FloatArray
    actions: FloatArray

    @property
    def scored_length(self) -> int:
        return len(self.actions)


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
    other = Demonstration(1, states[::-1], actions[::-1])
    others = Demonstrations.join([other], np.ones(joints))
    recorded = BaselineInput(states[:-1], actions, actions.mean(axis=0), mode, FPS, others)
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
    sums = {name: Sums(np.zeros(joints), np.zeros(joints)) for name in ("policy", *BASELINES)}
    absolute, counts = np.zeros(chunk_size), [0] * chunk_size
    for frame in steps:
        chunk = engine.chunks[recorded.states[frame].tobytes()]
        for k in range(min(chunk_size, len(truth) - frame)):
            sums["policy"].add(chunk[k], truth[frame + k])
            for name, baseline in BASELINES.items():
                sums[name].add(baseline(recorded, np.array([frame]), np.array([k]))[0], truth[frame + k])
            absolute[k] += np.abs(chunk[k].astype(np.float64) - truth[frame + k]).sum()
            counts[k] += joints
    return sums, absolute, counts


def assert_equal(found: ProtocolScore, expected: tuple[dict[str, Sums], FloatArray, list[int]]) -> None:
    sums, absolute, counts = expected
    assert found.baselines.keys() == BASELINES.keys()
    for name, predictor in {"policy": found.error, **found.baselines}.items():
        assert predictor.steps == sums[name].steps
        assert predictor.largest.max() == sums[name].largest
        np.testing.assert_allclose(predictor.squared.total, sums[name].squared, rtol=1e-12)
        np.testing.assert_allclose(predictor.absolute.total, sums[name].absolute, rtol=1e-12)
    np.testing.assert_allclose(found.means["horizon_error"].total, absolute, rtol=1e-12)
    assert found.means["horizon_error"].count.tolist() == counts


def assert_mean(found: Mean, terms: list[FloatArray]) -> None:
    """`found` is the mean of `terms`, or of nothing."""
    assert found.count == len(terms)
    np.testing.assert_allclose(found.total, sum(terms, np.zeros_like(found.total)), rtol=1e-9, atol=1e-9)


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


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 30),
    chunk=st.integers(1, 12),
    joints=st.sampled_from([1, 6, 7]),
    stride=st.integers(1, 5),
    batch_size=st.integers(1, 9),
    mode=st.sampled_from(ActionMode),
)
def test_motion_within_chunks_and_between_successive_ones_is_measured_across_batches(
    steps: int, chunk: int, joints: int, stride: int, batch_size: int, mode: ActionMode
) -> None:
    episode, engine, recorded = example(steps, chunk, joints, mode)
    asked = range(steps)[::stride]
    means = replay_every_frame(episode, asked, engine, recorded, batch_size).means
    said = {t: engine.chunks[recorded.states[t].tobytes()].astype(np.float64)[: steps - t] for t in asked}
    done = {t: recorded.actions[t : t + chunk].astype(np.float64) for t in asked}
    is_delta = mode is ActionMode.DELTA
    for name, sequences in {"predicted.jerk": said, "recorded.jerk": done}.items():
        jerks = [np.diff(actions, n=2 if is_delta else 3, axis=0) * FPS**3 for actions in sequences.values()]
        assert_mean(means[name], [jerk**2 for each in jerks for jerk in each])
    ends = [np.abs((said[t] - done[t]).sum(axis=0)) for t in asked]
    assert_mean(means["drift.chunk_end"], ends if is_delta else [])
    cosines = []
    for t in asked:
        origin = np.zeros(joints) if is_delta else recorded.states[t : t + chunk].astype(np.float64)
        p, r = said[t] - origin, done[t] - origin
        cosines += list((p * r).sum(axis=1) / np.sqrt((p**2).sum(axis=1) * (r**2).sum(axis=1)))
    assert_mean(means["direction_cosine"], cosines)
    disagreements = [
        (earlier - later) ** 2
        for t in asked
        if t + stride in said
        for earlier, later in zip(said[t][stride:], said[t + stride], strict=False)
    ]
    assert_mean(means["overlap_disagreement"], disagreements)


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
