"""Which picture belongs to which time."""

from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.dataset.video import nearest

PERIOD = 1 / 30
frame_numbers = st.lists(st.integers(0, 300), unique=True).map(sorted)
jitter = st.floats(-0.4, 0.4)


@given(st.integers(1, 301), frame_numbers, st.data())
def test_a_picture_less_than_half_a_period_away_is_the_frame(
    count: int, wanted: list[int], data: st.DataObject
) -> None:
    wanted = [n for n in wanted if n < count]
    times = [(n + data.draw(jitter)) * PERIOD for n in wanted]
    assert list(nearest(((n * PERIOD, n) for n in range(count)), times, PERIOD / 2)) == wanted


@given(st.integers(0, 40), frame_numbers)
def test_it_stops_at_the_first_frame_that_the_video_lacks(count: int, wanted: list[int]) -> None:
    found = list(nearest(((n * PERIOD, n) for n in range(count)), [n * PERIOD for n in wanted], PERIOD / 2))
    assert found == [n for n in wanted if n < count]


@given(st.lists(st.floats(0, 10), min_size=1, unique=True).map(sorted), st.lists(st.floats(0, 10)).map(sorted))
def test_no_picture_is_nearer_than_the_chosen_one(pictures: list[float], wanted: list[float]) -> None:
    found = list(nearest(((t, t) for t in pictures), wanted, tolerance=100.0))
    assert [abs(f - w) for f, w in zip(found, wanted, strict=True)] == [
        min(abs(picture - time) for picture in pictures) for time in wanted
    ]


def test_a_picture_exactly_half_a_period_away_is_not_the_frame() -> None:
    assert list(nearest([(0.0, "a"), (1.0, "b")], [0.5], tolerance=0.5)) == []


def test_it_reads_no_further_than_the_last_wanted_time() -> None:
    pictures = iter([(float(n), n) for n in range(100)])
    assert list(nearest(pictures, [1.0, 3.0], 0.5)) == [1, 3]
    assert next(pictures)[1] == 4
