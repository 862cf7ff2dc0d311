"""What evaluation and gate said of the checkpoint, in the few figures that travel with its bundle."""

from __future__ import annotations

from pathlib import Path

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.checkpoint.bundle import EvaluationSummary, GateSummary
from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.provenance import require_evaluated
from lerobot_inference.evaluation.results import RESULTS_FILE
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.files import sha256_file
from lerobot_inference.registry import Registration


def read_evaluation(folder: Path, checkpoint: Checkpoint) -> EvaluationSummary:
    """The figures of a results folder. Raises ConfigError when it is damaged or of another policy."""
    results = load_results(folder)
    require_evaluated(checkpoint, results, folder)
    return EvaluationSummary(
        job_name=results.job_name,
        episodes=results.episodes_evaluated,
        mse=results.aggregate_mse,
        mae=results.aggregate_mae,
        skill=results.as_deployed.skill,
        sha256=sha256_file(folder / RESULTS_FILE),
    )


def read_verdict(folder: Path, checkpoint: Checkpoint) -> GateSummary:
    """The verdict of a registration folder. Raises ConfigError when it is damaged or of another policy."""
    registration = Registration.load(folder)
    if registration.files != checkpoint.file_hashes:
        raise ConfigError(
            f"{folder}: this registration is of another policy than {checkpoint.folder}",
            hint="give the folder that `register` wrote for this policy",
        )
    return GateSummary(
        verdict=registration.gate.verdict,
        reason=registration.gate.reason,
        model_name=registration.model_name,
        version=registration.version,
    )
