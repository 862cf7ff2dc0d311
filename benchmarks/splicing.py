"""What an arm is told where one chunk follows another, when chunks are computed while it moves.

    .venv/bin/python benchmarks/splicing.py [--quick]

The policy knows the motion perfectly and, like any policy, goes on from where it sees the arm. But an arm trails its
commands (a UR by about 34 ms), and a chunk is LATE periods old when it arrives. Spliced as it comes, a chunk begins
behind the last command, and the target is yanked back: the saw-tooth. Everything runs through the controller that the
robot has, with no guard to smooth it; the same arm, the same motion and the same moments of asking for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from claim import Claim, run, times

from lerobot_inference.control import Controller, ControlSettings, Guards, Schedule
from lerobot_inference.control.predictor import Prediction
from lerobot_inference.control.prefetch import PrefetchSchedule
from lerobot_inference.types import ActionMode, FloatArray, UInt8Array

HZ = 30.0
LAG_S = 0.034
CHUNK, USED, LATE = 50, 12, 5
SECONDS, QUICK_SECONDS = 60, 6
JOINTS = tuple(f"joint_{number}" for number in range(6))
RATES = np.array([0.5, 0.7, 0.9, 1.1, 1.3, 1.5])
REACH = 0.6 / RATES  # so that each joint goes up to 0.6 rad/s
SETTLED = 30
"""Ticks after which the arm follows; those before are not counted."""
NO_PICTURE: UInt8Array = np.empty((0, 0, 3), np.uint8)


def motion(first: int, count: int) -> FloatArray:
    """(count, 6) radians: where the demonstrator is from tick `first` on."""
    ticks = np.arange(first, first + count)[:, None]
    path: FloatArray = (REACH * np.sin(RATES * ticks / HZ)).astype(np.float32)
    return path


class GoesOn:
    """A predictor that continues the motion from the joint state it is given; the answer is LATE ticks late."""

    def __init__(self) -> None:
        self.tick = 0
        self._answer: tuple[int, FloatArray] | None = None

    @property
    def busy(self) -> bool:
        """See Predictor."""
        return self._answer is not None

    def ask(self, state: FloatArray, image: UInt8Array) -> None:  # noqa: ARG002
        """See Predictor."""
        path = motion(self.tick, CHUNK + 1)
        self._answer = self.tick + LATE, state + path[1:] - path[0]

    def answer(self) -> Prediction | None:
        """See Predictor."""
        if self._answer is None or self.tick < self._answer[0]:
            return None
        (_, chunk), self._answer = self._answer, None
        return Prediction(chunk)


class Spliced(PrefetchSchedule):
    """The new chunk takes over as it is. aligned: at the action that is due, instead of at its first."""

    def __init__(self, *, aligned: bool) -> None:
        super().__init__(USED, ActionMode.ABSOLUTE, LATE)
        self._aligned = aligned

    def add_chunk(self, chunk: FloatArray, late: int = 0) -> None:
        """See Schedule."""
        self._chunk, self._used = (chunk[late:] if self._aligned else chunk), 0


@dataclass(frozen=True)
class Jumps:
    """Of any joint, radians: the largest step from one command to the next where a chunk takes over, and elsewhere.

    change: the largest change from one step to the next where a chunk takes over or is returned from, and elsewhere.
    """

    borders: int
    border: float
    interior: float
    border_change: float
    interior_change: float


def ways() -> Mapping[str, Schedule]:
    """Who splices."""
    return {
        "spliced from its first action": Spliced(aligned=False),
        "spliced at the action that is due": Spliced(aligned=True),
        "ours, the difference cancelled and faded out": PrefetchSchedule(USED, ActionMode.ABSOLUTE, LATE),
    }


def play(schedule: Schedule, ticks: int) -> Jumps:
    """Run the controller on the lagging arm."""
    predictor = GoesOn()
    controller = Controller(ControlSettings(JOINTS, ActionMode.ABSOLUTE, HZ, ()), Guards.make({}), schedule, predictor)
    arm, follows = motion(0, 1)[0], np.float32(1 - np.exp(-1 / (HZ * LAG_S)))
    commands, chunks = [], []
    for tick in range(ticks):
        predictor.tick, now_s = tick, 1.0 + tick / HZ
        controller.senses.see_joints(JOINTS, arm.tolist(), now_s, now_s)
        controller.senses.see_image(NO_PICTURE, now_s, now_s)
        if not tick:
            controller.arm(now_s)
        decision = controller.tick(now_s)
        commands.append(decision.command)
        chunks.append(decision.chunk)
        arm = arm + follows * (decision.command - arm)
    steps = np.diff(commands[SETTLED:], axis=0)
    change, step = np.abs(np.diff(steps, axis=0)).max(axis=1), np.abs(steps).max(axis=1)
    new = np.diff(chunks[SETTLED:]) > 0
    beside = new[1:] | new[:-1]
    figures = (step[new], step[~new], change[beside], change[~beside])
    return Jumps(int(new.sum()), *(float(each.max()) for each in figures))


def measure(quick: bool) -> Iterable[Claim]:
    """Print a table; claim the jump at borders against what naive splicing gives."""
    ticks = round(HZ * (QUICK_SECONDS if quick else SECONDS))
    found = {name: play(schedule, ticks) for name, schedule in ways().items()}
    print(f"\n{ticks} ticks at {HZ:g} Hz, servo lag {1000 * LAG_S:g} ms, chunks {LATE} periods late; mrad a tick")
    print(f"{'':<48}{'':>8}{'largest step':>16}{'its change':>16}")
    print(f"{'':<48}{'borders':>8}" + 2 * f"{'border':>8}{'inside':>8}")
    for name, jumps in found.items():
        figures = (jumps.border, jumps.interior, jumps.border_change, jumps.interior_change)
        print(f"{name:<48}{jumps.borders:>8}" + "".join(f"{1000 * figure:>8.2f}" for figure in figures))
    naive, aligned, ours = found.values()
    yield Claim(
        "largest change of the commanded step where a chunk takes over, on an arm that lags 34 ms: "
        "prefetch, against chunks spliced as they come",
        f"{times(naive.border_change / ours.border_change)} smaller ({1000 * ours.border_change:.2f} mrad a tick "
        f"against {1000 * naive.border_change:.1f}; {1000 * aligned.border_change:.1f} where they are index-aligned)",
    )
    yield Claim(
        "largest step from one command to the next where a chunk takes over under prefetch, over the largest elsewhere",
        times(ours.border / ours.interior),
        "<= 1 times",
        ours.border <= ours.interior,
    )


if __name__ == "__main__":
    run(__file__, __doc__, measure, f"{QUICK_SECONDS} seconds of motion instead of {SECONDS}")
