"""The results folder: what `evaluate` writes and `plot` and `register` read.

    eval_results.json                     EvalResults
    predictions/ep000_predictions.npz     EpisodePredictions
    failure_cases.jsonl                   one Failure a line
    provenance.json                       Provenance
    plan.json                             EvaluationRecord: what --resume compares
    scores/ep000.npz                      EpisodeScore, what the figures are summed up from; one an episode and,
    scores/jpeg_50/ep000.npz              in a folder of its name, perturbation
    rerun/ep000.rrd                       with --rerun: the episode for Rerun's viewer (report/recording.py)

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
PLAN_FILE = "plan.json"
PIECE_FILE = "piece.json"
PREDICTIONS_FOLDER = "predictions"
SCORES_FOLDER = "scores"
RECORDINGS_FOLDER = "rerun"


type Interval = tuple[Figure, Figure]
"""Low and high end of a 95 % interval: expanded percentiles, episodes resampled (statistics.py)."""


class ErrorFigures(Record):
    """Prediction error over a set of steps, pooled over joints and per joint. Radians (mse: radians squared).

    mse: mean e^2. mae: mean |e|. rmse: square root of mse. max: largest |e|.
    p95: 95th percentile of |e|, to 1 %. of_range: mae over the range of the recorded action in the whole dataset, mean
    over joints; null for a joint that never moves. of_std: the same over its standard deviation.
    """

    mse: Figure
    mae: Figure
    rmse: Figure
    p95: Figure
    max: Figure
    of_range: Figure | None
    of_std: Figure | None
    per_joint_mse: list[Figure]
    per_joint_mae: list[Figure]
    per_joint_rmse: list[Figure]
    per_joint_p95: list[Figure]
    per_joint_max: list[Figure]
    per_joint_of_range: list[Figure | None]
    per_joint_of_std: list[Figure | None]


class Drift(Record):
    """How far the predicted deltas lead from where the recorded ones lead, when summed: mean |sum of e|, radians.

    chunk_end: over each executed chunk (as deployed) or predicted chunk (every frame). episode_end: over each episode
    (as deployed alone).
    """

    chunk_end: Figure
    per_joint_chunk_end: list[Figure]
    episode_end: Figure | None
    per_joint_episode_end: list[Figure] | None


class Motion(Record):
    """How smooth a sequence of actions is.

    jerk_rms: rms of the third derivative of the joint positions that the actions ask for, radians per s^3.
    spectral_arc_length: of the speed profile, mean over episodes; nearer to 0 is smoother (as deployed alone).
    border_jump, interior_jump: mean |action[t] - action[t - 1]|, radians, where t is the first step of a new chunk, and
    where it is not; null without such steps, and for every frame.
    """

    jerk_rms: Figure | None
    per_joint_jerk_rms: list[Figure] | None
    spectral_arc_length: Figure | None
    border_jump: Figure | None
    per_joint_border_jump: list[Figure] | None
    interior_jump: Figure | None
    per_joint_interior_jump: list[Figure] | None


class Smoothness(Record):
    """The predicted actions, and the demonstrator's at the same steps.

    overlap_disagreement: rms of what successive chunks say differently about the same step, radians (every frame).
    """

    predicted: Motion
    recorded: Motion
    overlap_disagreement: Figure | None
    per_joint_overlap_disagreement: list[Figure] | None


class Intervals(Record):
    """95 % intervals of the figures of the same name. skill: null where the figure is."""

    mse: Interval
    mae: Interval
    rmse: Interval
    skill: Interval | None
    per_joint_mae: list[Interval]
    per_joint_skill: list[Interval | None]
    horizon_mae: list[Interval] | None


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
    realtime_capable: the slowest policy step fits into one period, as a synchronous schedule needs.
    prefetch_lead_steps: how many periods ahead a prefetching schedule must ask, so that p99 of the forwards with their
    pre- and postprocessing is back in time.
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
    prefetch_lead_steps: int
    end_to_end_fps: Figure


class EpisodeResult(Record):
    """One episode under the as-deployed protocol. The first seven keys are the seed system's.

    forwards: network calls. baselines: name -> error of that policy-free predictor on the same steps.
    skill: 1 - mse / mse of the run's best baseline; null when that is perfect here.
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
    skill: Figure | None
    baselines: dict[str, ErrorFigures]


class ProtocolResult(Record):
    """All scored episodes under one protocol.

    direction_cosine: mean cosine of the angle between predicted and recorded motion of a step, all joints as one
    vector; null when nothing moved. drift: null for absolute actions.
    horizon_mae: mean absolute error by step within the chunk (every-frame protocol), index 0 = the frame itself.
    baselines: name -> error of that policy-free predictor on the same steps.
    skill: 1 - mse / mse of the best baseline; null when that baseline is perfect. per_joint_skill: the same for each
    joint, against that same baseline. intervals: null with fewer than two episodes.
    """

    steps: int
    error: ErrorFigures
    direction_cosine: Figure | None
    drift: Drift | None
    smoothness: Smoothness
    horizon_mae: list[Figure] | None = None
    baselines: dict[str, ErrorFigures]
    best_baseline: str
    skill: Figure | None
    per_joint_skill: list[Figure | None]
    intervals: Intervals | None


class PerturbedResult(Record):
    """The as-deployed protocol with worsened pictures, on the episodes that were scored without.

    mse_ratio: its mse over that of the undisturbed run; null when that is 0. interval: 95 %, of mse_ratio.
    """

    error: ErrorFigures
    skill: Figure | None
    mse_ratio: Figure | None
    interval: Interval | None


type Word = Literal["accept", "warn", "scale", "hold", "reject", "disarm", "latch"]
"""What a guard can say (docs/explanation/safety.md), mildest first; accept: it never spoke."""


class GuardFigures(Record):
    """One guard in the safety replay: at how many ticks and in how many episodes it spoke, and its severest word."""

    ticks: int
    episodes: int
    severest: Word


class FirstEvent(Record):
    """Where a guard spoke first, what it said, and why."""

    episode: int
    step: int
    severity: Word
    reason: str


class SafetyReplay(Record):
    """What the robot's guards make of the commands of the as-deployed run, on an arm that follows them perfectly.

    scaled_ticks: the arm went slower than the policy asked. held_ticks: it stood still. stopped_episodes: in which a
    guard switched control off (disarm or latch), so that the arm stood still to the end. guards: every guard that was
    asked. first_events: of those that spoke.
    """

    ticks: int
    scaled_ticks: int
    held_ticks: int
    stopped_episodes: int
    guards: dict[str, GuardFigures]
    first_events: dict[str, FirstEvent]


class Provenance(Record):
    """Everything needed to know what was measured, and to measure it again.

    threads: CPU threads of one forward pass; null where that was not recorded. workers: processes that evaluated
    side by side, each with an engine of its own, at most (--resume may change it): above 1, wall times are those of a
    machine that they share.
    machine, processor: what computed; the latter is empty where several did, or that was not recorded.
    seed: of the resampling behind the intervals, and of what --perturb leaves to chance.
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
    seed: int = 0
    versions: dict[str, str]
    machine: str
    processor: str = ""


class Failure(Record):
    """One thing that went wrong, or scored worst: which episode (null: the whole run), what kind, and the message."""

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

    schema_version: Literal[2] = 2
    engine: str
    fps: Figure
    joint_names: list[str]
    action_mode: Literal["delta", "absolute"]
    chunk_size: int
    n_action_steps: int
    protocols: dict[Literal["as_deployed", "every_frame"], ProtocolResult]
    timing: Timing
    robustness: dict[str, PerturbedResult] = Field(default_factory=dict, description="perturbation -> its error")
    safety_replay: SafetyReplay | None = Field(default=None, description="null where it can't be done")
    worst_episodes: list[int] = Field(description="episode numbers, largest MAE first, at most five")
    failed_episodes: list[int]
    provenance: Provenance
    reasons: dict[str, str] = Field(default_factory=dict, description="field that is null -> why")

    @property
    def as_deployed(self) -> ProtocolResult:
        """The protocol that the aggregate keys describe."""
        return self.protocols["as_deployed"]
