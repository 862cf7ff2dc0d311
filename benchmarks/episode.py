"""The recorded episode and the full-size policy that benchmarks share, and how others read its frames."""

from __future__ import annotations

import hashlib
import logging
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from places import CACHE, REPOSITORY

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(REPOSITORY / "tests/integration"))

import av
import numpy as np
from lerobot_writer import COLOR, write_dataset
from worker import SkippedError

from lerobot_inference.checkpoint import Policy, open_policy
from lerobot_inference.checkpoint.checkpoint import WEIGHTS_FILE
from lerobot_inference.dataset import Dataset
from lerobot_inference.files import sha256_file
from lerobot_inference.types import FloatArray, Precision, UInt8Array

FRAMES = 668
HELD_OUT = 60
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


def demo() -> tuple[Path, Path]:
    """The demo's held-out dataset and the policy trained for it, made as `make demo` makes them, in minutes."""
    prepare = runpy.run_path(str(REPOSITORY / "scripts/demo.py"))["prepare"]
    recorded, policy = prepare([])
    return recorded, policy


def held_out() -> Path:
    """HELD_OUT further episodes of the demo's task, which neither training nor calibration has seen; about a minute."""
    from lerobot_inference.sim.record import record
    from lerobot_inference.sim.train import DEMO_IMAGE

    root = CACHE / "held_out"
    if not root.exists():
        print(f"recording {HELD_OUT} episodes to {root} ...")
        record(root, HELD_OUT, seed=4242, image=DEMO_IMAGE)
    return root


def exported(policy: Path, recorded: Path, precision: Precision) -> Path:
    """The policy's bundle in this precision, written again when the code that writes it has changed.

    Whatever it loses is accepted: the benchmarks say what that is. Raises SkippedError when the export fails.
    """
    package = REPOSITORY / "src/lerobot_inference"
    sources = sorted(path for part in ("checkpoint", "engine", "export") for path in (package / part).rglob("*.py"))
    recipe = hashlib.sha256(sha256_file(policy / WEIGHTS_FILE).encode())
    for source in sources:
        recipe.update(source.read_bytes())
    bundle = CACHE / f"{policy.name}_{precision}" / recipe.hexdigest()[:12]
    if not bundle.exists():
        shutil.rmtree(bundle.parent, ignore_errors=True)  # of older code
        print(f"exporting {policy.name} in {precision} to {bundle} ...")
        command = [sys.executable, "-m", "lerobot_inference", "export", "--precision", precision]
        if precision is not Precision.F32:
            command += ["--force", precision]
        paths = ["--policy", str(policy), "--dataset", str(recorded), "--output", str(bundle)]
        done = subprocess.run([*command, *paths], check=False, capture_output=True, text=True)
        if done.returncode:
            raise SkippedError(f"it can't be exported: {done.stderr.strip()}")
    return bundle


def policy_in(precision: Precision, policy: Path, recorded: Path) -> Policy:
    """What to give an engine of this precision: the checkpoint, or for int8 its bundle calibrated on `recorded`."""
    return open_policy(exported(policy, recorded, precision) if precision is Precision.INT8 else policy)


def observed(batch: int) -> tuple[dict[str, UInt8Array], FloatArray]:
    """`batch` frames spread over the episode: images (B, H, W, 3) by camera, joint states (B, S) radians."""
    episode = Dataset.open(dataset()).episode(0)
    frames = range(0, FRAMES, FRAMES // batch)[:batch]
    pictures = list(episode.frames(frames))
    return {CAMERA: np.stack([picture[CAMERA] for picture in pictures])}, episode.states[list(frames)]


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
