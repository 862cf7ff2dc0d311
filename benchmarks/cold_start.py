"""How long from starting Python to the first chunk, and how much memory that takes: lerobot against our engines.

    .venv/bin/python benchmarks/cold_start.py [--quick]

Every start is a new process (first_chunk.py) that imports what it needs, loads the full-size policy and predicts from
one real picture, which lies on disk as an array. The clock stops when its answer has been read. One start of each
goes first and isn't counted, so files come from the page cache; then the rounds are interleaved.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from claim import Claim, Timing, run, times
from episode import dataset, exported, full_size_policy, observed
from worker import SkippedError

from lerobot_inference.types import FloatArray, Precision

ROUNDS = 7
SCRIPT = Path(__file__).with_name("first_chunk.py")
LEROBOT = "lerobot"
ENGINES = ("openvino", "onnxruntime")
EXACT = 1e-4  # of the standard deviation of the actions in the chunk
FASTER, SMALLER = 5, 3


@dataclass(frozen=True)
class Start:
    """One process: seconds from spawn to answer; actions (1, chunk, A) radians; resident and peak memory, MB."""

    seconds: float
    actions: FloatArray
    resident: float
    peak: float


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table; claim time and memory against lerobot's."""
    ways = {LEROBOT: (LEROBOT, full_size_policy())}
    ways |= {f"{engine} f32, from the checkpoint": (engine, full_size_policy()) for engine in ENGINES}
    try:
        bundle = exported(full_size_policy(), dataset(), Precision.F32)
        ways |= {f"{engine} f32, from a bundle": (engine, bundle) for engine in ENGINES}
    except SkippedError as reason:
        print(f"skipped: from a bundle: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "input.npz"
        images, states = observed(1)
        np.savez(inputs, allow_pickle=False, state=states, **images)
        for engine, policy in ways.values():
            start(engine, policy, inputs)
        starts: dict[str, list[Start]] = {name: [] for name in ways}
        for _ in range(1 if quick else ROUNDS):
            for name, (engine, policy) in ways.items():
                starts[name].append(start(engine, policy, inputs))
    return report(starts)


def start(engine: str, policy: Path, inputs: Path) -> Start:
    """Spawn first_chunk.py and wait for its answer. Raises CalledProcessError when it fails; stderr passes through."""
    command = [sys.executable, str(SCRIPT), engine, str(policy), str(inputs)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    answer = json.loads(line)
    return Start(seconds, np.asarray(answer["actions"], np.float32), answer["resident"], answer["peak"])


def report(starts: Mapping[str, Sequence[Start]]) -> Iterable[Claim]:
    """Print medians, and claim time and memory of each of ours."""
    lerobot = starts[LEROBOT]
    reference = lerobot[0].actions
    print(f"\nfull size, one 480x848 picture, median of {len(lerobot)} starts")
    print(f"{'':<40}{'s':>7}{'IQR':>7}{'faster':>8}{'MB':>7}{'peak MB':>9}{'smaller':>9}{'max error':>11}")
    for name, ours in starts.items():
        error = max(float(np.abs(one.actions - reference).max()) for one in ours)
        assert error < EXACT * reference.std(), f"{name} is {error} rad off: its time means nothing"
        faster, smaller = timing(ours).speedup(timing(lerobot)), resident(lerobot) / resident(ours)
        peak = statistics.median(one.peak for one in ours)
        print(
            f"{name:<40}{timing(ours).median:>7.2f}{timing(ours).spread:>7.2f}{faster:>8.2f}"
            f"{resident(ours):>7.0f}{peak:>9.0f}{smaller:>9.2f}{error:>11.1e}"
        )
        if name == LEROBOT:
            continue
        yield Claim(
            f"process start to first chunk, and resident memory then: {name}, against lerobot",
            f"{times(faster)} faster ({timing(ours).median:.2f} s against {timing(lerobot).median:.2f}); "
            f"{times(smaller)} smaller ({resident(ours):.0f} MB against {resident(lerobot):.0f}, peak {peak:.0f})",
            f">= {FASTER} times; >= {SMALLER} times",
            faster >= FASTER and smaller >= SMALLER,
        )


def timing(starts: Sequence[Start]) -> Timing:
    """From spawn to answer."""
    return Timing([one.seconds for one in starts])


def resident(starts: Sequence[Start]) -> float:
    """Median resident memory, MB."""
    return statistics.median(one.resident for one in starts)


if __name__ == "__main__":
    run(__file__, __doc__, measure, "one round")
