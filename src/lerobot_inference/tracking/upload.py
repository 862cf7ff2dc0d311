"""Send an evaluation to a store: all of it, or what an outage left unsent."""

from __future__ import annotations

from pathlib import Path

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.results import RESULTS_FILE
from lerobot_inference.tracking.log import Evaluation, log_evaluation
from lerobot_inference.tracking.record import TRACKING_FILE, TrackingRecord
from lerobot_inference.tracking.run import open_run
from lerobot_inference.tracking.store import DEFAULT_EXPERIMENT, connect
from lerobot_inference.types import Progress, silent


def upload(
    folder: Path,
    results: Path | None = None,
    report: Path | None = None,
    experiment: str | None = None,
    progress: Progress = silent,
) -> tuple[TrackingRecord, bool]:
    """Log an evaluation to a run of its own, or go on where the record in `folder` says that it broke off.

    folder: results that `evaluate` wrote, or what `register` left; tracking.json is kept there. results, report,
    experiment: what that record says when None, else `folder` itself, ./report and the default experiment.
    Return the record, and whether there was anything to send.

    Raises ConfigError naming the file and what is wrong, UsageError when the job's run is of another evaluation,
    ServiceError when MLflow can't be reached (call again to go on), StorageError.
    """
    found = TrackingRecord.find(folder)
    if results is None:
        results = folder if found is None or (folder / RESULTS_FILE).is_file() else Path(found.results)
    if found is None and not (results / RESULTS_FILE).is_file():
        raise ConfigError(
            f"{results}: neither {TRACKING_FILE} nor {RESULTS_FILE} is there",
            hint="give the folder that `lerobot-inference evaluate` or `register` wrote",
        )
    evaluation = Evaluation.open(results, report or Path(found.report if found else "report"))
    experiment = experiment or (found.experiment if found else DEFAULT_EXPERIMENT)
    record = TrackingRecord.of(evaluation, experiment, found.model_name if found else None).continuing(found)
    if record.state == "complete":
        return record, False
    record.save(folder)
    with open_run(connect(), record.experiment, evaluation.results.job_name, record.key, record.run_id) as run:
        record.at(run, "pending").save(folder)
        log_evaluation(run, evaluation, progress)
    record = record.at(run, "complete")
    record.save(folder)
    return record, True
