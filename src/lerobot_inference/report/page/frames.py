"""Camera frames as small JPEGs within a page, as many as the page may hold."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from lerobot_inference.dataset import Dataset
from lerobot_inference.types import IntArray, Progress, UInt8Array, silent

WIDTH = 320
QUALITY = 60
MOST_CHARACTERS = 12_000_000
"""Of base64, for the frames of all episodes and cameras together."""


@dataclass(frozen=True)
class Frames:
    """jpegs: episode -> camera -> base64, of each `every`-th step."""

    jpegs: dict[int, dict[str, list[str]]]
    every: int

    @property
    def count(self) -> int:
        """How many pictures."""
        return sum(len(jpegs) for cameras in self.jpegs.values() for jpegs in cameras.values())

    @property
    def size(self) -> int:
        """Characters of base64."""
        return sum(len(jpeg) for cameras in self.jpegs.values() for jpegs in cameras.values() for jpeg in jpegs)


def embed_frames(dataset: Dataset, steps: Mapping[int, IntArray], progress: Progress) -> Frames:
    """Every k-th of the frames `steps` (episode -> frame numbers), k so small as MOST_CHARACTERS allows.

    Raises DatasetError when a frame can't be read.
    """
    # A few frames of one episode tell how large they are; where they misled, a larger k is tried.
    episode, numbers = next(iter(steps.items()))
    sample = _encode(dataset, {episode: numbers}, max(1, len(numbers) // 3), silent)
    pictures = sum(map(len, steps.values())) * len(dataset.cameras)
    every = max(1, math.ceil(pictures * sample.size / sample.count / MOST_CHARACTERS))
    longest = max(map(len, steps.values()))
    while (frames := _encode(dataset, steps, every, progress)).size > MOST_CHARACTERS and every < longest:
        every = max(every + 1, math.ceil(every * frames.size / MOST_CHARACTERS))
    return frames


def _encode(dataset: Dataset, steps: Mapping[int, IntArray], every: int, progress: Progress) -> Frames:
    jpegs: dict[int, dict[str, list[str]]] = {}
    for done, (episode, numbers) in enumerate(steps.items()):
        progress("frames", done, len(steps))
        jpegs[episode] = {camera: [] for camera in dataset.cameras}
        for pictures in dataset.episode(episode).frames(numbers[::every].tolist()):
            for camera, picture in pictures.items():
                jpegs[episode][camera].append(base64.b64encode(to_jpeg(picture)).decode())
    progress("frames", len(steps), len(steps))
    return Frames(jpegs, every)


def to_jpeg(picture: UInt8Array) -> bytes:
    """(H, W, 3) RGB -> a JPEG no wider than WIDTH."""
    from PIL import Image

    image = Image.fromarray(picture)
    if image.width > WIDTH:
        image = image.resize((WIDTH, max(1, round(image.height * WIDTH / image.width))), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()
