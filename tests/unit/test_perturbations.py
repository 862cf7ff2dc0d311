"""What --perturb does to pictures, and to which picture is seen when."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lerobot_inference.errors import DatasetError, UsageError
from lerobot_inference.evaluation.figures import is_figure
from lerobot_inference.evaluation.perturbations import (
    EXAMPLES,
    Delay,
    Drop,
    Exposure,
    Jpeg,
    PerturbedEpisode,
    SwapRedBlue,
    parse_perturbations,
)
from lerobot_inference.types import FloatArray, UInt8Array

CAMERAS = ["observation.images.color", "observation.images.wrist"]

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))
conditions = st.one_of(
    st.builds(Jpeg, quality=st.integers(1, 100)),
    st.builds(Exposure, factor=st.floats(0, 8, exclude_min=True)),
    st.just(SwapRedBlue()),
    st.builds(Delay, periods=st.integers(1, 30)),
    st.builds(Drop, probability=st.floats(0, 1, exclude_max=True)),
)


@dataclass
class Recording:
    """Each picture shows its frame's number in red and its camera's in blue; remembers what was decoded."""

    length: int
    decoded: list[int] = field(default_factory=list)
    closed: bool = False

    @property
    def states(self) -> FloatArray:
        return np.arange(self.length * 2, dtype=np.float32).reshape(-1, 2)

    def frames(self, wanted: Sequence[int], cameras: Sequence[str]) -> Generator[dict[str, UInt8Array]]:
        if list(wanted) != sorted(set(wanted)):
            raise DatasetError("frames must ascend")
        try:
            for number in wanted:
                self.decoded.append(number)
                yield {name: np.full((2, 3, 3), [number, 0, CAMERAS.index(name)], np.uint8) for name in cameras}
        finally:
            self.closed = True


def seen(episode: PerturbedEpisode, wanted: Sequence[int]) -> list[int]:
    """The frame numbers that the first camera shows."""
    return [int(views[CAMERAS[0]][0, 0, 0]) for views in episode.frames(wanted, CAMERAS)]


@given(conditions)
def test_a_condition_is_written_as_it_is_read(condition: object) -> None:
    (found,) = parse_perturbations(condition.name)  # type: ignore[attr-defined]
    assert found == condition


@given(conditions)
def test_a_gate_rule_can_name_the_figures_of_any_condition(condition: Jpeg) -> None:
    assert is_figure(f"robustness.{condition.name}.mse_ratio")
    assert is_figure(f"robustness.{condition.name}.error.per_joint_mae")
    assert not is_figure(f"robustness.{condition.name}.interval.low")


def test_each_item_is_a_condition_and_a_kind_may_come_at_several_strengths() -> None:
    found = parse_perturbations(" jpeg:50, exposure:1,swap_rb,delay:1,delay:3,drop:0.1")
    assert [each.name for each in found] == ["jpeg:50", "exposure:1", "swap_rb", "delay:1", "delay:3", "drop:0.1"]
    assert parse_perturbations("") == parse_perturbations(" ") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur:3", "'blur:3' is unknown"),
        ("jpeg:50,", "'' is unknown"),
        ("jpeg", "'jpeg': jpeg needs its quality"),
        ("jpeg:", "'jpeg:': quality: "),
        ("jpeg:0", "'jpeg:0': quality: .* greater than or equal to 1"),
        ("jpeg:101", "less than or equal to 100"),
        ("jpeg:5.5", "quality: .* integer"),
        ("jpeg:50:60", "quality: .* integer"),
        ("exposure:0", "factor: .* greater than 0"),
        ("exposure:8.1", "less than or equal to 8"),
        ("exposure:nan", "factor: .* finite"),
        ("swap_rb:1", "swap_rb takes no parameter"),
        ("swap_rb:", "swap_rb takes no parameter"),
        ("delay:0", "periods: .* greater than or equal to 1"),
        ("delay:31", "less than or equal to 30"),
        ("drop:1", "probability: .* less than 1"),
        ("drop:-0.1", "greater than or equal to 0"),
        ("delay:1,jpeg:50,delay:1", "--perturb has delay:1 twice"),
        ("exposure:1,exposure:1.0", "--perturb has exposure:1 twice"),
    ],
)
def test_what_is_not_understood_is_a_usage_error_that_lists_what_is(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_perturbations(text)
    assert caught.value.hint is not None
    assert EXAMPLES in caught.value.hint or "twice" in caught.value.message


@given(pictures, conditions)
def test_a_worsened_picture_has_the_size_and_type_of_the_picture_and_leaves_it_alone(
    image: UInt8Array, condition: Jpeg
) -> None:
    before = image.copy()
    worse = condition.worsen(image)
    assert (worse.shape, worse.dtype) == (image.shape, np.uint8)
    assert np.array_equal(image, before)


@given(pictures)
def test_an_exposure_of_one_and_a_swap_done_twice_change_nothing(image: UInt8Array) -> None:
    assert np.array_equal(Exposure(factor=1).worsen(image), image)
    assert np.array_equal(SwapRedBlue().worsen(SwapRedBlue().worsen(image)), image)


@given(pictures, st.floats(0.01, 8), st.floats(0.01, 8))
def test_more_light_is_never_darker(image: UInt8Array, one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert (Exposure(factor=low).worsen(image) <= Exposure(factor=high).worsen(image)).all()


def test_exposure_is_a_factor_on_linear_light() -> None:
    """Half the light of middle grey, and twice: sRGB 188 is linear 0.503, 137 is 0.250 and 255 is 1."""
    grey = np.full((1, 1, 3), 188, np.uint8)
    assert Exposure(factor=0.5).worsen(grey).tolist() == [[[137] * 3]]
    assert Exposure(factor=2).worsen(grey).tolist() == [[[255] * 3]]
    black = np.zeros((1, 1, 3), np.uint8)
    assert Exposure(factor=8).worsen(black).tolist() == [[[0] * 3]]
    # The linear foot of the curve: sRGB 5 is 5/255/12.92, and twice that is still below 0.0031308.
    assert Exposure(factor=2).worsen(np.full((1, 1, 3), 5, np.uint8)).tolist() == [[[10] * 3]]


def test_a_lower_jpeg_quality_is_further_from_the_picture() -> None:
    rows, columns = np.mgrid[0:64, 0:96]
    image = np.stack([rows * 4, columns * 2, (rows * columns) % 256], axis=-1).astype(np.uint8)
    errors = [np.abs(Jpeg(quality=q).worsen(image).astype(int) - image).mean() for q in (100, 90, 50, 10)]
    assert errors == sorted(errors)
    assert 0 < errors[0] < errors[-1]


def test_red_and_blue_change_places() -> None:
    assert SwapRedBlue().worsen(np.array([[[1, 2, 3]]], np.uint8)).tolist() == [[[3, 2, 1]]]


def test_delayed_pictures_are_those_of_before_and_the_first_at_the_start() -> None:
    episode = PerturbedEpisode.of(Recording(10), Delay(periods=3), [0])
    assert seen(episode, range(10)) == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]


@given(st.integers(1, 60), st.integers(1, 30))
def test_a_picture_is_late_by_the_delay_and_never_from_before_the_start(frames: int, periods: int) -> None:
    shown = Delay(periods=periods).shown(frames, np.random.default_rng(0))
    assert shown.tolist() == [max(frame - periods, 0) for frame in range(frames)]


@given(st.integers(1, 60), st.floats(0, 0.99), st.integers(0, 1000))
def test_a_lost_picture_leaves_the_last_one_that_arrived(frames: int, probability: float, seed: int) -> None:
    shown = Drop(probability=probability).shown(frames, np.random.default_rng(seed))
    assert shown[0] == 0
    for frame in range(1, frames):
        assert shown[frame] in (frame, shown[frame - 1])
    if probability == 0:
        assert shown.tolist() == list(range(frames))


def test_pictures_are_lost_with_the_probability_and_those_of_a_lower_one_at_a_higher_one() -> None:
    frames = np.arange(20_000)
    few, many = (Drop(probability=p).shown(len(frames), np.random.default_rng(1)) != frames for p in (0.1, 0.5))
    assert few.mean() == pytest.approx(0.1, abs=0.01)
    assert many.mean() == pytest.approx(0.5, abs=0.02)
    assert many[few].all()


def test_what_is_lost_depends_on_the_evaluation_and_the_episode_alone() -> None:
    shown = [PerturbedEpisode.of(Recording(200), Drop(probability=0.3), seed).shown.tolist() for seed in ([0, 4],) * 2]
    assert shown[0] == shown[1]
    for other in ([0, 5], [1, 4]):
        assert PerturbedEpisode.of(Recording(200), Drop(probability=0.3), other).shown.tolist() != shown[0]


def test_only_frames_that_are_seen_are_decoded_and_each_once() -> None:
    recording = Recording(50)
    assert seen(PerturbedEpisode.of(recording, Delay(periods=10), [0]), range(0, 50, 8)) == [0, 0, 6, 14, 22, 30, 38]
    assert recording.decoded == [0, 6, 14, 22, 30, 38]


@given(conditions, st.integers(1, 60), st.data())
def test_every_wanted_period_is_answered_by_what_is_shown_then(
    condition: Delay, length: int, data: st.DataObject
) -> None:
    wanted = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1)))
    recording = Recording(length)
    episode = PerturbedEpisode.of(recording, condition, [0, 1])
    views = list(episode.frames(wanted, CAMERAS))
    assert recording.decoded == sorted({int(episode.shown[period]) for period in wanted})
    for period, view in zip(wanted, views, strict=True):
        for number, camera in enumerate(CAMERAS):
            recorded = np.full((2, 3, 3), [episode.shown[period], 0, number], np.uint8)
            assert np.array_equal(view[camera], condition.worsen(recorded))


def test_states_are_those_of_now_and_closing_ends_the_decoding() -> None:
    recording = Recording(10)
    episode = PerturbedEpisode.of(recording, Delay(periods=2), [0])
    assert np.array_equal(episode.states, recording.states)
    views = episode.frames(range(10), CAMERAS)
    next(views)
    views.close()
    assert recording.closed
