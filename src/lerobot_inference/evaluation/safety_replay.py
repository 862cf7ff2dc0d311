"""What the robot's guards make of a policy's commands: the node's own controller, over predictions already made.

The arm is a perfect one: it starts where the episode does and is always where it was last told to be, and what it sees
is fresh. So the figures are about the commands and nothing else: neither a servo's lag, nor the drift of an arm that
was told otherwise than the recorded one, counts against the policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from lerobot_inference.checkpoint import Bundle, Policy
from lerobot_inference.control import Controller, ControlSettings, Decision, GuardEvent, Guards, Severity, State
from lerobot_inference.control.guards.known import RECORDED, known_limits
from lerobot_inference.control.predictor import Prediction
from lerobot_inference.control.prefetch import PrefetchSchedule
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.replay import AsDeployed
from lerobot_inference.types import FloatArray, IntArray, UInt8Array

START_S = 1.0
"""The replay's clock begins here; a stamp of 0 says nothing."""
NO_PICTURE: UInt8Array = np.empty((0, 0, 3), np.uint8)

OF_THE_SESSION = {
    "soft_start": "it slows the first seconds whatever the policy says, and the recording did not wait for it",
    "time_cap": "it is about how long a person watches",
}
"""Guards that are not asked, whatever the guards file says, and why."""
UR10E_KINEMATICS = ("tool_speed", "workspace")
PER_JOINT = ("limits", "min", "max", "mean", "std")


@dataclass(frozen=True)
class GuardScore:
    """One guard that spoke in an episode. ticks: at how many; severest, first_word: Severity's numbers."""

    ticks: int
    severest: int
    first_step: int
    first_word: int
    first_reason: str


@dataclass(frozen=True)
class SafetyScore:
    """One episode. scaled: ticks at which the arm went slower than asked. held: at which it stood still.

    stopped_at: the step at which a guard switched control off, -1 for none; stop: why. Guards are counted up to then.
    """

    ticks: int
    scaled: int
    held: int
    stopped_at: int
    stop: str
    guards: dict[str, GuardScore]


class SafetyRun(NamedTuple):
    """One episode, replayed. answers: (T,) Severity's numbers, what became of each step."""

    score: SafetyScore
    answers: IntArray


@dataclass(frozen=True)
class GuardedArm:
    """The arm that a policy is replayed on. guards: as in a guards file; left_out: guards not asked -> why."""

    settings: ControlSettings
    guards: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]

    @classmethod
    def of(cls, policy: Policy, dataset: Dataset, plan: EvaluationPlan) -> GuardedArm | str:
        """The arm that an evaluation is about, or why its commands can't be replayed."""
        joints, states = dataset.action_dim, dataset.state_dim
        if joints != states:
            return f"the state has {states} values and the action {joints}: they are not of the same joints"
        names = tuple(dataset.joint_names)
        if len(set(names)) != joints:
            names = tuple(f"joint {number}" for number in range(joints))
        signs = tuple(policy.contract.signs) if isinstance(policy, Bundle) else ()
        known = known_limits(policy)
        guards = {name: {**known.get(name, {}), **values} for name, values in plan.guards.items()}
        left_out = {name: why for name, values in guards.items() if (why := _why_not(name, values, joints))}
        asked = {name: values for name, values in guards.items() if name not in left_out}
        # Of a command only its first point counts here, so no look-ahead is worked out.
        return cls(ControlSettings(names, plan.action_mode, dataset.fps, signs, lookahead_points=2), asked, left_out)

    def replay(self, deployed: AsDeployed, start: FloatArray) -> SafetyRun:
        """Play an episode's predictions from the joint state `start` (J,), radians as recorded."""
        tally = _Tally()
        for decision in self.decide(deployed, start):
            tally.add(decision)
        return SafetyRun(tally.score(), np.array(tally.answers, np.int64))

    def decide(self, deployed: AsDeployed, start: FloatArray) -> Iterator[Decision]:
        """The controller's decision at each step."""
        settings, predictor = self.settings, _Served(deployed)
        schedule = PrefetchSchedule(len(deployed.predicted), settings.action_mode, lead=0)  # plays each to its end
        controller = Controller(settings, Guards.make(self.guards), schedule, predictor)
        measured = start * np.array(settings.signs or 1, np.float32)
        for step in range(len(deployed.predicted)):
            predictor.step, now_s = step, START_S + step * settings.period_s
            controller.senses.see_joints(settings.joint_names, measured.tolist(), now_s, now_s)
            controller.senses.see_image(NO_PICTURE, now_s, now_s)
            refused = "" if step else controller.arm(now_s)
            decision = controller.tick(now_s)
            if refused:  # Guards.start says so, as `guard: why`
                guard, _, why = refused.partition(": ")
                decision = replace(decision, reason=refused, events=(GuardEvent(guard, Severity.DISARM, why),))
            measured = measured if decision.trajectory is None else decision.command
            yield decision


def _why_not(guard: str, values: Mapping[str, Any], joints: int) -> str:
    """Why a guard isn't asked; empty where it is."""
    if guard in OF_THE_SESSION:
        return OF_THE_SESSION[guard]
    if guard in UR10E_KINEMATICS and joints != 6:
        return f"it knows where the links of a UR10e's 6 joints are, the policy moves {joints}"
    if guard in RECORDED and not values.get(RECORDED[guard]):
        return "neither the guards file nor the policy's contract gives it limits"
    sizes = [len(values[name]) for name in PER_JOINT if values.get(name)]
    wrong = [size for size in sizes if size != joints]
    return f"its limits are those of {wrong[0]} joints, the policy moves {joints}" if wrong else ""


class _Served:
    """A predictor that answers at once with what is left of the chunk that was played at this step."""

    busy = False

    def __init__(self, deployed: AsDeployed) -> None:
        self.step = 0
        self._deployed = deployed
        self._ends = np.append(deployed.chunk_starts[1:], len(deployed.predicted))
        self._asked = False

    def ask(self, state: FloatArray, image: UInt8Array) -> None:  # noqa: ARG002 - it was asked when it was evaluated
        self._asked = True

    def answer(self) -> Prediction | None:
        if not self._asked:
            return None
        self._asked = False
        number = np.searchsorted(self._ends, self.step, side="right")
        played = self._deployed.predicted[self.step : self._ends[number]]
        if self._deployed.chunks is None:
            return Prediction(played)
        passed = self.step - self._deployed.chunk_starts[number]
        return Prediction(played, whole=self._deployed.chunks[number, passed:])


@dataclass
class _Tally:
    """Counts decisions as they come."""

    answers: list[int] = field(default_factory=list)
    scaled: int = 0
    held: int = 0
    stopped_at: int = -1
    stop: str = ""
    guards: dict[str, GuardScore] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        step = len(self.answers)
        if self.stopped_at >= 0:
            self.answers.append(self.answers[-1])
            self.held += 1
            return
        events: dict[str, GuardEvent] = {}
        for event in decision.events:
            if event.guard not in events or event.severity > events[event.guard].severity:
                events[event.guard] = event
        for guard, event in events.items():
            first = GuardScore(0, 0, step, int(event.severity), event.reason)
            so_far = self.guards.get(guard, first)
            severest = max(so_far.severest, int(event.severity))
            self.guards[guard] = replace(so_far, ticks=so_far.ticks + 1, severest=severest)
        moved = decision.state is State.RUNNING
        words = [event.severity for event in events.values()]
        self.scaled += moved and Severity.SCALE in words
        self.held += not moved
        if decision.state in (State.LATCHED, State.DRY_RUN):
            self.stopped_at, self.stop = step, decision.reason
        self.answers.append(int(_answer(decision.state, max(words, default=Severity.ACCEPT))))

    def score(self) -> SafetyScore:
        return SafetyScore(len(self.answers), self.scaled, self.held, self.stopped_at, self.stop, self.guards)


def _answer(state: State, severest: Severity) -> Severity:
    """What became of a step: whatever a guard said, an arm that moved was slowed down at the most."""
    match state:
        case State.RUNNING:
            return min(severest, Severity.SCALE)
        case State.LATCHED:
            return Severity.LATCH
        case State.HOLDING:
            return max(severest, Severity.HOLD)
        case _:
            return Severity.DISARM
