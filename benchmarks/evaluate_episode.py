"""How long evaluating one episode as deployed takes, in four ways that give the same predictions, side by side.

    .venv/bin/python benchmarks/evaluate_episode.py [--quick]

A full-size ACT policy (51.6 M parameters, untrained) on the CPU, over the episode of episode.py. Each way is warmed
up first; loading the policy and opening the dataset are in no figure.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claim import Claim, run, times
from episode import (
    CAMERA,
    CHUNK,
    FRAMES,
    QUICK_STEPS,
    SIZE,
    VIDEO,
    dataset,
    decode_from_start,
    decoded_pictures,
    full_size_policy,
    lerobot_dataset,
)
from lerobot_policy import LerobotPolicy, Observation

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.control import make_schedule
from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.replay import Stopwatch, replay_as_deployed
from lerobot_inference.types import STATE, FloatArray

STRIDE = 10
# Torch's threads wait for each other many times in a forward pass: where other work holds a core, two of them take up
# to ten times as long as on idle cores. One thread only shares its core.
THREADS = 1
WARM_UP = range(2)
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Run:
    """predicted: (T, A) radians. Seconds: getting the pictures, the policy path, and the wall time of it all."""

    predicted: FloatArray
    decode_s: float
    policy_s: float
    total_s: float


def measure(quick: bool) -> Iterable[Claim]:
    """Time all ways, compare their predictions, print, and claim the ratios."""
    torch.set_num_threads(THREADS)
    root, folder = dataset(), full_size_policy()
    recording, checkpoint = Dataset.open(root), Checkpoint.open(folder)
    episode = recording.episode(0)
    ours = {name: EngineChoice(name, threads=THREADS).load(checkpoint) for name in ("lerobot", "openvino")}
    lerobot, recorded = LerobotPolicy.load(folder), lerobot_dataset(root)
    steps = range(episode.scored_length)

    for engine in ours.values():
        as_deployed(episode, engine, steps)
    call_lerobot(lerobot, observations_of(recorded), WARM_UP)
    reopening_at_every_step(lerobot, episode, root / VIDEO, WARM_UP, WARM_UP)

    # Ours is spread over the whole run, so that it meets the same work of others as the two ways beside it.
    runs: dict[str, list[Run]] = {name: [] for name in ours}

    def run_ours() -> None:
        for name, engine in ours.items():
            runs[name].append(as_deployed(episode, engine, steps))

    run_ours()
    seed = reopening_at_every_step(lerobot, episode, root / VIDEO, steps, QUICK_STEPS if quick else steps)
    run_ours()
    in_order = call_lerobot(lerobot, observations_of(recorded), steps)
    run_ours()
    both_s = both_protocols(checkpoint, recording, ours["openvino"])

    everyone = [in_order, *(one for of_engine in runs.values() for one in of_engine)]
    farthest = max(np.abs(one.predicted - seed.predicted).max() for one in everyone)
    assert farthest < TOLERANCE, f"the ways' predictions are {farthest} rad apart: no figure means anything"
    with_lerobot, with_openvino = (sorted(of_engine, key=lambda one: one.total_s)[1] for of_engine in runs.values())
    sampled = f", decode extrapolated from {len(QUICK_STEPS)} steps" if quick else ""
    ways = {
        f"a  reopen at every step, decode from the first frame{sampled}": seed,
        f"b  lerobot dataset class in order ({recorded.reader._video_backend})": in_order,
        "c  ours with the lerobot engine (median of 3)": with_lerobot,
        "d  ours with the openvino engine (median of 3)": with_openvino,
    }
    print(f"\n{FRAMES} frames {SIZE[0]}x{SIZE[1]} h264, ACT with chunks of {CHUNK}, every way on {THREADS} core")
    print(f"{'way':<88}{'seconds':>9}{'decode':>9}{'policy':>9}")
    for way, one in ways.items():
        print(f"{way:<88}{one.total_s:>9.3f}{one.decode_s:>9.3f}{one.policy_s:>9.3f}")
    print(f"{f'e  evaluate with d, both protocols, every-frame at each {STRIDE}th frame':<88}{both_s:>9.3f}")
    print(f"predictions {seed.predicted.shape}, at most {farthest:.1e} rad apart")
    for name, one in {"openvino": with_openvino, "lerobot": with_lerobot}.items():
        yield Claim(
            f"one episode evaluated as deployed on one core, {name} engine: against reopening the video at every step "
            "with lerobot's policy; against lerobot's dataset class and policy",
            f"{times(seed.total_s / one.total_s)} and {times(in_order.total_s / one.total_s)} faster",
        )


def call_lerobot(lerobot: LerobotPolicy, read: Callable[[int], Observation], steps: range) -> Run:
    """One action from each step's observation, as in lerobot's own evaluation; `read` is what is timed as decode."""
    lerobot.policy.reset()
    predicted, decode_s, policy_s = [], 0.0, 0.0
    began = time.perf_counter()
    for step in steps:
        started = time.perf_counter()
        observation = read(step)
        decoded = time.perf_counter()
        with torch.inference_mode():
            action = lerobot.postprocess(lerobot.policy.select_action(lerobot.preprocess(observation)))
        predicted.append(action.numpy()[0])
        decode_s += decoded - started
        policy_s += time.perf_counter() - decoded
    return Run(np.stack(predicted), decode_s, policy_s, time.perf_counter() - began)


def reopening_at_every_step(lerobot: LerobotPolicy, episode: Episode, video: Path, steps: range, decoded: range) -> Run:
    """The seed's way. Steps that are not in `decoded` see the picture before; `decode_s` is scaled to all of them."""
    picture = torch.empty(0)

    def read(step: int) -> Observation:
        nonlocal picture
        if step in decoded:
            picture = torch.from_numpy(decode_from_start(video, step)).permute(2, 0, 1).float() / 255
        return {STATE: torch.from_numpy(episode.states[step]), CAMERA: picture}

    ran = call_lerobot(lerobot, read, steps)
    all_of_them = ran.decode_s * decoded_pictures(steps) / decoded_pictures(step for step in decoded if step in steps)
    return replace(ran, decode_s=all_of_them, total_s=ran.total_s - ran.decode_s + all_of_them)


def observations_of(recorded: Any) -> Callable[[int], Observation]:  # noqa: ANN401
    """What the policy sees of `recorded[step]`."""
    return lambda step: {key: value for key, value in recorded[step].items() if key.startswith("observation.")}


def as_deployed(episode: Episode, engine: Engine, steps: range) -> Run:
    """Ours. Decoding runs ahead on a thread: decode_s is what the policy waited for it."""
    stopwatch = Stopwatch()
    replay = replay_as_deployed(episode, steps, engine, make_schedule(engine.spec), stopwatch)
    return Run(replay.predicted, sum(stopwatch.decode), sum(stopwatch.policy_step), stopwatch.total_s)


def both_protocols(checkpoint: Checkpoint, recording: Dataset, engine: Engine) -> float:
    """Seconds for the whole `evaluate` command but its start: hashes, warm-up, both protocols, results folder."""
    with tempfile.TemporaryDirectory() as output:
        started = time.perf_counter()
        evaluate(checkpoint, recording, engine, Path(output), EvaluationPlan.make(checkpoint, recording, stride=STRIDE))
        return time.perf_counter() - started


if __name__ == "__main__":
    run(
        __file__,
        __doc__,
        measure,
        f"way a: decode at {len(QUICK_STEPS)} evenly spaced steps and extrapolate; its policy path runs in full",
    )
