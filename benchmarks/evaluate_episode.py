"""How long evaluating one episode as deployed takes, in three ways that give the same predictions, side by side.

    .venv/bin/python benchmarks/evaluate_episode.py [--quick]

A full-size ACT policy (51.6 M parameters, untrained) on the CPU, over the episode of episode.py. Each way is warmed
up first; loading the policy and opening the dataset are in no figure.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
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

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.control import make_schedule
from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.engine import load_engine
from lerobot_inference.engine.base import Engine
from lerobot_inference.evaluation.evaluate import EvaluationPlan, evaluate
from lerobot_inference.evaluation.replay import Stopwatch, replay_as_deployed
from lerobot_inference.types import STATE, FloatArray

REPEATS = 3
STRIDE = 10
# Torch's threads wait for each other many times in a forward pass: where other work holds a core, two of them take up
# to ten times as long as on idle cores. One thread only shares its core.
THREADS = 1
WARM_UP = range(2)
TOLERANCE = 1e-5

type Observation = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Run:
    """predicted: (T, A) radians. Seconds: getting the pictures, the policy path, and the wall time of it all."""

    predicted: FloatArray
    decode_s: float
    policy_s: float
    total_s: float


def main() -> None:
    """Measure, compare the predictions, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"way a: decode at {len(QUICK_STEPS)} evenly spaced steps and extrapolate; its policy path runs in full",
    )
    quick = parser.parse_args().quick
    torch.set_num_threads(THREADS)
    root, folder = dataset(), full_size_policy()
    print(
        f"{FRAMES} frames {SIZE[0]}x{SIZE[1]} h264, ACT with chunks of {CHUNK} on {THREADS} of "
        f"{os.cpu_count()} CPU cores, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}\n"
    )
    recording, checkpoint = Dataset.open(root), Checkpoint.open(folder)
    episode, engine = recording.episode(0), load_engine("lerobot", checkpoint, "cpu")
    lerobot, recorded = LerobotPolicy.load(folder), lerobot_dataset(root)
    steps = range(episode.scored_length)

    as_deployed(episode, engine, steps)
    lerobot.run(observations_of(recorded), WARM_UP)
    reopening_at_every_step(lerobot, episode, root / VIDEO, WARM_UP, WARM_UP)

    # Ours is spread over the whole run, so that it meets the same work of others as the two ways beside it.
    ours = [as_deployed(episode, engine, steps)]
    seed = reopening_at_every_step(lerobot, episode, root / VIDEO, steps, QUICK_STEPS if quick else steps)
    ours.append(as_deployed(episode, engine, steps))
    in_order = lerobot.run(observations_of(recorded), steps)
    ours.append(as_deployed(episode, engine, steps))
    both_s = both_protocols(checkpoint, recording, engine)

    farthest = max(np.abs(run.predicted - seed.predicted).max() for run in (in_order, *ours))
    assert farthest < TOLERANCE, f"the ways' predictions are {farthest} rad apart: no figure means anything"
    median = sorted(ours, key=lambda run: run.total_s)[REPEATS // 2]
    sampled = f", decode extrapolated from {len(QUICK_STEPS)} steps" if quick else ""
    report = [
        (f"a  reopen at every step, decode from the first frame{sampled}", seed),
        (f"b  lerobot dataset class in order ({recorded.reader._video_backend})", in_order),
        (f"c  ours (median of {REPEATS})", median),
    ]
    print(f"{'way':<88}{'seconds':>9}{'decode':>9}{'policy':>9}")
    for way, run in report:
        print(f"{way:<88}{run.total_s:>9.3f}{run.decode_s:>9.3f}{run.policy_s:>9.3f}")
    print(f"{f'd  evaluate, both protocols, every-frame at each {STRIDE}th frame':<88}{both_s:>9.3f}")
    print(f"\na/c {seed.total_s / median.total_s:.1f}   b/c {in_order.total_s / median.total_s:.1f}")
    print(f"predictions {seed.predicted.shape}, at most {farthest:.1e} rad apart; load {os.getloadavg()[0]:.1f}")


@dataclass(frozen=True)
class LerobotPolicy:
    """lerobot's policy, processors and select_action, called at every step as in lerobot's own evaluation."""

    policy: Any
    preprocess: Callable[[Observation], Observation]
    postprocess: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def load(cls, folder: Path) -> LerobotPolicy:
        """Read the checkpoint with lerobot's own loaders."""
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.act.modeling_act import ACTPolicy
        from lerobot.policies.factory import make_pre_post_processors

        config = PreTrainedConfig.from_pretrained(folder)
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            policy = ACTPolicy.from_pretrained(folder, config=config)
        return cls(policy, *make_pre_post_processors(config, pretrained_path=str(folder)))

    def run(self, read: Callable[[int], Observation], steps: range) -> Run:
        """Predict one action from each step's observation; `read` is what is timed as decode."""
        self.policy.reset()
        predicted, decode_s, policy_s = [], 0.0, 0.0
        began = time.perf_counter()
        for step in steps:
            started = time.perf_counter()
            observation = read(step)
            decoded = time.perf_counter()
            with torch.inference_mode():
                action = self.postprocess(self.policy.select_action(self.preprocess(observation)))
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

    run = lerobot.run(read, steps)
    all_of_them = run.decode_s * decoded_pictures(steps) / decoded_pictures(step for step in decoded if step in steps)
    return replace(run, decode_s=all_of_them, total_s=run.total_s - run.decode_s + all_of_them)


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
    main()
