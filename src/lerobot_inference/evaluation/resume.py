"""Go on with an evaluation that was interrupted, where it is the very same one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan, PlanRecord
from lerobot_inference.evaluation.results import PLAN_FILE, RESULTS_FILE, Provenance
from lerobot_inference.evaluation.results_folder import clear_results
from lerobot_inference.evaluation.task import Task, all_tasks
from lerobot_inference.records import first_problem, save_record
from lerobot_inference.types import Precision

BEGIN_ANEW = "leave --resume out to begin anew, which clears that folder, or choose another --output"


class EvaluationRecord(PlanRecord):
    """plan.json: all that decides an evaluation's figures. Two with equal records give equal figures.

    The number of workers, where the files lie and when it was begun may differ.
    """

    engine: str
    device: str
    precision: Precision
    threads: int | None
    seed: int
    policy_files: dict[str, str]
    dataset_files: dict[str, str]
    versions: dict[str, str]
    machine: str

    @classmethod
    def of(cls, plan: EvaluationPlan, provenance: Provenance) -> EvaluationRecord:
        """Put together what the plan and the provenance say."""
        return cls(**plan.described, **provenance.model_dump(include=set(cls.model_fields), exclude={"episodes"}))

    @classmethod
    def load(cls, path: Path, hint: str) -> EvaluationRecord:
        """Read plan.json. Raises ConfigError with that hint."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; of which evaluation it is, is not known", hint) from error
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_problem(error)}", hint) from error

    def require_same(self, expected: EvaluationRecord, path: Path, hint: str) -> None:
        """Raise ConfigError, about the file `path` that says this, when it isn't what is expected."""
        was, now = (dict(_leaves(record.model_dump(mode="json"))) for record in (self, expected))
        for field in now | was:
            there, here = was.get(field, "absent"), now.get(field, "absent")
            if there != here:
                raise ConfigError(
                    f"{path} is of another evaluation: {field} is {there!s:.200} there, expected {here!s:.200}", hint
                )


def begin(evaluation: Evaluation, provenance: Provenance) -> None:
    """Clear the results folder and write plan.json, before any score. Raises StorageError."""
    clear_results(evaluation.output)
    save_record(EvaluationRecord.of(evaluation.plan, provenance), evaluation.output / PLAN_FILE)


def was_begun(evaluation: Evaluation, provenance: Provenance) -> bool:
    """Whether what lies in the results folder is of this very evaluation; no: nothing is there.

    Raises ConfigError when it is of another one, naming the first field that differs, or doesn't say of which.
    """
    path = evaluation.output / PLAN_FILE
    if not path.exists() and not (evaluation.output / RESULTS_FILE).exists():
        return False
    expected = EvaluationRecord.of(evaluation.plan, provenance)
    EvaluationRecord.load(path, BEGIN_ANEW).require_same(expected, path, BEGIN_ANEW)
    return True


def finished_tasks(evaluation: Evaluation) -> dict[Task, EpisodeScore]:
    """The scores that are on disk, whole; what is damaged is said and left out."""
    kept = ((task, task.kept(evaluation.output)) for task in all_tasks(evaluation.plan))
    return {task: score for task, score in kept if score}


def _leaves(value: dict[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield (field.field, value) for all that is in nested dicts."""
    for key, part in value.items():
        if isinstance(part, dict) and part:
            yield from _leaves(part, f"{path}{key}.")
        else:
            yield f"{path}{key}", part
