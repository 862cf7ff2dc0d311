"""What was evaluated, and what went wrong."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.results import FAILURES_FILE, EvalResults, Failure
from lerobot_inference.evaluation.safety_summary import STOPPED
from lerobot_inference.evaluation.summary import WORST_EPISODE
from lerobot_inference.report.page.table import words

NOT_FAILED = (WORST_EPISODE, STOPPED)
"""Kinds of lines about episodes that have a score; what stopped them is in the safety replay's figures."""


def describe(results: EvalResults) -> list[tuple[str, str]]:
    """(what, its value) of what says which policy, which recordings, and how."""
    origin = results.provenance
    episodes = f"{results.episodes_evaluated} scored: {ranges([score.episode for score in results.per_episode])}"
    if results.failed_episodes:
        episodes += f"; {len(results.failed_episodes)} failed: {ranges(results.failed_episodes)}"
    speed = f"{origin.threads} threads" if origin.threads else "threads not recorded"
    return [
        ("Policy", results.policy_repo_id),
        ("Policy revision", origin.policy_revision or "none: a local folder"),
        ("Dataset", results.dataset_repo_id),
        ("Dataset revision", origin.dataset_revision or "none: a local folder"),
        ("Episodes", episodes),
        ("Recorded at", f"{results.fps:g} Hz, {len(results.joint_names)} joints, {results.action_mode} actions"),
        ("Chunks", f"{results.chunk_size} steps predicted, {results.n_action_steps} executed"),
        ("Protocols", ", ".join(f"{words(name)}, {p.steps} steps" for name, p in results.protocols.items())),
        ("Engine", f"{origin.engine}, {origin.precision} on {origin.device}"),
        ("Processes", f"{origin.workers}, {speed}"),
        ("Machine", ", ".join(filter(None, (origin.machine, origin.processor)))),
        ("Date", origin.created),
        ("Seed", str(origin.seed)),
    ]


def fine_print(results: EvalResults) -> list[tuple[str, str]]:
    """(what, its value) of what it takes to measure the same again."""
    origin = results.provenance
    return [
        ("Command", " ".join(origin.command)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in origin.versions.items())),
        *((f"sha256 of {name}", sha256) for name, sha256 in origin.policy_files.items()),
        *((f"sha256 of {name}", sha256) for name, sha256 in origin.dataset_files.items()),
    ]


def ranges(numbers: list[int]) -> str:
    """Numbers as `0-4, 7`, ascending."""
    if not numbers:
        return ""
    ordered = sorted(numbers)
    breaks = [0, *(place for place, (a, b) in enumerate(pairwise(ordered), 1) if b != a + 1), len(ordered)]
    runs = [ordered[start:end] for start, end in pairwise(breaks)]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def missing_figures(results: EvalResults) -> dict[str, list[str]]:
    """Why a figure is null -> the figures for which that is so."""
    figures: dict[str, list[str]] = {}
    for path, why in results.reasons.items():
        figures.setdefault(why, []).append(path)
    return figures


def failures(folder: Path) -> list[tuple[str, str]]:
    """(where, what went wrong), without what was scored. Raises ConfigError for a damaged file."""
    path = folder / FAILURES_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [Failure.model_validate_json(line) for line in lines]
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: can't be read: {error}", hint="run evaluate again to write it") from error
    return [
        ("The whole run" if f.episode is None else f"Episode {f.episode}", f"{words(f.kind)}: {f.message}")
        for f in found
        if f.kind not in NOT_FAILED
    ]
