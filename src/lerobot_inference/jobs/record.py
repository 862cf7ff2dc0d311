"""`run.json`: what a pipeline run on this machine did, step by step. It never holds an environment variable."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lerobot_inference.files import atomic_write
from lerobot_inference.jobs.component import Value

RUN_FILE = "run.json"
INTERRUPTED_EXIT_CODE = 130  # 128 + SIGINT, what a shell reports for Ctrl-C


class State(StrEnum):
    """Where a step or a run is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CACHED = "cached"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


class Timed(BaseModel):
    """Something that starts, takes a while and ends."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    state: State = State.WAITING
    started: datetime | None = None
    seconds: float | None = None
    exit_code: int | None = None

    def start(self) -> None:
        """It runs from now on."""
        self.state, self.started = State.RUNNING, datetime.now(UTC)

    def end(self, exit_code: int) -> None:
        """It ended with this exit code; 130 means that a person stopped it."""
        states = {0: State.SUCCEEDED, INTERRUPTED_EXIT_CODE: State.INTERRUPTED}
        self.state, self.exit_code = states.get(exit_code, State.FAILED), exit_code
        self.seconds = round(self.elapsed_s, 3)

    def reuse(self) -> None:
        """It need not run: an earlier one did the very same."""
        self.end(0)
        self.state = State.CACHED

    @property
    def elapsed_s(self) -> float:
        """Seconds it took, or has taken so far."""
        if self.seconds is not None or self.started is None:
            return self.seconds or 0.0
        return (datetime.now(UTC) - self.started).total_seconds()


class StepRecord(Timed):
    """One step. inputs: those that have a value; outputs: output -> folder or file; log: what the step printed.

    program: digest of the code that it ran, or id of its image; reason: why it ran, or whose outputs it reuses.
    """

    name: str
    component: str
    command: list[str]
    inputs: dict[str, Value]
    outputs: dict[str, str]
    log: str
    program: str = ""
    reason: str = ""


class RunRecord(Timed):
    """One run. outputs: pipeline output -> folder or file, of the steps that succeeded."""

    schema_version: int = 1
    pipeline: str
    folder: str
    inputs: dict[str, Value]
    outputs: dict[str, str]
    steps: list[StepRecord]

    def save(self) -> None:
        """Write `run.json` into the run's folder. Raises StorageError."""
        with atomic_write(Path(self.folder) / RUN_FILE) as path:
            path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
