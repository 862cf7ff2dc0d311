"""How long an evaluation of one episode waits for its pictures, in four ways, side by side.

    .venv/bin/python benchmarks/video_decode.py [--quick]

The episode is written by lerobot itself (668 frames, 480x848, h264, lerobot's default encoder settings) and kept in
.cache/benchmarks. Each way ends with RGB arrays in memory; nothing is predicted from them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import av
from claim import Claim, run, times
from episode import (
    CHUNK,
    FRAMES,
    QUICK_STEPS,
    SIZE,
    VIDEO,
    dataset,
    decode_from_start,
    decoded_pictures,
    lerobot_dataset,
)

from lerobot_inference.dataset import Dataset

REPEATS = 5


def measure(quick: bool) -> Iterable[Claim]:
    """Time all ways, print, and claim the ratios for every frame."""
    root = dataset()
    episode = Dataset.open(root).episode(0)
    count(episode.frames([FRAMES - 1]))  # the file is in the page cache from here on
    ours = median(lambda: count(episode.frames()))
    deployed = median(lambda: count(episode.frames(range(0, FRAMES, CHUNK))))
    backend, lerobot = lerobot_in_order(root)
    seed = reopen_at_every_step(root / VIDEO, quick)

    sampled = f", extrapolated from {len(QUICK_STEPS)} steps" if quick else ""
    report = [
        (f"a  reopen at every step, decode from the first frame{sampled}", seed, FRAMES),
        (f"b  lerobot dataset class in order ({backend})", lerobot, FRAMES),
        (f"c  ours, every frame (median of {REPEATS})", ours, FRAMES),
        (f"d  ours, a frame per chunk of {CHUNK} (median of {REPEATS})", deployed, len(range(0, FRAMES, CHUNK))),
    ]
    print(f"\n{FRAMES} frames {SIZE[0]}x{SIZE[1]} h264, PyAV {av.__version__}")
    print(f"{'way':<78}{'seconds':>9}{'frames':>8}{'frames/s':>10}")
    for way, seconds, frames in report:
        print(f"{way:<78}{seconds:>9.3f}{frames:>8}{frames / seconds:>10.1f}")
    print(f"\na/c {seed / ours:.1f}   a/d {seed / deployed:.1f}   b/c {lerobot / ours:.1f}")
    yield Claim(
        "the pictures of that episode, all of them: against reopening the video at every step; against lerobot's "
        "dataset class",
        f"{times(seed / ours)} and {times(lerobot / ours)} faster",
    )


def reopen_at_every_step(video: Path, quick: bool) -> float:
    """Seconds for all steps. Step n decodes n + 1 pictures and converts the last one."""
    steps = QUICK_STEPS if quick else range(FRAMES)
    started = time.perf_counter()
    for step in steps:
        decode_from_start(video, step)
    seconds = time.perf_counter() - started
    # Time grows with the pictures decoded, so the sample is scaled by them and not by its number of steps.
    return seconds * decoded_pictures(range(FRAMES)) / decoded_pictures(steps)


def lerobot_in_order(root: Path) -> tuple[str, float]:
    """The video backend that lerobot chose, and seconds for `dataset[i]` over the episode."""
    recorded = lerobot_dataset(root)
    started = time.perf_counter()
    for index in range(len(recorded)):
        recorded[index]
    return recorded.reader._video_backend, time.perf_counter() - started


def median(way: Callable[[], object]) -> float:
    """Median wall time of REPEATS runs, seconds."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        way()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def count(frames: Iterable[object]) -> int:
    """Use up an iterator of frames."""
    return sum(1 for _ in frames)


if __name__ == "__main__":
    run(
        __file__,
        __doc__,
        measure,
        f"measure the first way at {len(QUICK_STEPS)} evenly spaced steps and extrapolate",
    )
