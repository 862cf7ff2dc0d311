"""Training samples straight from the simulated cell: an image, the state, and what the expert does next.

Every scene gives a few frames at random moments of its episode, which is far more varied than as many frames of a few
whole episodes. Half of the scenes start near the goal, where a policy that missed a little has to recover.
"""

from __future__ import annotations

import io
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.sim.cell import Cell
from lerobot_inference.sim.expert import Demonstration, demonstrate
from lerobot_inference.sim.scene import Scene, sample_scene, scene_rng
from lerobot_inference.types import FloatArray, ImageShape, Progress, UInt8Array, silent

FRAMES_PER_SCENE = 4
_SCENES_PER_JOB = 50


@dataclass(frozen=True)
class Samples:
    """N training samples.

    images: (N, H, W, 3) uint8 RGB. states: (N, 6) radians. actions: (N, chunk, 6) radians, the expert's deltas.
    is_pad: (N, chunk) where the episode had already ended. targets: (N, 2) metres, where the ball is.
    """

    images: UInt8Array
    states: FloatArray
    actions: FloatArray
    is_pad: NDArray[np.bool_]
    targets: FloatArray

    def __len__(self) -> int:
        return len(self.images)


def make_samples(count: int, chunk: int, image: ImageShape, seed: int, progress: Progress = silent) -> Samples:
    """Render `count` samples (rounded up to whole scenes) on all cores. The same arguments give the same samples."""
    scenes = -(-count // FRAMES_PER_SCENE)
    jobs = [range(first, min(first + _SCENES_PER_JOB, scenes)) for first in range(0, scenes, _SCENES_PER_JOB)]
    parts = []
    # Spawned, not forked: an OpenGL context doesn't survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for part in pool.map(_render_scenes, jobs, repeat(chunk), repeat(image), repeat(seed)):
            parts.append(part)
            progress("rendering samples", sum(map(len, parts)), scenes * FRAMES_PER_SCENE)
    return _concatenate(parts)


def _render_scenes(scenes: range, chunk: int, image: ImageShape, seed: int) -> Samples:
    cell = Cell(image)
    parts = [_render_scene(cell, index, chunk, scene_rng("train", seed, index)) for index in scenes]
    cell.close()
    return _concatenate(parts)


def _render_scene(cell: Cell, index: int, chunk: int, rng: np.random.Generator) -> Samples:
    scene = sample_scene(rng)
    if index % 2:
        scene = scene.near_goal(rng)
    demonstration = demonstrate(cell, scene, lambda ticks: rng.choice(ticks, FRAMES_PER_SCENE, replace=False))
    samples = _cut(demonstration, chunk, scene)
    for image in samples.images[::2]:
        image[:] = _compress(image, quality=int(rng.integers(20, 90)))
    return samples


def _compress(image: UInt8Array, quality: int) -> UInt8Array:
    """The image after JPEG: recorded video has lost colour resolution and detail in much the same way."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), dtype=np.uint8)


def _cut(demonstration: Demonstration, chunk: int, scene: Scene) -> Samples:
    """One sample for each rendered tick; a chunk that reaches past the episode's end is padded with zeros."""
    ticks = np.array(sorted(demonstration.images))
    future = ticks[:, None] + np.arange(chunk)
    is_pad = future >= len(demonstration.states)
    actions = demonstration.actions[np.minimum(future, len(demonstration.states) - 1)]  # the last action is zero
    return Samples(
        images=np.stack([demonstration.images[tick] for tick in ticks]),
        states=demonstration.states[ticks],
        actions=actions,
        is_pad=is_pad,
        targets=np.tile(scene.target.astype(np.float32), (len(ticks), 1)),
    )


def _concatenate(parts: list[Samples]) -> Samples:
    return Samples(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Samples)))
