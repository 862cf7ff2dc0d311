"""What a lower precision costs and gives: error on a trained policy beside speed at full size.

    .venv/bin/python benchmarks/precision.py [--quick]

Error: the demo's trained policy, a chunk from every frame of its held-out episodes against what was recorded.
Speed: the full-size policy, batch 1, against lerobot's eager policy, in interleaved rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chunk_latency import race
from claim import Claim, run
from contenders import EAGER, ENGINES
from episode import dataset, demo, full_size_policy, policy_in
from worker import workers

from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.export.accuracy import Yardstick
from lerobot_inference.types import ActionMode, Precision

PRECISIONS = [name for name in ENGINES if name.startswith("openvino")]
EXACT = "openvino f32"
BARS = {"openvino bf16": 0.001, "openvino int8": 0.02}
ROUNDS, PASSES = 8, 3
ALL_FRAMES, QUICK_FRAMES = 1_000_000, 50


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table; claim the change of the mean absolute error of each lower precision."""
    dataset(), full_size_policy(), demo()
    frames = QUICK_FRAMES if quick else ALL_FRAMES
    with workers(error, PRECISIONS) as by_precision:
        mae = {name: worker(frames) for name, worker in by_precision.items()}
    raced = race([EAGER, *mae], 1, rounds=1 if quick else ROUNDS, passes=PASSES)
    eager, exact = raced[EAGER].timing, raced[EXACT].timing
    print(f"\n{'':<16}{'MAE mrad':>10}{'change':>10}{'ms':>8}{'x eager':>9}{'x f32':>7}")
    for name, radians in mae.items():
        timing, change = raced[name].timing, radians / mae[EXACT] - 1
        print(
            f"{name:<16}{radians * 1e3:>10.4f}{change:>+10.3%}{timing.median * 1e3:>8.1f}"
            f"{timing.speedup(eager):>9.2f}{timing.speedup(exact):>7.2f}"
        )
        if name in BARS:
            what = f"change of the mean absolute error with {name}, demo policy, all held-out frames"
            yield Claim(what, f"{change:+.3%}", f"within {BARS[name]:.1%}", abs(change) <= BARS[name])


def error(name: str) -> Callable[[int], float]:
    """Build the engine for the demo's policy; what comes back gives its MAE over about so many frames, radians."""
    recorded, folder = demo()
    precision = Precision(ENGINES[name])
    engine = EngineChoice(name.split()[0], "cpu", precision).load(policy_in(precision, folder, recorded))
    engine.warm_up()
    recording = Dataset.open(recorded)
    return lambda frames: Yardstick.over(recording, ActionMode.DELTA, frames).mae(engine)


if __name__ == "__main__":
    run(__file__, __doc__, measure, "few frames and one round")
