"""Joint names and image sizes in all the spellings of info.json."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.dataset.features import Feature, image_shape, joint_names
from lerobot_inference.types import ImageShape

unique_names = st.lists(st.text(min_size=1, max_size=8).filter(lambda s: not s.isdecimal()), min_size=1, unique=True)


@given(unique_names)
def test_every_spelling_of_the_names_gives_the_same_order(names: list[str]) -> None:
    count, expected = len(names), tuple(names)
    assert joint_names(names, count) == expected
    assert joint_names({"motors": names}, count) == expected
    assert joint_names({str(j): name for j, name in enumerate(names)}, count) == expected
    assert joint_names({name: j for j, name in reversed(list(enumerate(names)))}, count) == expected


def test_numbered_names_are_sorted_as_numbers() -> None:
    assert joint_names({str(j): f"joint_{j}" for j in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9)}, 11)[2] == "joint_2"


def test_without_names_joints_are_numbered() -> None:
    assert joint_names(None, 3) == ("joint_0", "joint_1", "joint_2")


@pytest.mark.parametrize("names", [["a"], ["a", "a"], {"motors": ["a", 3]}, {"a": "b"}, {"x": [1, 2]}, "ab", 7, {}])
def test_names_that_do_not_fit_are_refused(names: object) -> None:
    with pytest.raises(ValueError, match="expected 2 different names"):
        joint_names(names, 2)


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((480, 848, 3), ["height", "width", "channels"]),
        ((3, 480, 848), ["channels", "height", "width"]),
        ((480, 848, 3), None),
        ((3, 480, 848), None),
    ],
)
def test_image_sizes_are_found_channels_first_or_last(shape: tuple[int, ...], names: list[str] | None) -> None:
    assert image_shape(shape, names) == ImageShape(480, 848)


@pytest.mark.parametrize("shape", [(480, 848), (480, 848, 7), ()])
def test_shapes_that_are_no_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="image shape"):
        image_shape(shape, None)


def test_a_depth_map_is_no_colour_camera() -> None:
    assert Feature(dtype="video", shape=(4, 4, 3)).is_camera
    assert not Feature(dtype="video", shape=(4, 4, 3), info={"is_depth_map": True}).is_camera
    assert not Feature(dtype="image", shape=(4, 4, 1)).is_camera
    assert not Feature(dtype="float32", shape=(6,)).is_camera
