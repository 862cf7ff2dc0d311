"""Log an evaluation, judge it and register the policy, checking that what was registered is there."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.errors import CheckpointError, ConfigError, ServiceError, UsageError
from lerobot_inference.evaluation.gate import GateRules, GateVerdict, judge
from lerobot_inference.evaluation.provenance import require_evaluated
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_predictions, load_results
from lerobot_inference.records import Record, first_problem, save_record
from lerobot_inference.registry.base import CHAMPION, ModelRegistry
from lerobot_inference.registry.mlflow import MlflowRegistry
from lerobot_inference.tracking import Run, connect, log_evaluation
from lerobot_inference.types import Progress, silent

REGISTRATION_FILE = "registration.json"
MODEL_ARTIFACT = "model"
MAE_TAG = "mae"
STAGES = 3


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
        path = folder / REGISTRATION_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"{path}: {error.strerror}", hint="give the folder that `lerobot-inference register` wrote"
            ) from error
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_problem(error)}", hint="run register again to write it") from error


@dataclass(frozen=True)
class Candidate:
    """A policy and its evaluation, all on disk. report: holds `plots/`."""

    checkpoint: Checkpoint
    results: EvalResults
    results_folder: Path
    report: Path

    @classmethod
    def open(cls, policy: Path, results: Path, report: Path) -> Candidate:
        """Read everything and check that it belongs together.

        Raises CheckpointError, or ConfigError naming the file and what doesn't fit.
        """
        checkpoint, loaded = Checkpoint.open(policy), load_results(results)
        for episode in loaded.per_episode:
            load_predictions(results, loaded, episode)
        require_evaluated(checkpoint, loaded, results)
        if not (report / "plots" / "aggregate_summary.png").is_file():
            raise ConfigError(
                f"{report / 'plots'}: no plots", hint=f"draw them: lerobot-inference plot --results {results}"
            )
        return cls(checkpoint, loaded, results, report)


def register(
    candidate: Candidate,
    rules: GateRules,
    model_name: str,
    experiment: str,
    output: Path,
    progress: Progress = silent,
) -> Registration:
    """Register the candidate whatever the verdict; only `promote` makes it champion. Write registration.json.

    Raises UsageError for a bad model name, ServiceError when MLflow can't be reached or what was registered isn't
    there afterwards, StorageError.
    """
    _check_model_name(model_name)
    checkpoint, results = candidate.checkpoint, candidate.results
    store = connect()
    registry: ModelRegistry = MlflowRegistry(store)
    with store.run(experiment, results.job_name) as run:
        champion = registry.champion(model_name)
        verdict = judge(results, rules, _champion_mae(model_name, champion))
        progress("register: log the evaluation", 0, STAGES)
        log_evaluation(run, results, candidate.results_folder, candidate.report)
        progress("register: upload the policy", 1, STAGES)
        _upload(run, checkpoint)
        source = f"{run.artifact_uri}/{MODEL_ARTIFACT}"
        version = registry.add(model_name, source, run.id, _tags(results, checkpoint, verdict, run))
        progress("register: fetch it back and compare", 2, STAGES)
        verify_registered(registry, model_name, version, checkpoint.file_hashes)
        if verdict.verdict == "promote":
            registry.promote(model_name, version)
        progress("register: done", STAGES, STAGES)
    registration = Registration(
        gate=verdict,
        model_name=model_name,
        version=version,
        champion_before=champion[0] if champion else None,
        experiment=experiment,
        run_id=run.id,
        tracking_uri=store.shown_uri,
        model_uri=f"models:/{model_name}/{version}",
        files=checkpoint.file_hashes,
    )
    save_record(registration, output / REGISTRATION_FILE)
    return registration


def verify_registered(registry: ModelRegistry, model: str, version: str, expected: Mapping[str, str]) -> None:
    """Fetch what was registered and open it. expected: file name -> sha256.

    Raises ServiceError unless every file is the one that was evaluated.
    """
    what = f"model {model} version {version}"
    hint = "the store lost or changed a file; the champion was not moved"
    with tempfile.TemporaryDirectory(prefix="registered-") as folder:
        try:
            found = Checkpoint.open(registry.fetch(model, version, Path(folder))).file_hashes
        except CheckpointError as error:
            raise ServiceError(f"{what} was registered but can't be loaded: {error.message}", hint=hint) from error
    wrong = sorted(name for name in expected if found.get(name) != expected[name])
    if wrong:
        raise ServiceError(f"{what} was registered with other content: {', '.join(wrong)}", hint=hint)


def _check_model_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", name):
        raise UsageError(
            f"--model-name {name!r} is not a model name", hint="use letters, digits, dot, dash and underscore"
        )


def _champion_mae(model: str, champion: tuple[str, Mapping[str, str]] | None) -> float | None:
    if champion is None:
        return None
    version, tags = champion
    try:
        mae = float(tags[MAE_TAG])
    except (KeyError, ValueError):
        mae = math.nan
    if not math.isfinite(mae):
        raise ConfigError(
            f"model {model} version {version}: tag {MAE_TAG} is {tags.get(MAE_TAG)!r}, expected the champion's MAE",
            hint=f"give the alias {CHAMPION} to a version that this tool registered, or remove the alias",
        )
    return mae


def _upload(run: Run, checkpoint: Checkpoint) -> None:
    with run.store.errors():
        for name in checkpoint.file_hashes:
            run.store.client.log_artifact(run.id, str(checkpoint.folder / name), MODEL_ARTIFACT)


def _tags(results: EvalResults, checkpoint: Checkpoint, verdict: GateVerdict, run: Run) -> dict[str, str]:
    origin = results.provenance
    skill = results.as_deployed.skill
    return {
        "framework": "lerobot",
        "policy_type": results.policy_type,
        "job_name": results.job_name,
        "source": origin.policy_source,
        "policy_revision": origin.policy_revision or "none",
        "dataset": origin.dataset_source,
        "dataset_revision": origin.dataset_revision or "none",
        "mse": repr(results.aggregate_mse),
        MAE_TAG: repr(results.aggregate_mae),
        "skill": "none" if skill is None else repr(skill),
        "verdict": verdict.verdict,
        "verdict_reason": verdict.reason,
        "report": f"{run.artifact_uri}/plots",
    } | {f"sha256.{name}": sha256 for name, sha256 in checkpoint.file_hashes.items()}
