"""A policy that is shown nonsense contradicts itself from chunk to chunk, and is stopped for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from evaluation_kit import ShownNonsense

from lerobot_inference.control import ScheduleName
from lerobot_inference.control.guards.known import Origin
from lerobot_inference.dataset import Dataset
from lerobot_inference.export.overlap import calibrate
from lerobot_inference.sim.cell import CAMERA
from lerobot_inference.sim.record import record
from lerobot_inference.sim.rollout import Loop, rollout
from lerobot_inference.types import ActionChunk, FloatArray, ImageShape, PolicySpec, Precision, UInt8Array

SIZE = ImageShape(96, 160)
SPEC = PolicySpec(6, 6, {CAMERA: SIZE}, 20, 10)


@dataclass
class TurnsToTheBall:
    """Turns the shoulder towards where in the image it is red, the slower the nearer to the middle."""

    spec: PolicySpec = SPEC
    name: str = "turns to the ball"
    device: str = "cpu"
    precision: Precision = Precision.F32
    threads: int = 1

    def warm_up(self) -> float:
        return 0.0

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> ActionChunk:
        pictures = images[CAMERA].astype(np.float64)
        red = np.maximum(pictures[..., 0] - pictures[..., 1:].max(axis=-1) - 40, 0) + 1e-6
        places = np.linspace(-1, 1, pictures.shape[2])
        off = (red * places).sum(axis=(1, 2)) / red.sum(axis=(1, 2))
        actions = np.zeros((len(states), self.spec.chunk_size, 6), np.float32)
        actions[..., 0] = 0.004 * off[:, None]
        return ActionChunk(actions)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[float]]]:
    """What the policy's contract would say."""
    recorded = record(tmp_path_factory.mktemp("sim") / "dataset", episodes=3, seed=0, image=SIZE)
    thresholds = calibrate(TurnsToTheBall(), Dataset.open(recorded.output))
    assert thresholds is not None
    return {"chunk_overlap": {"by_stride": thresholds.chunk_overlap}}


@pytest.mark.parametrize(
    ("schedule", "latency"), [(ScheduleName.QUEUE, 0), (ScheduleName.PREFETCH, 3), (ScheduleName.ENSEMBLE, 0)]
)
def test_pictures_that_are_nonsense_latch_and_those_of_the_cell_do_not(
    known: dict[str, dict[str, list[float]]], schedule: ScheduleName, latency: int
) -> None:
    loop = Loop(schedule, latency, known=known)
    clean = rollout(TurnsToTheBall(), "it", 2, seed=0, loop=loop)
    assert clean.limits_from["chunk_overlap"] is Origin.CONTRACT
    assert not any("chunk_overlap" in run.guards for run in clean.runs)
    nonsense = rollout(ShownNonsense(TurnsToTheBall()), "it", 2, seed=0, loop=loop)
    assert all(run.guards["chunk_overlap"] == 1 for run in nonsense.runs), "it latches, and nothing moves after that"
    assert all(run.held_ticks > 90 for run in nonsense.runs)
