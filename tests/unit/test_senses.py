"""What is taken from the robot's messages, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.control.image import read_image
from lerobot_inference.control.senses import Senses, Stamps
from lerobot_inference.errors import InputError
from lerobot_inference.types import ImageShape

JOINTS = ("pan", "lift", "elbow")


@given(order=st.permutations(["pan", "lift", "elbow", "gripper"]))
def test_joints_are_found_by_name_in_any_order_among_others(order: list[str]) -> None:
    angles = {"pan": 0.1, "lift": 0.2, "elbow": 0.3, "gripper": 9.0}
    senses = Senses(JOINTS)
    assert senses.see_joints(order, [angles[name] for name in order], 1.0, 1.0)
    assert senses.joints == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("names", "positions", "reason"),
    [
        (["pan", "lift"], [0.0, 0.0], "missing or named twice"),
        (["pan", "lift", "elbow", "pan"], [0.0, 0.0, 0.0, 1.0], "missing or named twice"),
        (["pan", "lift", "elbow"], [0.0, 0.0], "missing or named twice"),
        (["pan", "lift", "elbow"], [0.0, float("nan"), 0.0], "not finite"),
    ],
)
def test_a_joint_state_that_is_not_whole_is_dropped_and_counted_and_never_filled_with_zeros(
    names: list[str], positions: list[float], reason: str
) -> None:
    senses = Senses(JOINTS)
    assert not senses.see_joints(names, positions, 1.0, 1.0)
    assert senses.joints is None
    (told,) = senses.dropped
    assert reason in told


def test_another_device_on_the_topic_is_ignored() -> None:
    senses = Senses(JOINTS)
    assert not senses.see_joints(["finger"], [0.5], 1.0, 1.0)
    assert not senses.dropped


def test_an_image_before_the_joint_state_makes_no_pose() -> None:
    senses = Senses(JOINTS)
    senses.see_image(np.zeros((2, 2, 3), np.uint8), 1.0, 1.0)
    assert not senses.complete
    with pytest.raises(LookupError, match="no joint state"):
        _ = senses.seen


def test_a_stamp_of_the_future_is_another_clock_and_one_that_goes_back_is_dropped() -> None:
    stamps = Stamps()
    assert stamps.accept(10.0, 10.0) == 10.0
    assert stamps.accept(99.0, 10.1) == 10.1
    assert stamps.accept(10.05, 10.2) is None
    assert stamps.accept(0.0, 10.3) == 10.3


def test_a_message_that_comes_again_and_again_grows_old_whatever_clock_it_is_stamped_by() -> None:
    for ahead_s in (0.0, -0.1, 3600.0):
        stamps = Stamps()
        made = stamps.accept(10.0 + ahead_s, 10.0)
        assert [stamps.accept(10.0 + ahead_s, now_s) for now_s in (10.1, 10.2, 11.0)] == [made] * 3
        assert stamps.accept(11.1 + ahead_s, 11.1) == pytest.approx(min(11.1 + ahead_s, 11.1))


SHAPE = ImageShape(3, 4)


def bytes_of(picture: np.ndarray, padding: int = 0) -> tuple[bytes, int]:
    """Rows with some bytes after each, and how long a row is then."""
    rows = picture.reshape(len(picture), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return padded.tobytes(), padded.shape[1]


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2, 3]), ("bgra8", [2, 1, 0, 3])],
)
def test_every_colour_encoding_and_row_padding_gives_the_same_picture(
    encoding: str, channels: list[int], padding: int
) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (3, 4, 4), np.uint8)
    data, step = bytes_of(rgba[:, :, channels], padding)
    assert np.array_equal(read_image(data, encoding, 3, 4, step, SHAPE), rgba[:, :, :3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "mono8"}, "encoding 'mono8', expected one of rgb8"),
        ({"height": 4}, "36 bytes for 4 rows"),
        ({"step": 11}, "36 bytes for 3 rows of 11"),
        ({"shape": ImageShape(6, 8)}, "3x4, the policy was trained on 6x8"),
    ],
)
def test_an_image_that_does_not_fit_is_refused_with_the_reason(change: dict[str, object], message: str) -> None:
    asked: dict[str, object] = {"encoding": "rgb8", "height": 3, "width": 4, "step": 12, "shape": SHAPE}
    with pytest.raises(InputError, match=message):
        read_image(bytes(36), **(asked | change))  # type: ignore[arg-type]


def test_a_crop_that_was_asked_for_keeps_the_aspect_ratio() -> None:
    picture = np.zeros((8, 20, 3), np.uint8)
    picture[:, 8:12] = 255  # a square of 8x4, which must stay twice as high as wide
    data, step = bytes_of(picture)
    cropped = read_image(data, "rgb8", 8, 20, step, ImageShape(4, 6), crop=True)
    assert cropped.shape == (4, 6, 3)
    assert (cropped[:, :, 0] > 127).sum(axis=1).tolist() == [2, 2, 2, 2]
