"""Observations in, one checked command a tick out. Node, evaluator and simulated cell run this very code.

It goes by its arguments alone, `now_s` among them, and by what the predictor answers: the same inputs give the same
decisions, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from lerobot_inference.control.action_mode import to_target
from lerobot_inference.control.decision import ControlSettings, Decision, State
from lerobot_inference.control.guards import GuardEvent, Guards, Outcome, Severity, Situation
from lerobot_inference.control.predictor import Predictor
from lerobot_inference.control.schedule import Schedule
from lerobot_inference.control.senses import Senses
from lerobot_inference.control.trajectory import Trajectory, braking, catch_up, move, rest
from lerobot_inference.types import FloatArray

SKEW_S = 0.05
"""A joint state and an image further apart than this are not predicted from."""
LEFT_ALONE_S = 1.0
"""A program that stood still for longer, or a clock that leapt: the arm came to rest long ago, and people came near."""
RESET_COOLDOWN_S = 0.5
MOST_COMING = 1000
BRAKE = 2.5
"""rad/s^2 at which a trajectory that is not replaced comes to rest."""


class Controller:
    """Holds the command and decides, tick by tick, whether and how it moves.

    Control is off at first: `arm` switches it on. Not thread-safe: one thread calls everything.
    """

    def __init__(self, settings: ControlSettings, guards: Guards, schedule: Schedule, predictor: Predictor) -> None:
        """Raises ConfigError where the guards have limits for another number of joints."""
        guards.require_joints(settings.joint_names)
        self.settings = settings
        self.senses = Senses(settings.joint_names)
        self.guards = guards
        self.counts: Counter[str] = Counter()
        self.stopped: str | None = None
        self.publishers = 0
        self._schedule, self._predictor = schedule, predictor
        self._signs = np.array(settings.signs or (1,) * len(settings.joint_names), np.float32)
        self._tick = self._chunk = self._given = self._asked_at = 0
        self._command: FloatArray = np.zeros(len(settings.joint_names), np.float32)
        self._velocity: FloatArray = np.zeros_like(self._command)
        self._anchored = False
        self._armed_s: float | None = None
        self._moved_s: float | None = None
        self._due_s: float | None = None
        self._latched: str | None = None
        self._latched_s = 0.0
        self._ticked_s: float | None = None
        self._off = "control is off"
        self._failed = self._rejected = 0
        self._discard = self._ended = self._clean = False
        self._said: FloatArray | None = None
        self._said_at = 0

    @property
    def armed(self) -> bool:
        """Whether commands are published."""
        return self._armed_s is not None

    @property
    def queue_length(self) -> int:
        """How many actions are known after the one that was last due."""
        return len(self._schedule.coming(MOST_COMING))

    def arm(self, now_s: float) -> str:
        """Switch control on, or say why not; empty when it is on."""
        if self.armed:
            return ""
        if self._ended:
            return "stopped"
        if self._latched is not None:
            return f"latched: {self._latched}; reset the fault first"
        if not self.senses.complete:
            return "no joint state and image yet"
        if self.senses.skew_s > SKEW_S:
            return f"joint state and image are {self.senses.skew_s:.3f} s apart, the limit is {SKEW_S} s"
        self._begin_anew()
        outcome = self.guards.start(self._situation(now_s))
        if outcome.severity >= Severity.HOLD:
            return outcome.reason
        self._armed_s = now_s
        return ""

    def disarm(self, reason: str = "control is off") -> Trajectory | None:
        """Switch control off at once. Returns the hold to publish last, where it was on."""
        was_armed, self._armed_s, self._off = self.armed, None, reason
        self._drop()
        return self._hold() if was_armed else None

    def reset_episode(self) -> None:
        """Forget the chunk: the next is predicted from what is seen now."""
        self._begin_anew()

    def reset_fault(self, now_s: float) -> str:
        """Lift the latch, or say why not; control stays off."""
        if self._latched is not None and now_s - self._latched_s < RESET_COOLDOWN_S:
            return f"latched less than {RESET_COOLDOWN_S} s ago"
        self._latched = None
        self._failed = self._rejected = 0
        self._begin_anew()
        return ""

    def stop(self) -> Trajectory | None:
        """End. Returns the hold to publish last, where control was on."""
        hold = self.disarm("stopped")
        self._ended = True
        return hold

    def tick(self, now_s: float) -> Decision:
        """Decide what to publish now."""
        self._tick += 1
        clock = self._watch_clock(now_s)
        if self._ended:
            return self._decide(State.STOPPED, "stopped")
        if not self.senses.complete:
            return self._decide(State.WAITING, "no joint state and image yet")
        if not self._anchored:
            self._begin_anew()
        received = clock + self._receive(now_s)
        if self._latched is not None:
            return self._decide(State.LATCHED, self._latched, received.events)
        outcome = received + self.guards.watch(self._situation(now_s))
        if outcome.severity < Severity.HOLD and self._ask():
            outcome += self._receive(now_s)
        if outcome.severity >= Severity.HOLD:
            if self._due_s is not None:  # what is waited for is the robot or the camera, not the policy
                self._due_s = now_s
            return self._refuse(outcome, now_s)
        if not self._schedule.ready:
            return self._idle(now_s, outcome)
        return self._move(now_s, outcome)

    def _watch_clock(self, now_s: float) -> Outcome:
        """Ages, ramps and limits in time go by a clock that runs on; and an arm that was left alone is at rest."""
        before_s, self._ticked_s = self._ticked_s, now_s
        passed_s = 0.0 if before_s is None else now_s - before_s
        if 0.0 <= passed_s <= max(LEFT_ALONE_S, 3 * self.settings.period_s):
            return Outcome(Severity.ACCEPT)
        self._latched_s = min(self._latched_s, now_s)
        reason = f"it went back by {-passed_s:.3f} s" if passed_s < 0.0 else f"no tick for {passed_s:.3f} s"
        return Outcome(Severity.LATCH, (GuardEvent("clock", Severity.LATCH, reason),))

    def _ask(self) -> bool:
        """Ask for a chunk where one is needed, and what is seen is of one moment; whether that was so."""
        if self._predictor.busy or not self._schedule.needs_chunk or self.senses.skew_s > SKEW_S:
            return False
        joints, image = self.senses.seen
        self._asked_at, self._discard = self._given, False
        self._predictor.ask(joints * self._signs, image)
        return True

    def _receive(self, now_s: float) -> Outcome:
        """Hand a finished chunk to the schedule, if it may be used."""
        answer = self._predictor.answer()
        if answer is None or self._discard:
            return Outcome(Severity.ACCEPT)
        if answer.actions is None:
            self._failed += 1
            return Outcome(Severity.WARN, (GuardEvent("inference_error", Severity.WARN, answer.error),))
        self._failed = 0
        if not self.armed:  # nothing was executed: the arm is where it was
            self._anchor()
        chunk, late, first = answer.actions, self._given - self._asked_at, self._command
        whole = chunk if answer.whole is None else answer.whole
        if chunk.ndim == 2 and len(chunk) and chunk.shape[1] == len(self._signs):  # else a guard says what it is
            chunk, whole = chunk * self._signs, whole * self._signs
            first = to_target(chunk[min(late, len(chunk) - 1)], self._command, self.settings.action_mode)
        outcome = self.guards.chunk(whole, first, self._after_another(self._situation(now_s)))
        if outcome.severity < Severity.REJECT:
            self._rejected = 0 if self._clean else self._rejected
            self._clean = True
            self._chunk += 1
            self._schedule.add_chunk(chunk, late)
            if self.armed:  # else the arm does nothing of what the chunk says
                self._said, self._said_at = whole, self._asked_at
            return outcome
        self._reject()
        # What is left of the chunk before is still good: only what is severer ends it.
        return replace(outcome, severity=Severity.WARN) if outcome.severity is Severity.REJECT else outcome

    def _move(self, now_s: float, outcome: Outcome) -> Decision:
        """Execute the action that is due, as far as the limits allow."""
        situation = self._situation(now_s)
        action = self._schedule.next_action()
        self._given += 1
        target = to_target(action, self._command, self.settings.action_mode)
        limited = self.guards.limit(target, situation)
        if limited.target is None:
            self._reject()
            return self._refuse(outcome + limited, now_s, target)
        before, self._command = self._command, limited.target
        self._velocity = (limited.target - before) / np.float32(self.settings.period_s)
        self._due_s = now_s
        self._moved_s = now_s if self._moved_s is None else self._moved_s
        events = (outcome + limited).events
        if not self.armed:
            return self._decide(State.DRY_RUN, self._off, events, target)
        return self._decide(State.RUNNING, "", events, target, self._look_ahead(before, situation))

    def _look_ahead(self, before: FloatArray, situation: Situation) -> Trajectory:
        """The command, the targets after it as far as the limits allow them, and a point of rest."""
        period, targets = self.settings.period_s, [before, self._command]
        for action in self._schedule.coming(self.settings.lookahead_points - 2):
            limited = self._preview(targets, to_target(action, targets[-1], self.settings.action_mode), situation)
            if limited is None:
                break
            targets.append(limited)
        velocity = (targets[-1] - targets[-2]) / np.float32(period)
        seconds, further = braking(velocity, BRAKE, len(targets) - 1, period)
        stop = targets[-1] + further
        if self._preview(targets, stop, situation, at_rest=True) is None:
            stop = targets[-1]
        behind = catch_up(before, self._velocity, situation.measured)
        return move(before, np.stack(targets[1:]), stop, seconds, period, behind)

    def _preview(
        self, path: list[FloatArray], target: FloatArray, situation: Situation, *, at_rest: bool = False
    ) -> FloatArray | None:
        """What the limits make of a target that would follow `path`; at_rest: only where it may be, not how fast."""
        velocity = (path[-1] - path[-2]) / np.float32(situation.period_s)
        after = situation.moved_to(target if at_rest else path[-1], np.zeros_like(velocity) if at_rest else velocity)
        return self.guards.limit(target, after).target

    def _idle(self, now_s: float, outcome: Outcome) -> Decision:
        """Nothing is due: the first chunk is being predicted, or the next comes too late."""
        if self._due_s is None:
            return self._hold_on(outcome.events, "waiting for the first chunk")
        idle = self.guards.idle(self._situation(now_s))
        if idle.severity >= Severity.HOLD:
            return self._refuse(outcome + idle, now_s)
        return self._hold_on(outcome.events, "no action is due")

    def _refuse(self, outcome: Outcome, now_s: float, target: FloatArray | None = None) -> Decision:
        """Do as guards say that don't let the arm move."""
        if outcome.severity >= Severity.REJECT:
            self._drop()
        if self.armed and outcome.severity >= Severity.LATCH:
            self._latched, self._latched_s = outcome.reason, now_s
        if self.armed and outcome.severity >= Severity.DISARM:
            state = State.DRY_RUN if self._latched is None else State.LATCHED
            return self._decide(state, outcome.reason, outcome.events, target, self.disarm(outcome.reason))
        if outcome.severity >= Severity.LATCH:  # in a dry run, which goes on
            self._failed = self._rejected = 0
        return self._hold_on(outcome.events, outcome.reason, target)

    def _hold_on(self, events: tuple[GuardEvent, ...], reason: str, target: FloatArray | None = None) -> Decision:
        self._velocity = np.zeros_like(self._velocity)
        if not self.armed:
            return self._decide(State.DRY_RUN, reason, events, target)
        return self._decide(State.HOLDING, reason, events, target, self._hold())

    def _reject(self) -> None:
        """Count a chunk that was not to be used; only one that is used up in peace ends the row."""
        self._rejected += 1
        self._clean = False

    def _drop(self) -> None:
        """Forget the chunk, and the one that is being predicted."""
        self._schedule.reset()
        self._discard = True
        self._due_s = self._said = None

    def _begin_anew(self) -> None:
        """Start from where the arm is."""
        self._drop()
        self._moved_s = None
        if self.senses.complete:
            self._anchor()

    def _anchor(self) -> None:
        """Go by where the arm is."""
        self._command, self._anchored = self.senses.seen[0], True
        self._velocity = np.zeros_like(self._velocity)

    def _hold(self) -> Trajectory:
        behind = catch_up(self._command, self._velocity, self.senses.seen[0])
        return rest(self._command, self.settings.period_s, behind)

    def _situation(self, now_s: float) -> Situation:
        def since(begin: float | None) -> float:
            return 0.0 if begin is None else max(0.0, now_s - begin)  # less than 0 after a clock went back

        return Situation(
            now_s=now_s,
            period_s=self.settings.period_s,
            joint_names=self.settings.joint_names,
            measured=self.senses.seen[0],
            command=self._command,
            velocity=self._velocity,
            armed=self.armed,
            armed_s=since(self._armed_s),
            moved_s=since(self._moved_s),
            joint_age_s=now_s - self.senses.joints_s,
            image_age_s=now_s - self.senses.image_s,
            skew_s=self.senses.skew_s,
            empty_s=since(self._due_s),
            failed_predictions=self._failed,
            rejected_chunks=self._rejected,
            stopped=self.stopped,
            publishers=self.publishers,
        )

    def _after_another(self, situation: Situation) -> Situation:
        """With what the chunk before says of the one that has come."""
        stride = self._asked_at - self._said_at
        return situation if self._said is None else replace(situation, said=self._said[stride:], stride=stride)

    def _decide(
        self,
        state: State,
        reason: str,
        events: tuple[GuardEvent, ...] = (),
        target: FloatArray | None = None,
        trajectory: Trajectory | None = None,
    ) -> Decision:
        self.counts.update(event.guard for event in events)
        return Decision(self._tick, state, reason, self._command, target, trajectory, self._chunk, events)
