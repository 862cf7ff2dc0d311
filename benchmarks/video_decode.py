"""How long an evaluation of one episode waits for its pictures, in four ways, side by side.

    uv run python benchmarks/video_decode.py [--quick]

The episode is written by lerobot itself (668 frames, 480x848, h264, lerobot's default encoder settings) and kept in
.cache/benchmarks. Each way ends with RGB arrays in memory; nothing is predicted from them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests/integration"))

import av  # noqa: E402
from lerobot_writer import COLOR, write_dataset  # noqa: E402

from lerobot_inference.dataset import Dataset  # noqa: E402

FRAMES = 668
SIZE = (480, 848)
CHUNK = 100
QUICK_STEPS = range(0, FRAMES, 40)
REPEATS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"measure the first way at {len(QUICK_STEPS)} evenly spaced steps and extrapolate",
    )
    quick = parser.parse_args().quick
    root = dataset()
    print(f"{FRAMES} frames {SIZE[0]}x{SIZE[1]} h264, {os.cpu_count()} CPU cores, PyAV {av.__version__}\n")

    episode = Dataset.open(root).episode(0)
    count(episode.frames([FRAMES - 1]))  # the file is in the page cache from here on
    ours = median(lambda: count(episode.frames()))
    deployed = median(lambda: count(episode.frames(range(0, FRAMES, CHUNK))))
    backend, lerobot = lerobot_in_order(root)
    seed = reopen_at_every_step(root / f"videos/{COLOR}/chunk-000/file-000.mp4", quick)

    sampled = f", extrapolated from {len(QUICK_STEPS)} steps" if quick else ""
    report = [
        (f"a  reopen at every step, decode from the first frame{sampled}", seed, FRAMES),
        (f"b  lerobot dataset class in order ({backend})", lerobot, FRAMES),
        (f"c  ours, every frame (median of {REPEATS})", ours, FRAMES),
        (f"d  ours, a frame per chunk of {CHUNK} (median of {REPEATS})", deployed, len(range(0, FRAMES, CHUNK))),
    ]
    print(f"{'way':<78}{'seconds':>9}{'frames':>8}{'frames/s':>10}")
    for way, seconds, frames in report:
        print(f"{way:<78}{seconds:>9.3f}{frames:>8}{frames / seconds:>10.1f}")
    print(f"\na/c {seed / ours:.1f}   a/d {seed / deployed:.1f}   b/c {lerobot / ours:.1f}")


def dataset() -> Path:
    """The benchmark's episode, written on the first run."""
    root = REPOSITORY / ".cache/benchmarks/video_decode"
    if not (root / "complete").exists():
        print(f"writing {FRAMES} frames to {root} ...")
        shutil.rmtree(root, ignore_errors=True)
        write_dataset(root, episodes=[FRAMES], cameras={COLOR: SIZE})
        (root / "complete").touch()
    return root


def reopen_at_every_step(video: Path, quick: bool) -> float:
    """Seconds for all steps. Step n decodes n + 1 pictures and converts the last one."""
    steps = QUICK_STEPS if quick else range(FRAMES)
    started = time.perf_counter()
    for step in steps:
        with av.open(str(video)) as container:
            for number, picture in enumerate(container.decode(video=0)):
                if number == step:
                    picture.to_ndarray(format="rgb24")
                    break
    seconds = time.perf_counter() - started
    # Time grows with the pictures decoded, so the sample is scaled by them and not by its number of steps.
    return seconds * sum(n + 1 for n in range(FRAMES)) / sum(n + 1 for n in steps)


def lerobot_in_order(root: Path) -> tuple[str, float]:
    """The video backend that lerobot chose, and seconds for `dataset[i]` over the episode."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    recorded = LeRobotDataset("local/benchmark", root=root)
    started = time.perf_counter()
    for index in range(len(recorded)):
        recorded[index]
    return recorded.reader._video_backend, time.perf_counter() - started


def median(run: Callable[[], object]) -> float:
    """Median wall time of REPEATS runs, seconds."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def count(frames: Iterable[object]) -> int:
    """Use up an iterator of frames."""
    return sum(1 for _ in frames)


if __name__ == "__main__":
    main()
