"""What a lower precision costs and gives: error on a trained policy beside speed at full size.

    .venv/bin/python benchmarks/precision.py [--quick]

Error: the demo's trained policy on 60 episodes that neither training nor calibration has seen, a chunk from every
second frame against what was recorded; the interval resamples episodes. Speed: the full-size policy, batch 1, against
lerobot's eager policy, in interleaved rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from chunk_latency import race
from claim import Claim, run
from contenders import EAGER, ENGINES
from episode import HELD_OUT, dataset, demo, full_size_policy, held_out, policy_in
from numpy.typing import NDArray
from worker import workers

from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.export.accuracy import Yardstick
from lerobot_inference.types import ActionMode, Precision

PRECISIONS = [name for name in ENGINES if name.startswith("openvino")]
EXACT = "openvino f32"
BARS = {"openvino bf16": 0.001, "openvino int8": 0.02}
ROUNDS, PASSES = 8, 3
ALL_FRAMES, QUICK_FRAMES = 3000, 120
RESAMPLES = 2000

type Errors = NDArray[np.float64]
"""(episodes, 2): sum of absolute errors, radians, and how many there are."""


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table; claim the change of the mean absolute error of each lower precision."""
    dataset(), full_size_policy(), demo(), held_out()
    frames = QUICK_FRAMES if quick else ALL_FRAMES
    with workers(errors, PRECISIONS) as by_precision:
        found = {name: worker(frames) for name, worker in by_precision.items()}
    raced = race([EAGER, *found], 1, rounds=1 if quick else ROUNDS, passes=PASSES)
    eager, exact = raced[EAGER].timing, raced[EXACT].timing
    print(f"\n{'':<16}{'MAE mrad':>10}{'change':>10}{'95 % interval':>20}{'ms':>8}{'x eager':>9}{'x f32':>7}")
    for name, sums in found.items():
        timing, change, (low, high) = (
            raced[name].timing,
            mae(sums) / mae(found[EXACT]) - 1,
            interval(sums, found[EXACT]),
        )
        print(
            f"{name:<16}{mae(sums) * 1e3:>10.4f}{change:>+10.3%}{f'{low:+.3%} to {high:+.3%}':>20}"
            f"{timing.median * 1e3:>8.1f}{timing.speedup(eager):>9.2f}{timing.speedup(exact):>7.2f}"
        )
        if name in BARS:
            what = f"change of the mean absolute error with {name}, demo policy, {HELD_OUT} held-out episodes"
            figure = f"{change:+.2%} (95 % interval {low:+.2%} to {high:+.2%})"
            yield Claim(what, figure, f"within {BARS[name]:.1%}", abs(change) <= BARS[name])


def errors(name: str) -> Callable[[int], Errors]:
    """Build the engine for the demo's policy; what comes back gives its errors over about so many frames."""
    recorded, folder = demo()
    precision = Precision(ENGINES[name])
    engine = EngineChoice(name.split()[0], "cpu", precision).load(policy_in(precision, folder, recorded))
    engine.warm_up()
    recording = Dataset.open(held_out())

    def measured(frames: int) -> Errors:
        yardstick = Yardstick.over(recording, ActionMode.DELTA, frames, HELD_OUT)
        rows = []
        for index, steps in yardstick.episodes.items():
            length = recording.episode(index).scored_length
            count = sum(min(engine.spec.chunk_size, length - step) for step in steps)
            rows.append((Yardstick(recording, ActionMode.DELTA, {index: steps}).mae(engine) * count, count))
        return np.array(rows)

    return measured


def mae(sums: Errors) -> float:
    """Pooled over the episodes, radians."""
    return float(sums[:, 0].sum() / sums[:, 1].sum())


def interval(sums: Errors, exact: Errors) -> tuple[float, float]:
    """95 % bootstrap interval of the change, by resampling episodes."""
    random = np.random.default_rng(0)
    draws = random.integers(0, len(sums), (RESAMPLES, len(sums)))
    changes = [mae(sums[draw]) / mae(exact[draw]) - 1 for draw in draws]
    low, high = np.percentile(changes, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    run(__file__, __doc__, measure, "few frames and one round")
