"""What of an evaluation goes into its run, under the names of CONTRACTS (MLflow names)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.predictions import predictions_path
from lerobot_inference.evaluation.results import PREDICTIONS_FOLDER, RESULTS_FILE, EvalResults, ProtocolResult
from lerobot_inference.evaluation.results_folder import load_predictions, load_results
from lerobot_inference.tracking.run import Point, Run, Upload
from lerobot_inference.types import Progress, silent

REPORT_FILE = "report.html"
PLOTS_FOLDER = "plots"
MOST_EPISODES = 50
"""Episodes that get metrics of their own; `episode_mse` and `episode_mae` hold any number."""


@dataclass(frozen=True)
class Evaluation:
    """Results and their report, on disk. report: holds `plots/`, and report.html where there is one."""

    results: EvalResults
    folder: Path
    report: Path

    @classmethod
    def open(cls, folder: Path, report: Path) -> Evaluation:
        """Read what `evaluate` wrote into `folder`, and see that it is whole and that there are plots.

        Raises ConfigError naming the file and what is wrong.
        """
        results = load_results(folder)
        for episode in results.per_episode:
            load_predictions(folder, results, episode)
        if not (report / PLOTS_FOLDER / "aggregate_summary.png").is_file():
            raise ConfigError(
                f"{report / PLOTS_FOLDER}: no plots", hint=f"draw them: lerobot-inference plot --results {folder}"
            )
        return cls(results, folder, report)


def log_evaluation(run: Run, evaluation: Evaluation, progress: Progress = silent) -> None:
    """Log params, metrics and artifacts of one evaluation; what the run holds already stays as it is.

    Raises UsageError when the run is of another evaluation, ServiceError, StorageError.
    """
    run.log_params(run_params(evaluation.results))
    run.log_metrics(list(run_metrics(evaluation.results)))
    run.log_files(list(run_files(evaluation)), progress, "log the evaluation")


def run_files(evaluation: Evaluation) -> Iterator[Upload]:
    """Every file of the run."""
    yield Upload(evaluation.folder / RESULTS_FILE)
    for episode in evaluation.results.per_episode:
        yield Upload(predictions_path(evaluation.folder, episode.episode), PREDICTIONS_FOLDER)
    for plot in sorted((evaluation.report / PLOTS_FOLDER).rglob("*.png")):
        yield Upload(plot, plot.parent.relative_to(evaluation.report).as_posix())
    if (evaluation.report / REPORT_FILE).is_file():
        yield Upload(evaluation.report / REPORT_FILE)


def run_params(results: EvalResults) -> dict[str, str]:
    """What was evaluated, and how."""
    origin = results.provenance
    return {
        "policy_repo_id": results.policy_repo_id,
        "policy_revision": origin.policy_revision or "none",
        "dataset_repo_id": results.dataset_repo_id,
        "dataset_revision": origin.dataset_revision or "none",
        "eval_episodes": str(results.episodes_evaluated),
        "device": results.device,
        "fps": f"{results.fps:g}",
        "engine": results.engine,
    }


def run_metrics(results: EvalResults) -> Iterator[Point]:
    """Every figure of the run; errors in radians, times in milliseconds."""
    yield "aggregate_mse", results.aggregate_mse, 0
    yield "aggregate_mae", results.aggregate_mae, 0
    yield "aggregate_throughput_hz", results.aggregate_throughput_hz, 0
    yield "aggregate_avg_inference_ms", results.aggregate_avg_inference_ms, 0
    yield "episodes_evaluated", float(results.episodes_evaluated), 0
    yield "deadline_misses", float(results.timing.deadline_misses), 0
    joints = metric_names(results.joint_names)
    for name, protocol in results.protocols.items():
        prefix = "" if name == "as_deployed" else f"{name}_"
        yield from (
            (f"{prefix}{metric}", value, 0) for metric, value in _protocol(protocol, joints) if value is not None
        )
    every_frame = results.protocols.get("every_frame")
    if every_frame:
        yield "every_frame_mse", every_frame.error.mse, 0
        yield "every_frame_mae", every_frame.error.mae, 0
        yield from (("horizon_mae", mae, step) for step, mae in enumerate(every_frame.horizon_mae or []))
    safety = results.safety_replay
    if safety:
        yield "stopped_episodes", float(safety.stopped_episodes), 0
        yield "scaled_ticks", float(safety.scaled_ticks), 0
        yield "held_ticks", float(safety.held_ticks), 0
    for perturbation, perturbed in results.robustness.items():
        if perturbed.mse_ratio is not None:
            yield f"mse_ratio_{metric_names([perturbation])[0]}", perturbed.mse_ratio, 0
    for episode in results.per_episode:
        yield "episode_mse", episode.mse, episode.episode
        yield "episode_mae", episode.mae, episode.episode
    for episode in results.per_episode[:MOST_EPISODES]:
        prefix = f"ep{episode.episode}"
        yield f"{prefix}_mse", episode.mse, 0
        yield f"{prefix}_mae", episode.mae, 0
        yield f"{prefix}_throughput_hz", episode.throughput_hz, 0
        yield f"{prefix}_avg_inference_ms", episode.avg_inference_ms, 0
        for joint, mae in zip(joints, episode.per_joint_mae, strict=True):
            yield f"{prefix}_mae_{joint}", mae, 0


def _protocol(protocol: ProtocolResult, joints: Sequence[str]) -> Iterator[tuple[str, float | None]]:
    """Metric name and value of what one protocol adds to mse and mae; None where the results hold null."""
    error, drift, smoothness, intervals = protocol.error, protocol.drift, protocol.smoothness, protocol.intervals
    yield "skill", protocol.skill
    yield from ((f"skill_{joint}", skill) for joint, skill in zip(joints, protocol.per_joint_skill, strict=True))
    yield from (("rmse", error.rmse), ("p95_error", error.p95), ("max_error", error.max))
    yield from (("mae_of_range", error.of_range), ("mae_of_std", error.of_std))
    yield "direction_cosine", protocol.direction_cosine
    if drift:
        yield from (("drift_chunk_end", drift.chunk_end), ("drift_episode_end", drift.episode_end))
    predicted = smoothness.predicted
    yield from (("border_jump", predicted.border_jump), ("interior_jump", predicted.interior_jump))
    yield from (("jerk_rms", predicted.jerk_rms), ("spectral_arc_length", predicted.spectral_arc_length))
    yield "overlap_disagreement", smoothness.overlap_disagreement
    if intervals:
        for name in ("mse", "mae", "rmse", "skill"):
            low, high = getattr(intervals, name) or (None, None)
            yield from ((f"{name}_low", low), (f"{name}_high", high))


def metric_names(joint_names: Sequence[str]) -> list[str]:
    """Joint names with `_` for what a metric's name can't hold, and their index where two would be the same."""
    names = [re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:100] for name in joint_names]
    return [f"{name}_{index}" if names.count(name) > 1 else name for index, name in enumerate(names)]
