"""The run's plots within the page, each with the sentence that it shows."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lerobot_inference.evaluation.predictions import EpisodePredictions
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.report.text import MRAD, significant

COLUMN_INCHES = 6
"""Plots of the size of a paper's column are narrower."""


@dataclass(frozen=True)
class Picture:
    """One plot. uri: a data URI. finding: what the plot shows, in words and figures. width, height: pixels.

    wide: as wide as a page, where others are as wide as a column.
    """

    title: str
    uri: str
    finding: str
    width: int
    height: int
    wide: bool


def embed_pictures(
    paths: Sequence[Path], results: EvalResults, episodes: Sequence[EpisodePredictions]
) -> list[Picture]:
    """The PNG files `paths`, in that order."""
    from PIL import Image

    pictures = []
    for path in paths:
        data = path.read_bytes()
        with Image.open(path) as image:
            width, height = image.size
            inches = width / image.info["dpi"][0]
        uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        finding = FINDINGS.get(path.stem, _pooled)(results, episodes)
        pictures.append(
            Picture(path.stem.replace("_", " ").capitalize(), uri, finding, width, height, inches > COLUMN_INCHES)
        )
    return pictures


def _pooled(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    return f"{results.episodes_evaluated} episodes pooled: MAE {MRAD.text(results.aggregate_mae)}."


def _summary(results: EvalResults, episodes: Sequence[EpisodePredictions]) -> str:
    parts = (_worst, _joints, _horizon, _latency)
    return " ".join(part(results, episodes) for part in parts)


def _worst(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    worst = max(results.per_episode, key=lambda score: score.mae)
    pooled = MRAD.text(results.aggregate_mae)
    return f"Largest error in episode {worst.episode}, MAE {MRAD.text(worst.mae)}; all steps pooled, {pooled}."


def _joints(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    deployed = results.as_deployed
    policy = np.asarray(deployed.error.per_joint_mae)
    best = np.asarray(deployed.baselines[deployed.best_baseline].per_joint_mae)
    worst, below = int(policy.argmax()), int((policy < best).sum())
    baseline = deployed.best_baseline.replace("_", " ")
    return (
        f"{below} of {len(policy)} joints err less than the best baseline, {baseline}; "
        f"{results.joint_names[worst]} errs most, {MRAD.text(float(policy[worst]))}."
    )


def _horizon(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    every_frame = results.protocols.get("every_frame")
    if every_frame is None or not every_frame.horizon_mae:
        return "Error by step within the chunk was not measured."
    first, last = every_frame.horizon_mae[0], every_frame.horizon_mae[-1]
    steps = len(every_frame.horizon_mae)
    return f"Along the chunk's {steps} steps the MAE goes from {MRAD.text(first)} to {MRAD.text(last)}."


def _latency(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    timing = results.timing
    return (
        f"{timing.deadline_misses} of {timing.policy_step.count} control steps took longer than the deadline of "
        f"{significant(timing.deadline_ms)} ms; the slowest took {significant(timing.policy_step.max_ms)} ms."
    )


def _jumps(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    predicted, recorded = results.as_deployed.smoothness.predicted, results.as_deployed.smoothness.recorded
    if predicted.border_jump is None or predicted.interior_jump is None or recorded.border_jump is None:
        return "The actions have no chunk borders to compare with the steps between them."
    return (
        f"At chunk borders the action changes by {MRAD.text(predicted.border_jump)}, inside chunks by "
        f"{MRAD.text(predicted.interior_jump)}; the demonstrator's, at the same borders, by "
        f"{MRAD.text(recorded.border_jump)}."
    )


def _safety(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    safety = results.safety_replay
    if safety is None:
        why = results.reasons.get("safety_replay", "not in these results")
        return f"The commands were not played through the robot's guards: {why}."
    spoke = ", ".join(f"{name} at {found.ticks}" for name, found in safety.guards.items() if found.ticks)
    return (
        f"The robot's guards would switch control off in {safety.stopped_episodes} episodes, slow the arm down at "
        f"{safety.scaled_ticks} of {safety.ticks} ticks and hold it at {safety.held_ticks}"
        f"{f' ({spoke})' if spoke else ''}."
    )


def _robustness(results: EvalResults, _: Sequence[EpisodePredictions]) -> str:
    ratios = {name: perturbed.mse_ratio for name, perturbed in results.robustness.items() if perturbed.mse_ratio}
    if not ratios:
        return "No worsened pictures to compare with."
    worst = max(ratios, key=lambda name: ratios[name])
    return f"Of {len(ratios)} perturbations {worst} hurts most: {significant(ratios[worst])} times the squared error."


FINDINGS: dict[str, Callable[[EvalResults, Sequence[EpisodePredictions]], str]] = {
    "aggregate_summary": _summary,
    "border_jumps": _jumps,
    "error_by_horizon": _horizon,
    "joint_errors": _joints,
    "latency": _latency,
    "robustness": _robustness,
    "safety_replay": _safety,
    "worst_episodes": _worst,
}
"""Name of a plot of the whole run -> what it shows."""
