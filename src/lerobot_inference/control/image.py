"""A camera message's bytes as the picture that a policy was trained on."""

from __future__ import annotations

from collections.abc import Buffer

import numpy as np

from lerobot_inference.errors import InputError
from lerobot_inference.types import ImageShape, UInt8Array

RGB, BGR = slice(0, 3), slice(2, None, -1)
CHANNELS = {"rgb8": RGB, "bgr8": BGR, "rgba8": RGB, "bgra8": BGR}
"""Encoding -> where red, green and blue are."""


def read_image(
    data: Buffer, encoding: str, height: int, width: int, step: int, shape: ImageShape, *, crop: bool = False
) -> UInt8Array:
    """(H, W, 3) uint8 RGB of `shape`, from rows of `step` bytes each; `data` itself where that is what it holds.

    crop: make a picture of another size fit by scaling it with its aspect ratio kept and cropping what is over.
    Raises InputError, also for another size where crop is not asked for: a squeezed picture is another world.
    """
    order = CHANNELS.get(encoding)
    if order is None:
        raise InputError(f"image: encoding {encoding!r}, expected one of {', '.join(CHANNELS)}")
    channels = 4 if "a8" in encoding else 3
    found = np.frombuffer(data, np.uint8)
    if height < 1 or width < 1 or step < width * channels or found.size != step * height:
        raise InputError(
            f"image: {found.size} bytes for {height} rows of {step}, of which {width * channels} are pixels"
        )
    if (height, width) != (shape.height, shape.width) and not crop:
        raise InputError(
            f"image: {height}x{width}, the policy was trained on {shape}",
            hint="set the camera to that size; resize:=crop scales and crops instead",
        )
    rows = found.reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    picture = rows[:, :, order]
    if (height, width) != (shape.height, shape.width):
        picture = _cropped(picture, shape)
    return np.ascontiguousarray(picture)


def _cropped(picture: UInt8Array, shape: ImageShape) -> UInt8Array:
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(Image.fromarray(picture), (shape.width, shape.height)))
