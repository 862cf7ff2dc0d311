"""Log an evaluation, judge it and register the policy, checking that what was registered is there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.errors import CheckpointError, ServiceError
from lerobot_inference.evaluation.gate import VERDICT_FILE, GateVerdict, judge
from lerobot_inference.evaluation.provenance import require_evaluated
from lerobot_inference.evaluation.results import EvalResults, Interval
from lerobot_inference.evaluation.rules import GateRules
from lerobot_inference.records import Record, load_record, save_record
from lerobot_inference.registry.base import ModelRegistry, check_model_name
from lerobot_inference.registry.judge import SHA256_TAG, evaluated_by, find_champion
from lerobot_inference.registry.mlflow import open_registry
from lerobot_inference.tracking import (
    REPORT_FILE,
    TRACKING_FILE,
    Evaluation,
    Run,
    TrackingRecord,
    Upload,
    connect,
    log_evaluation,
    open_run,
)
from lerobot_inference.tracking.run import shortened
from lerobot_inference.types import Progress, silent

REGISTRATION_FILE = "registration.json"
MODEL_ARTIFACT = "model"
STAGES = 3
LONGEST_TAG = 1000
"""Characters that Azure ML takes in the value of a tag; MLflow takes 5000 and more."""


class Registration(Record):
    """registration.json. champion_before: version that the candidate was compared with; null when there was none.

    files: name -> sha256 of every registered file.
    """

    gate: GateVerdict
    model_name: str
    version: str
    champion_before: str | None
    experiment: str
    run_id: str
    tracking_uri: str
    model_uri: str
    files: dict[str, str]

    @classmethod
    def load(cls, folder: Path) -> Registration:
        """Read registration.json. Raises ConfigError naming the file and the first field that is wrong."""
        absent, damaged = "give the folder that `lerobot-inference register` wrote", "run register again to write it"
        return load_record(cls, folder / REGISTRATION_FILE, absent=absent, damaged=damaged)


@dataclass(frozen=True)
class Candidate:
    """A policy and its evaluation, all on disk. report: holds `plots/`, and report.html where there is one."""

    checkpoint: Checkpoint
    results: EvalResults
    results_folder: Path
    report: Path

    @classmethod
    def open(cls, policy: Path, results: Path, report: Path) -> Candidate:
        """Read everything and check that it belongs together.

        Raises CheckpointError, or ConfigError naming the file and what doesn't fit.
        """
        checkpoint, evaluation = Checkpoint.open(policy), Evaluation.open(results, report)
        require_evaluated(checkpoint, evaluation.results, results)
        return cls(checkpoint, evaluation.results, results, report)

    @property
    def evaluation(self) -> Evaluation:
        """What is logged of it."""
        return Evaluation(self.results, self.results_folder, self.report)


def register(
    candidate: Candidate,
    rules: GateRules,
    model_name: str,
    experiment: str,
    output: Path,
    progress: Progress = silent,
    champion_results: Path | None = None,
) -> Registration:
    """Register the candidate whatever the verdict; only `promote` makes it champion. Write registration.json.

    A registration that an outage ended goes on in the same run, with the same version, where `output` is the same.
    champion_results: an evaluation of the champion on the same episodes; the one it was registered with when None.

    Raises UsageError for a bad model name, ConfigError for results that are not the champion's, ServiceError when
    MLflow can't be reached or what was registered isn't there afterwards, StorageError.
    """
    check_model_name(model_name)
    record, earlier = TrackingRecord.of(candidate.evaluation, experiment, model_name), TrackingRecord.find(output)
    if earlier is not None and not is_registered(output, earlier.run_id):
        record = record.continuing(earlier)
    record.save(output)
    attempt = _Attempt(candidate, model_name, record, output)
    if record.run_id is not None:
        attempt.standing = "nothing was registered beyond what an earlier attempt did"
    try:
        return attempt.register(rules, champion_results, progress)
    except ServiceError as error:
        where = f"{attempt.standing}; register goes on from there: {output / TRACKING_FILE} knows the run"
        raise ServiceError(error.message, hint=f"{error.hint}\n       {where}" if error.hint else where) from error


def is_registered(folder: Path, run_id: str | None) -> bool:
    """Whether `folder` holds the registration of what this run logged. Raises ConfigError."""
    return (folder / REGISTRATION_FILE).is_file() and Registration.load(folder).run_id == run_id


@dataclass
class _Attempt:
    """One attempt to register. standing: how far it came, for the message of the error that ends it."""

    candidate: Candidate
    model: str
    record: TrackingRecord
    output: Path
    standing: str = "the policy is not registered"

    def register(self, rules: GateRules, champion_results: Path | None, progress: Progress) -> Registration:
        """See register."""
        candidate, files = self.candidate, self.candidate.checkpoint.file_hashes
        store = connect()
        registry = open_registry(store)
        verdict = self._promoted_by(registry) or judge(
            candidate.results,
            rules,
            evaluated_by(find_champion(store, registry, self.model), champion_results, self.model),
        )
        save_record(verdict, self.output / VERDICT_FILE)
        with open_run(
            store, self.record.experiment, candidate.results.job_name, self.record.key, self.record.run_id
        ) as run:
            self.record.at(run, "pending").save(self.output)
            progress("register: log the evaluation", 0, STAGES)
            log_evaluation(run, candidate.evaluation, progress)
            progress("register: upload the policy", 1, STAGES)
            run.log_files([Upload(candidate.checkpoint.folder / name, MODEL_ARTIFACT) for name in files])
            tags = registration_tags(candidate, verdict, run)
            self.standing = "it is not known whether the policy is registered"
            version = registry.add(self.model, f"{run.artifact_uri}/{MODEL_ARTIFACT}", run.id, tags)
            self.standing = f"model {self.model} version {version} is registered, this attempt moved no champion"
            progress("register: fetch it back and compare", 2, STAGES)
            verify_registered(registry, self.model, version, files, tags)
            if verdict.verdict == "promote":
                self._promote(registry, version, verdict.champion)
            run.log_files([Upload(self.output / VERDICT_FILE)])
            progress("register: done", STAGES, STAGES)
        self.record.at(run, "complete").save(self.output)
        registration = Registration(
            gate=verdict,
            model_name=self.model,
            version=version,
            champion_before=verdict.champion,
            experiment=run.experiment,
            run_id=run.id,
            tracking_uri=store.shown_uri,
            model_uri=f"models:/{self.model}/{version}",
            files=files,
        )
        save_record(registration, self.output / REGISTRATION_FILE)
        return registration

    def _promoted_by(self, registry: ModelRegistry) -> GateVerdict | None:
        """The verdict by which an earlier attempt made its version champion; None when it came not so far."""
        if self.record.run_id is None:
            return None
        champion = registry.champion(self.model)
        return GateVerdict.load(self.output) if champion and champion.run_id == self.record.run_id else None

    def _promote(self, registry: ModelRegistry, version: str, judged_against: str | None) -> None:
        """Make a version the champion, if that is still the one that it was judged against, and see that it is."""

        def require(expected: tuple[str | None, ...], when: str) -> None:
            found = registry.champion(self.model)
            now = found.version if found else None
            if now not in expected:
                raise ServiceError(
                    f"model {self.model} version {version} was registered, but {when} the champion is {now or 'none'}, "
                    f"expected {expected[0] or 'none'}",
                    hint="another registration moved the champion at the same time: register again",
                )

        require((judged_against, version), "before its promotion")
        self.standing = f"model {self.model} version {version} is registered; it is not known whether it is champion"
        registry.promote(self.model, version, judged_against)
        require((version,), "after its promotion")
        self.standing = f"model {self.model} version {version} is registered and champion"


def verify_registered(
    registry: ModelRegistry, model: str, version: str, files: Mapping[str, str], tags: Mapping[str, str]
) -> None:
    """Find what was registered, fetch it and open it. files: name -> sha256.

    Raises ServiceError unless every tag is there and every file is the one that was evaluated.
    """
    what = f"model {model} version {version}"
    hint = "the store lost or changed it; the champion was not moved"
    found = registry.get(model, version).tags
    if lost := sorted(key for key in tags if found.get(key) != tags[key]):
        key = lost[0]
        message = f"{what} was registered, but its tag {key} is {found.get(key)!r}, expected {tags[key]!r}"
        raise ServiceError(message, hint=hint)
    with tempfile.TemporaryDirectory(prefix="registered-") as folder:
        try:
            fetched = Checkpoint.open(registry.fetch(model, version, Path(folder))).file_hashes
        except CheckpointError as error:
            raise ServiceError(f"{what} was registered but can't be loaded: {error.message}", hint=hint) from error
    if wrong := sorted(name for name in files if fetched.get(name) != files[name]):
        raise ServiceError(f"{what} was registered with other content: {', '.join(wrong)}", hint=hint)


def registration_tags(candidate: Candidate, verdict: GateVerdict, run: Run) -> dict[str, str]:
    """What a version says of itself: figures, origin, verdict, where its report is, and each file's sha256."""
    results, origin = candidate.results, candidate.results.provenance
    protocol, skill = results.as_deployed, results.as_deployed.skill
    intervals = protocol.intervals
    report = REPORT_FILE if (candidate.report / REPORT_FILE).is_file() else "plots"
    return {
        "framework": "lerobot",
        "policy_type": results.policy_type,
        "job_name": results.job_name,
        "source": origin.policy_source,
        "policy_revision": origin.policy_revision or "none",
        "dataset": origin.dataset_source,
        "dataset_revision": origin.dataset_revision or "none",
        "episodes": str(results.episodes_evaluated),
        "mse": repr(results.aggregate_mse),
        "mse_interval": _ends(intervals.mse if intervals else None),
        "mae": repr(results.aggregate_mae),
        "mae_interval": _ends(intervals.mae if intervals else None),
        "skill": "none" if skill is None else repr(skill),
        "skill_interval": _ends(intervals.skill if intervals else None),
        "verdict": verdict.verdict,
        "verdict_reason": shortened(verdict.reason, LONGEST_TAG),
        "report": f"{run.artifact_uri}/{report}",
        "run_id": run.id,
    } | {f"{SHA256_TAG}{name}": sha256 for name, sha256 in candidate.checkpoint.file_hashes.items()}


def _ends(interval: Interval | None) -> str:
    return "none" if interval is None else f"{interval[0]!r} to {interval[1]!r}"
