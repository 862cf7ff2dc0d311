"""Frames a second when a chunk is predicted from every frame of an episode: ours, lerobot's own parts, the seed's loop.

    .venv/bin/python benchmarks/every_frame.py [--quick]

A full-size ACT policy (51.6 M parameters, untrained) on the CPU, over the 668-frame episode of episode.py. Each way
has its own process, and they go through the episode in interleaved rounds of 48 frames. Ours predicts from all of
them and scores. lerobot's dataset class, and the seed's way of opening the video again at every step, are timed at
the first frames of each round and extrapolated: the policy by frames, the seed's decoding by pictures decoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from claim import Claim, run, times
from contenders import ENGINES
from episode import CAMERA, VIDEO, dataset, decode_from_start, full_size_policy, lerobot_dataset, policy_in
from lerobot_policy import LerobotPolicy, Observation
from worker import workers

from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.evaluation.baselines import BaselineInput
from lerobot_inference.evaluation.replay import replay_every_frame
from lerobot_inference.types import STATE, ActionMode

BATCH_SIZE = 8
ROUND = 6 * BATCH_SIZE
SAMPLED = 2
QUICK_ROUNDS = 2

SEED = "reopen at every step, decode from the first frame; lerobot eager"
LEROBOT = "lerobot dataset class in order; lerobot eager"
SAMPLED_WAYS = {SEED: "the seed's loop", LEROBOT: "lerobot's dataset class and eager policy"}

type Spent = tuple[float, float]
"""Seconds: getting the pictures; all else."""


@dataclass
class Tally:
    """What one way has done. work: pictures decoded for a step, or 1 where every step costs the same."""

    work: Callable[[int], int]
    steps: list[int] = field(default_factory=list)
    decode_s: float = 0.0
    policy_s: float = 0.0

    def add(self, steps: range, spent: Spent) -> None:
        """Take in one turn."""
        self.steps += steps
        self.decode_s += spent[0]
        self.policy_s += spent[1]

    def extrapolated(self, steps: range) -> Spent:
        """For all `steps`: decoding grows with the work, all else with the steps."""
        decoded = sum(map(self.work, steps)) / sum(map(self.work, self.steps))
        return self.decode_s * decoded, self.policy_s * len(steps) / len(self.steps)


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table; claim each engine's frames a second against both other ways."""
    dataset(), full_size_policy()
    steps = range(Dataset.open(dataset()).episode(0).scored_length)
    rounds = [steps[first : first + ROUND] for first in range(0, len(steps), ROUND)]
    tallies: dict[str, Tally] = {}
    with workers(way, [SEED, LEROBOT, *ENGINES]) as ways:
        for turn in rounds[:: len(rounds) // QUICK_ROUNDS] if quick else rounds:
            for name, worker in ways.items():
                run_steps = turn[:SAMPLED] if name in SAMPLED_WAYS else turn
                tally = tallies.setdefault(name, Tally((lambda step: step + 1) if name == SEED else (lambda _: 1)))
                tally.add(run_steps, worker(run_steps))
    return report(tallies, steps)


def report(tallies: Mapping[str, Tally], steps: range) -> Iterable[Claim]:
    """Print seconds and frames a second for all `steps`; claim ratios."""
    spent = {name: tally.extrapolated(steps) for name, tally in tallies.items()}
    speed = {name: len(steps) / sum(seconds) for name, seconds in spent.items()}
    print(f"\n{len(steps)} frames, a chunk from each")
    print(f"{'way':<68}{'run':>5}{'seconds':>9}{'decode':>8}{'frames/s':>10}{'x lerobot':>11}{'x seed':>8}")
    for name, (decode_s, policy_s) in spent.items():
        ratios = f"{speed[name] / speed[LEROBOT]:>11.2f}{speed[name] / speed[SEED]:>8.2f}"
        decode = f"{decode_s:>8.1f}" if name in SAMPLED_WAYS else f"{'-':>8}"
        ran = len(tallies[name].steps)
        print(f"{name:<68}{ran:>5}{decode_s + policy_s:>9.1f}{decode}{speed[name]:>10.2f}{ratios}")
    for name in spent:
        if name in SAMPLED_WAYS:
            continue
        against = "; ".join(f"{times(speed[name] / speed[other])} {what}" for other, what in SAMPLED_WAYS.items())
        yield Claim(f"a chunk from every frame of an episode, {name}", f"{speed[name]:.2f} frames/s: {against}")


def way(name: str) -> Callable[[range], Spent]:
    """Build one way, warmed up; what comes back goes through some steps. Runs in a process of its own."""
    if name == SEED:
        return seed_way()
    return lerobot_way() if name == LEROBOT else our_way(name)


def our_way(engine: str) -> Callable[[range], Spent]:
    """`replay_every_frame`, as `evaluate` calls it: decoding, the engine and the scores overlap."""
    precision = ENGINES[engine]
    policy = policy_in(precision, full_size_policy(), dataset())
    loaded = EngineChoice(engine.split()[0], "cpu", precision).load(policy)
    recording = Dataset.open(dataset())
    episode = recording.episode(0)
    recorded = BaselineInput.of(episode, range(episode.scored_length), recording, ActionMode.DELTA)

    def turn(steps: range) -> Spent:
        loaded.warm_up()
        started = time.perf_counter()
        replay_every_frame(episode, steps, loaded, recorded, BATCH_SIZE)
        return 0.0, time.perf_counter() - started

    return turn


def lerobot_way() -> Callable[[range], Spent]:
    """The dataset class, processors and eager policy of lerobot, one frame at a time as its own loops do."""
    recorded = lerobot_dataset(dataset())

    def read(step: int) -> Observation:
        return {key: value for key, value in recorded[step].items() if key.startswith("observation.")}

    return calling_lerobot(read)


def seed_way() -> Callable[[range], Spent]:
    """The seed's loop: the video is opened again for every step."""
    import torch

    states = Dataset.open(dataset()).episode(0).states
    video = dataset() / VIDEO

    def read(step: int) -> Observation:
        picture = torch.from_numpy(decode_from_start(video, step)).permute(2, 0, 1).float() / 255
        return {STATE: torch.from_numpy(states[step]), CAMERA: picture}

    return calling_lerobot(read)


def calling_lerobot(read: Callable[[int], Observation]) -> Callable[[range], Spent]:
    """Predict a chunk from each step's observation with lerobot; the first one of a turn is run once more, untimed."""
    policy, preprocess, postprocess = LerobotPolicy.load(full_size_policy())

    def turn(steps: range) -> Spent:
        postprocess(policy.predict_action_chunk(preprocess(read(steps[0]))))
        decode_s = policy_s = 0.0
        for step in steps:
            started = time.perf_counter()
            observation = read(step)
            decoded = time.perf_counter()
            postprocess(policy.predict_action_chunk(preprocess(observation)))
            decode_s += decoded - started
            policy_s += time.perf_counter() - decoded
        return decode_s, policy_s

    return turn


if __name__ == "__main__":
    run(__file__, __doc__, measure, "two rounds of frames, extrapolated")
