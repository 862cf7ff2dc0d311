"""The results folder: what `evaluate` writes and `plot` and `register` read.

    eval_results.json                     EvalResults
    predictions/ep000_predictions.npz     EpisodePredictions
    failure_cases.jsonl                   one Failure a line
    provenance.json                       Provenance

The first keys of EvalResults are the seed system's own; they describe the as-deployed protocol.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lerobot_inference.records import Figure, Record
from lerobot_inference.types import Precision

RESULTS_FILE = "eval_results.json"
PROVENANCE_FILE = "provenance.json"
FAILURES_FILE = "failure_cases.jsonl"
PREDICTIONS_FOLDER = "predictions"


class ErrorFigures(Record):
    """Prediction error over a set of steps, pooled over joints and per joint. Radians (mse: radians squared)."""

    mse: Figure
    mae: Figure
    rmse: Figure
    max: Figure
    per_joint_mse: list[Figure]
    per_joint_mae: list[Figure]


class Latency(Record):
    """Distribution of one kind of wall time, milliseconds."""

    count: int
    mean_ms: Figure
    p50_ms: Figure
    p95_ms: Figure
    p99_ms: Figure
    max_ms: Figure


class Timing(Record):
    """Where the wall time of the as-deployed run went.

    cold_forward_ms: the first forward pass of the process, kept out of `forward`.
    forward: the network alone; preprocess/postprocess: normalisation, copies to and from the device;
    decode: waiting for a frame that is needed, while decoding runs ahead on a thread;
    policy_step: all that one control step waits for (a forward with its pre- and postprocessing, or a queue pop).
    deadline_ms: one period at the dataset's rate; deadline_misses: policy steps that took longer.
    realtime_capable: the slowest policy step of the synchronous queue schedule fits into one period.
    """

    cold_forward_ms: Figure
    forward: Latency
    preprocess: Latency
    postprocess: Latency
    queue_pop: Latency
    decode: Latency
    policy_step: Latency
    deadline_ms: Figure
    deadline_misses: int
    realtime_capable: bool
    end_to_end_fps: Figure


class EpisodeResult(Record):
    """One episode under the as-deployed protocol. The first seven keys are the seed system's.

    forwards: network calls. baselines: name -> error of that policy-free predictor on the same steps.
    """

    episode: int
    steps: int
    mse: Figure
    mae: Figure
    avg_inference_ms: Figure
    throughput_hz: Figure
    per_joint_mae: list[Figure]
    per_joint_mse: list[Figure]
    forwards: int
    baselines: dict[str, ErrorFigures]


class ProtocolResult(Record):
    """All scored episodes under one protocol.

    horizon_mae: mean absolute error by step within the chunk (every-frame protocol), index 0 = the frame itself.
    baselines: name -> error of that policy-free predictor on the same steps.
    skill: 1 - mse / mse of the best baseline; null when that baseline is perfect.
    """

    steps: int
    error: ErrorFigures
    horizon_mae: list[Figure] | None = None
    baselines: dict[str, ErrorFigures]
    best_baseline: str
    skill: Figure | None


class Provenance(Record):
    """Everything needed to know what was measured, and to measure it again.

    threads: CPU threads of one forward pass; null where that was not recorded. workers: processes that evaluated
    side by side, each with an engine of its own: above 1, wall times are those of a machine that they share.
    """

    created: str
    command: list[str]
    policy_source: str
    policy_revision: str | None
    policy_files: dict[str, str]
    dataset_source: str
    dataset_revision: str | None
    dataset_files: dict[str, str]
    episodes: list[int]
    engine: str
    device: str
    precision: Precision = Precision.F32
    threads: int | None = None
    workers: int = 1
    versions: dict[str, str]
    machine: str


class Failure(Record):
    """One thing that went wrong: which episode (null: the whole run), what kind, and the message."""

    episode: int | None
    kind: str
    message: str


class EvalResults(Record):
    """eval_results.json."""

    job_name: str
    policy_repo_id: str
    policy_type: Literal["act"] = "act"
    dataset_repo_id: str
    device: str
    episodes_evaluated: int
    aggregate_mse: Figure
    aggregate_mae: Figure
    aggregate_avg_inference_ms: Figure
    aggregate_throughput_hz: Figure
    per_episode: list[EpisodeResult]
    status: Literal["completed", "partial"]

    schema_version: Literal[1] = 1
    engine: str
    fps: Figure
    joint_names: list[str]
    action_mode: Literal["delta", "absolute"]
    chunk_size: int
    n_action_steps: int
    protocols: dict[Literal["as_deployed", "every_frame"], ProtocolResult]
    timing: Timing
    failed_episodes: list[int]
    provenance: Provenance
    reasons: dict[str, str] = Field(default_factory=dict, description="field that is null -> why")

    @property
    def as_deployed(self) -> ProtocolResult:
        """The protocol that the aggregate keys describe."""
        return self.protocols["as_deployed"]
