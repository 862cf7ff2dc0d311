"""Position embeddings of the encoder's tokens: the sinusoids that lerobot computes anew in every forward pass."""

from __future__ import annotations

import numpy as np

from lerobot_inference.engine.graph.weights import Array
from lerobot_inference.types import ImageShape

TEMPERATURE = 10000
EPS = 1e-6


def image_positions(size: ImageShape, width: int) -> Array:
    """(size.height * size.width, width) embedding of a feature map's cells, row by row.

    As in DETR (arXiv 2005.12872): y and x from 1, divided by the last index, over a full turn; sines on even and
    cosines on odd channels; the first half of the channels tells y, the second x.
    """
    half = width // 2
    y = _waves(size.height, half)[:, None, :]
    x = _waves(size.width, half)[None, :, :]
    shape = (size.height, size.width, half)
    grid = np.concatenate([np.broadcast_to(y, shape), np.broadcast_to(x, shape)], axis=-1)
    return grid.reshape(-1, width)


def _waves(length: int, channels: int) -> Array:
    """(length, channels)"""
    place = np.arange(1, length + 1)
    angle = place / (length + EPS) * 2 * np.pi
    frequency = TEMPERATURE ** (2 * (np.arange(channels) // 2) / channels)
    waves = angle[:, None] / frequency
    waves[:, 0::2] = np.sin(waves[:, 0::2])
    waves[:, 1::2] = np.cos(waves[:, 1::2])
    return waves
