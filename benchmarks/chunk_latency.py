"""How long one action chunk takes: lerobot in three ways and our engines, in one interleaved run.

    .venv/bin/python benchmarks/chunk_latency.py [--quick]

A full-size ACT policy (51.6 M parameters, untrained) on real 480x848 frames, batch 1 and 8. lerobot's times are of
`predict_action_chunk` alone, on normalised float tensors; ours are of the whole way from uint8 pictures to radians.
Everyone uses its own default number of threads, in its own process, and at any moment one of them computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from claim import Claim, Timing, run, times
from contenders import CONTENDERS, EAGER, ENGINES, PEAK_FLOPS, PEAKS, contender
from episode import dataset, full_size_policy
from flops import count_flops
from worker import workers

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine.graph import build_graph
from lerobot_inference.types import FloatArray, Precision

BATCHES = (1, 8)
ROUNDS = {1: 12, 8: 4}
PASSES = {1: 3, 8: 1}
BARS = {"openvino f32": 1.7, "openvino bf16": 3.3, "openvino int8": 4.5}
EXACT = 1e-4  # of the standard deviation of the actions in a chunk


@dataclass
class Raced:
    """What one contender did: seconds of each timed pass, and the actions of the last, (B, chunk, A) radians."""

    seconds: list[float] = field(default_factory=list)
    actions: FloatArray = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))

    @property
    def timing(self) -> Timing:
        """Of all rounds."""
        return Timing(self.seconds)


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table per batch size; claim the ratios to lerobot's eager policy."""
    dataset(), full_size_policy()
    graph = build_graph(Checkpoint.open(full_size_policy()))
    flops = {batch: sum(count_flops(graph, batch).values()) for batch in BATCHES}
    raced = {}
    for batch in BATCHES:
        raced[batch] = race(list(CONTENDERS), batch, rounds=1 if quick else ROUNDS[batch], passes=PASSES[batch])
        print_race(raced[batch], batch, flops[batch])
    return claims(raced, flops[1])


def race(names: Sequence[str], batch: int, *, rounds: int, passes: int) -> dict[str, Raced]:
    """Time `passes` forward passes of each contender in each round. Prints who can't run here and why."""
    raced: dict[str, Raced] = {}
    with workers(contender, names, batch) as able:
        for _ in range(rounds):
            for name, worker in able.items():
                seconds, actions = worker(passes)
                one = raced.setdefault(name, Raced())
                one.seconds += seconds
                one.actions = actions
    return raced


def print_race(raced: Mapping[str, Raced], batch: int, flops: int) -> None:
    """Medians, spread, ratio to eager, error against eager, operations per second, and their share of the peak."""
    eager = raced[EAGER]
    passes, deviation = len(eager.seconds), eager.actions.std()
    print(f"\nbatch {batch}: {flops / 1e9:.1f} GFLOP a pass, median of {passes} passes, actions +-{deviation:.3f} rad")
    print(f"{'':<42}{'ms':>8}{'IQR':>7}{'GFLOP/s':>9}{'of peak':>9}{'x eager':>9}{'max error':>11}")
    for name, one in raced.items():
        timing, done = one.timing, PEAK_FLOPS if name in PEAKS else flops
        line = f"{name:<42}{timing.median * 1e3:>8.1f}{timing.spread * 1e3:>7.1f}{done / timing.median / 1e9:>9.0f}"
        if name not in PEAKS:
            error = checked_error(name, one, eager)
            line += f"{share_of_peak(raced, name, flops):>9.0%}{timing.speedup(eager.timing):>9.2f}{error:>11.1e}"
        print(line)


def checked_error(name: str, one: Raced, eager: Raced) -> float:
    """Largest difference from eager lerobot's actions, radians. Only a lower precision may have one."""
    error = float(np.abs(one.actions - eager.actions).max())
    exact = ENGINES.get(name, Precision.F32) is Precision.F32
    assert not exact or error < EXACT * eager.actions.std(), f"{name} is {error} rad off: its time means nothing"
    return error


def share_of_peak(raced: Mapping[str, Raced], name: str, flops: int) -> float:
    """A contender's operations per second as a share of what bare convolutions reach in its precision."""
    precision = ENGINES.get(name, Precision.F32)
    peak = next(peak for peak, its in PEAKS.items() if its is precision)
    return flops / raced[name].timing.median / (PEAK_FLOPS / raced[peak].timing.median)


def claims(raced: Mapping[int, Mapping[str, Raced]], flops: int) -> Iterable[Claim]:
    """One for each contender but eager lerobot, and one for the arithmetic. raced: batch size -> who ran."""
    single = raced[1]
    for name, one in single.items():
        if name == EAGER or name in PEAKS:
            continue
        ratios = {batch: others[name].timing.speedup(others[EAGER].timing) for batch, others in raced.items()}
        detail = f"{one.timing.median * 1e3:.0f} ms against {single[EAGER].timing.median * 1e3:.0f}"
        more = "".join(f"; batch {batch}: {times(ratio)}" for batch, ratio in ratios.items() if batch > 1)
        figure = f"{times(ratios[1])} ({detail}){more}"
        what = f"a chunk with {name}, against lerobot's eager `predict_action_chunk`"
        yield Claim.with_bar(what, ratios[1], BARS.get(name), figure)
    shares = [f"{name} {share_of_peak(single, name, flops):.0%}" for name in single if name not in PEAKS]
    yield Claim("operations per second then, of what convolutions alone reach in the same precision", ", ".join(shares))


if __name__ == "__main__":
    run(__file__, __doc__, measure, "one round")
