"""Any selection of frames equals the same pictures of a plain decode from the start, however the video is encoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot_writer import picture

from lerobot_inference.dataset.metadata import VideoSpan
from lerobot_inference.dataset.video import read_frames
from lerobot_inference.errors import DatasetError
from lerobot_inference.types import ImageShape, UInt8Array

FRAMES, FPS, SIZE = 150, 30, (64, 96)
ENCODINGS: dict[str, tuple[str, dict[str, str]]] = {
    "h264, one keyframe": ("libx264", {"g": "1000", "bf": "3"}),
    "h264, keyframes 20 apart": ("libx264", {"g": "20", "bf": "3"}),
    "h264, open groups of pictures": ("libx264", {"bf": "3", "x264-params": "open-gop=1:keyint=20"}),
    "hevc, open groups of pictures": ("libx265", {"x265-params": "keyint=20:log-level=none"}),
    "av1, keyframes 40 apart": ("libsvtav1", {"g": "40"}),
}

type Video = tuple[Path, list[UInt8Array]]


@pytest.fixture(scope="module")
def video_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Video]:
    """Encoding -> a video file and its pictures, plainly decoded. Each is written once."""
    folder, written = tmp_path_factory.mktemp("videos"), dict[str, Video]()

    def make(encoding: str) -> Video:
        if encoding not in written:
            path = folder / f"{len(written)}.mp4"
            codec, options = ENCODINGS[encoding]
            with av.open(str(path), "w") as container:
                stream = container.add_stream(codec, FPS, options=options)
                stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
                for t in range(FRAMES):
                    image = picture(SIZE, frame=t, episode=0, camera=0)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                container.mux(stream.encode())
            with av.open(str(path)) as container:
                written[encoding] = path, [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return written[encoding]

    return make


def read(path: Path, numbers: list[int], start_frame: int = 0) -> list[UInt8Array]:
    span = VideoSpan(path, start_s=start_frame / FPS, file_start_s=0.0, file_end_s=FRAMES / FPS)
    return list(read_frames(span, numbers, [n / FPS for n in numbers], FPS, ImageShape(*SIZE)))


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=30, deadline=None)
@given(numbers=st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=8, unique=True).map(sorted))
def test_selected_frames_are_the_pictures_of_a_plain_decode(
    video_of: Callable[[str], Video], encoding: str, numbers: list[int]
) -> None:
    path, pictures = video_of(encoding)
    for number, image in zip(numbers, read(path, numbers), strict=True):
        np.testing.assert_array_equal(image, pictures[number])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_episode_may_start_anywhere_in_its_file(video_of: Callable[[str], Video], encoding: str) -> None:
    path, pictures = video_of(encoding)
    for start in range(0, FRAMES, 7):
        np.testing.assert_array_equal(read(path, [0], start)[0], pictures[start])


def test_a_frame_past_the_end_is_named_after_those_before_it(video_of: Callable[[str], Video]) -> None:
    path, _ = video_of("h264, keyframes 20 apart")
    span = VideoSpan(path, start_s=0.0, file_start_s=0.0, file_end_s=5.0)
    frames = read_frames(span, [148, 149, 150], [148 / FPS, 149 / FPS, 150 / FPS], FPS, ImageShape(*SIZE))
    assert next(frames).shape == next(frames).shape == (*SIZE, 3)
    with pytest.raises(DatasetError, match="no picture for frame 150"):
        next(frames)
