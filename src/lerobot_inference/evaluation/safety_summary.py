"""Pool what the guards made of every episode's commands."""

from __future__ import annotations

from collections.abc import Sequence

from lerobot_inference.control import Severity
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.results import Failure, FirstEvent, GuardFigures, SafetyReplay, Word
from lerobot_inference.evaluation.safety_replay import GuardedArm, SafetyScore

STOPPED = "stopped"
WORDS: dict[int, Word] = {
    Severity.ACCEPT: "accept",
    Severity.WARN: "warn",
    Severity.SCALE: "scale",
    Severity.HOLD: "hold",
    Severity.REJECT: "reject",
    Severity.DISARM: "disarm",
    Severity.LATCH: "latch",
}


def pool_safety(scores: Sequence[EpisodeScore], arm: GuardedArm | str) -> tuple[SafetyReplay | None, dict[str, str]]:
    """The figures of all episodes, and why those that are missing are; the order of the scores does not matter."""
    if isinstance(arm, str):
        return None, {"safety_replay": arm}
    replayed = {score.episode: score.safety for score in sorted(scores, key=_number) if score.safety}
    runs = list(replayed.values())
    figures = SafetyReplay(
        ticks=sum(run.ticks for run in runs),
        scaled_ticks=sum(run.scaled for run in runs),
        held_ticks=sum(run.held for run in runs),
        stopped_episodes=sum(run.stopped_at >= 0 for run in runs),
        guards={name: _guard(name, runs) for name in arm.guards},
        first_events={
            name: FirstEvent(
                episode=episode, step=found.first_step, severity=WORDS[found.first_word], reason=found.first_reason
            )
            for episode, run in reversed(replayed.items())
            for name, found in run.guards.items()
        },
    )
    return figures, {f"safety_replay.guards.{name}": f"not asked: {why}" for name, why in arm.left_out.items()}


def stops(scores: Sequence[EpisodeScore]) -> list[Failure]:
    """A line of failure_cases.jsonl for each episode in which a guard would have switched control off."""
    return [
        Failure(episode=score.episode, kind=STOPPED, message=f"step {run.stopped_at}: {run.stop}")
        for score in sorted(scores, key=_number)
        if (run := score.safety) and run.stopped_at >= 0
    ]


def _guard(name: str, runs: Sequence[SafetyScore]) -> GuardFigures:
    found = [run.guards[name] for run in runs if name in run.guards]
    return GuardFigures(
        ticks=sum(each.ticks for each in found),
        episodes=len(found),
        severest=WORDS[max((each.severest for each in found), default=Severity.ACCEPT)],
    )


def _number(score: EpisodeScore) -> int:
    return score.episode
