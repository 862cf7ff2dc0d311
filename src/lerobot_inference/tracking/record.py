"""What is remembered on disk of an evaluation on its way to a store, so that it arrives there once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from uuid import uuid4

from lerobot_inference.evaluation.results import RESULTS_FILE
from lerobot_inference.files import sha256_file
from lerobot_inference.records import Record, load_record, save_record
from lerobot_inference.tracking.log import Evaluation
from lerobot_inference.tracking.run import Run

TRACKING_FILE = "tracking.json"
SAME_RUN = ("results_sha256", "experiment", "model_name")
"""Fields that are equal where one run is enough."""


class TrackingRecord(Record):
    """tracking.json. state: `complete` once the run was ended and holds everything.

    tracking_uri, run_id: null as long as the store has answered nothing. tracking_uri: without user and password.
    key: the run's tag that finds it, should the answer to its creation get lost.
    results, report: absolute paths of the folders that are sent; results_sha256: of eval_results.json.
    model_name: what `register` registers the policy as; null when the evaluation is all there is to send.
    """

    state: Literal["pending", "complete"] = "pending"
    tracking_uri: str | None = None
    experiment: str
    run_id: str | None = None
    key: str
    results: str
    results_sha256: str
    report: str
    model_name: str | None = None

    @classmethod
    def find(cls, folder: Path) -> TrackingRecord | None:
        """The record in a folder; None when there is none. Raises ConfigError naming the file and what is wrong."""
        path = folder / TRACKING_FILE
        hint = "remove it to send the evaluation to a run of its own"
        return load_record(cls, path, absent=hint, damaged=hint) if path.exists() else None

    @classmethod
    def of(cls, evaluation: Evaluation, experiment: str, model_name: str | None = None) -> TrackingRecord:
        """The record of an evaluation of which nothing was sent yet."""
        return cls(
            experiment=experiment,
            key=uuid4().hex,
            results=str(evaluation.folder.resolve()),
            results_sha256=sha256_file(evaluation.folder / RESULTS_FILE),
            report=str(evaluation.report.resolve()),
            model_name=model_name,
        )

    def continuing(self, earlier: TrackingRecord | None) -> TrackingRecord:
        """The record with the run of an earlier one, if that is about the same results, experiment and model."""
        if earlier is None or any(getattr(self, name) != getattr(earlier, name) for name in SAME_RUN):
            return self
        return earlier.model_copy(update={"results": self.results, "report": self.report})

    def at(self, run: Run, state: Literal["pending", "complete"]) -> TrackingRecord:
        """The record, once it is known which run it goes to."""
        return self.model_copy(update={"state": state, "tracking_uri": run.store.shown_uri, "run_id": run.id})

    def save(self, folder: Path) -> None:
        """Write tracking.json. Raises StorageError."""
        save_record(self, folder / TRACKING_FILE)
