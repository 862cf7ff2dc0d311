"""The recorded episode and the full-size policy that benchmarks share, and how others read its frames."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / ".cache/benchmarks"
sys.path.insert(0, str(REPOSITORY / "tests/integration"))

import av  # noqa: E402
import numpy as np  # noqa: E402
from lerobot_writer import COLOR, write_dataset  # noqa: E402

from lerobot_inference.types import UInt8Array  # noqa: E402

FRAMES = 668
SIZE = (480, 848)
CHUNK = 100
QUICK_STEPS = range(0, FRAMES, 50)  # the first frame of every chunk is among them
CAMERA = COLOR
VIDEO = f"videos/{CAMERA}/chunk-000/file-000.mp4"


def dataset() -> Path:
    """A dataset of one episode (FRAMES, SIZE, h264, lerobot's encoder settings), written on the first run."""
    root = CACHE / "episode"
    if not (root / "complete").exists():
        print(f"writing {FRAMES} frames to {root} ...")
        shutil.rmtree(root, ignore_errors=True)
        write_dataset(root, episodes=[FRAMES], cameras={CAMERA: SIZE})
        (root / "complete").touch()
    return root


def full_size_policy() -> Path:
    """An untrained ACT of the size people deploy (51.6 M parameters, chunks of CHUNK), written on the first run."""
    from lerobot_inference.sim.policy import write_full_size_policy

    folder = CACHE / "full_size_policy"
    if not folder.exists():
        print(f"writing a policy to {folder} ...")
        write_full_size_policy(folder)
    return folder


def lerobot_dataset(root: Path) -> Any:  # noqa: ANN401
    """The dataset in lerobot's own class, with the video backend that lerobot chooses."""
    # Where torchcodec can't be loaded, this logger gives pages of tracebacks; the reports name the backend.
    logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("local/benchmark", root=root)


def decode_from_start(video: Path, step: int) -> UInt8Array:
    """Open the file, decode step + 1 pictures and return the last one, (H, W, 3) RGB."""
    with av.open(str(video)) as container:
        for number, picture in enumerate(container.decode(video=0)):
            if number == step:
                return picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    raise IndexError(f"{video} has no picture {step}")


def decoded_pictures(steps: Iterable[int]) -> int:
    """How many pictures `decode_from_start` decodes over these steps."""
    return sum(step + 1 for step in steps)
