"""Frames of one episode from a video file: one open, one pass forward, long gaps skipped."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lerobot_inference.dataset.metadata import VideoSpan
from lerobot_inference.errors import DatasetError
from lerobot_inference.types import ImageShape, UInt8Array

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

SKIPPED_FRAMES = 30  # a gap that is cheaper to seek over than to decode
REORDERED_FRAMES = 16  # H.264 and HEVC show no picture further before one that precedes it in the file
ADVICE = "fetch the file again, or leave this episode out"


def read_frames(
    span: VideoSpan, numbers: Sequence[int], times_s: Sequence[float], fps: float, shape: ImageShape
) -> Generator[UInt8Array]:
    """Yield an episode's frames `numbers`, shown at `times_s` (ascending, since its start), as (H, W, 3) RGB.

    A picture belongs to a time when it is the nearest and less than half a frame period away.
    Raises DatasetError naming the file and the frame that can't be read.
    """
    import av

    done = 0
    try:
        # Absolute: FFmpeg takes what stands before the colon of 2026-02-27T10:30/... for a protocol.
        with av.open(str(span.file.absolute())) as container:
            if not container.streams.video:
                raise DatasetError(f"{span.file}: holds no video stream", hint=ADVICE)
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            start_s = span.start_s - _counted_from(span, stream, fps)
            wanted = [start_s + time for time in times_s]
            for picture in nearest(_decode(container, stream, wanted, fps), wanted, 0.5 / fps):
                found = ImageShape(picture.height, picture.width)
                if found != shape:
                    raise DatasetError(f"{span.file}: pictures are {found}, meta/info.json says {shape}")
                yield picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                done += 1
    except (OSError, av.FFmpegError) as error:
        raise DatasetError(f"{span.file}: frame {numbers[done]} can't be decoded: {error}", hint=ADVICE) from error
    if done < len(numbers):
        raise DatasetError(
            f"{span.file}: no picture for frame {numbers[done]}, {wanted[done]:.3f} s into the file: "
            "the video doesn't have the frames that the table has",
            hint=ADVICE,
        )


def nearest[T](timed: Iterable[tuple[float, T]], wanted: Sequence[float], tolerance: float) -> Iterator[T]:
    """For each wanted time the item nearest in time, the earlier one of two equally near.

    Both go forward in time. Stops at the first wanted time that has no item within (not at) `tolerance`.
    """
    done = 0
    before: tuple[float, T | None] = (-math.inf, None)
    for now in chain(timed, [(math.inf, None)]):
        while done < len(wanted) and wanted[done] <= now[0]:
            time, item = before if wanted[done] - before[0] <= now[0] - wanted[done] else now
            if item is None or abs(time - wanted[done]) >= tolerance:
                return
            yield item
            done += 1
        if done == len(wanted):
            return
        before = now


def _decode(
    container: InputContainer, stream: VideoStream, wanted: Sequence[float], fps: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Pictures with their presentation times: all that `nearest` needs for the `wanted` times, and few others."""
    longest_gap = SKIPPED_FRAMES / fps
    last = -math.inf
    coming = deque(wanted)
    while coming:
        for time, picture in _decode_from(container, stream, coming[0], fps):
            if time <= last:  # the seek went back: keyframes are further apart than the wanted times
                longest_gap = math.inf
            last = time
            yield time, picture
            while coming and coming[0] <= time:
                coming.popleft()
            if not coming or coming[0] - time > longest_gap:
                break
        else:
            return


def _decode_from(
    container: InputContainer, stream: VideoStream, from_s: float, fps: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Pictures with their presentation times, from the keyframe at or before `from_s` to the end."""
    import av

    for frames_back in (0.5, REORDERED_FRAMES):
        container.seek(int((from_s - frames_back / fps) * av.time_base))
        pictures = container.decode(stream)
        first = next(pictures, None)
        # A later start means that `from_s` needs the keyframe before the one found (HEVC's open groups of pictures).
        if first is None or first.time is None or first.time < from_s + 0.5 / fps:
            break
    for picture in chain([first] if first else [], pictures):
        if picture.is_corrupt:
            raise DatasetError(f"{container.name}: damaged at {picture.time} s", hint=ADVICE)
        if picture.time is not None:
            yield picture.time, picture


def _counted_from(span: VideoSpan, stream: VideoStream, fps: float) -> float:
    """What the metadata calls the file's first moment: 0, or the start of its first episode.

    Some datasets give each episode its own file and yet count timestamps from the start of the whole dataset. They
    show in that the metadata's span doesn't fit into the file's own duration as written, and fits from 0.
    """
    if stream.duration is None or stream.time_base is None:
        return 0.0
    duration_s = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    slack_s = 0.5 / fps
    length_s = span.file_end_s - span.file_start_s
    fits_as_written = span.file_end_s <= duration_s + slack_s
    # A file cut short fits neither way; one much longer than its episodes is no cumulative file either.
    fits_from_zero = length_s - slack_s <= duration_s <= length_s + 1.0
    if fits_as_written or not fits_from_zero:
        return 0.0
    log.info(
        "%s: from_timestamp %.3f s counts from the dataset's start (the file lasts %.3f s): reading it from 0",
        span.file,
        span.start_s,
        duration_s,
    )
    return span.file_start_s
