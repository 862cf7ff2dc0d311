"""One run in a store: opened once and filled once, however often the upload broke off."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import batched
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from lerobot_inference.errors import ServiceError, UsageError
from lerobot_inference.files import sha256_file
from lerobot_inference.tracking.store import AZURE_RUN_VARIABLE, Store
from lerobot_inference.types import Progress, silent

if TYPE_CHECKING:
    from mlflow.entities import Run as Entity

RUN_VARIABLE = "MLFLOW_RUN_ID"
KEY_TAG = "lerobot_inference_key"
"""Tag of a run that finds it again; a name that needs no quotes, which Azure ML's search doesn't know."""
BATCH = 200
"""Metrics in one call; MLflow allows 1000, Azure ML 250."""
LONGEST_PARAM = 500
"""Characters in a parameter's value: what MLflow took before 2.8. Azure ML names no limit of its own."""


type Point = tuple[str, float, int]
"""Metric name, value, step."""


class Upload(NamedTuple):
    """A file, and the folder of the run's artifacts that it goes into; "" for their root."""

    file: Path
    folder: str = ""

    @property
    def path(self) -> str:
        """Where it lies in the run."""
        return str(PurePosixPath(self.folder, self.file.name))


@dataclass(frozen=True)
class Run:
    """A run that is open. What it already holds is not sent again, so whatever broke off can be repeated.

    artifact_uri: the root of its artifacts. experiment: name. started: time of its metrics, milliseconds since 1970.
    """

    store: Store
    id: str
    artifact_uri: str
    experiment: str
    started: int

    def log_params(self, params: Mapping[str, str]) -> None:
        """Raises UsageError when the run holds another value for one, ServiceError, StorageError."""
        from mlflow.entities import Param

        params = {name: shortened(value, LONGEST_PARAM) for name, value in params.items()}
        with self.store.errors():
            held = self.store.client.get_run(self.id).data.params
            for name in params.keys() & held.keys():
                if held[name] != params[name]:
                    raise UsageError(
                        f"run {self.id} is of another evaluation: its {name} is {held[name]!r}, here {params[name]!r}",
                        hint=f"a run holds one evaluation: unset {RUN_VARIABLE}, or name another run",
                    )
            missing = [Param(name, value) for name, value in params.items() if name not in held]  # type: ignore[no-untyped-call]
            if missing:
                self.store.client.log_batch(self.id, params=missing)

    def log_metrics(self, points: Sequence[Point]) -> None:
        """Raises ServiceError, StorageError."""
        from mlflow.entities import Metric

        with self.store.errors():
            held = self._held_points(points)
            missing = [
                Metric(name, value, self.started, step) for name, value, step in points if (name, step) not in held
            ]
            for batch in batched(missing, BATCH):
                self.store.client.log_batch(self.id, metrics=batch)

    def log_files(self, uploads: Sequence[Upload], progress: Progress = silent, what: str = "upload") -> None:
        """progress: told of `what`, in files. Raises ServiceError, StorageError."""
        with self.store.errors():
            held = self._held_files({upload.folder for upload in uploads})
            for done, upload in enumerate(uploads):
                progress(what, done, len(uploads))
                if upload.path in held and self._is_whole(upload, held[upload.path]):
                    continue
                if upload.path in held and self.store.is_azure:
                    raise ServiceError(
                        f"run {self.id} holds a broken or another {upload.path}, which Azure ML does not replace",
                        hint="delete the run in Studio, then run again: that makes a new one",
                    )
                self.store.client.log_artifact(self.id, str(upload.file), upload.folder or None)
            progress(what, len(uploads), len(uploads))

    def _held_points(self, points: Sequence[Point]) -> set[tuple[str, int]]:
        """Name and step of those of the points that the run holds."""
        client, steps = self.store.client, defaultdict[str, set[int]](set)
        for name, _, step in points:
            steps[name].add(step)
        for name in steps.keys() - client.get_run(self.id).data.metrics.keys():
            del steps[name]
        for name in [name for name, several in steps.items() if len(several) > 1]:
            steps[name] &= {point.step for point in client.get_metric_history(self.id, name)}
        return {(name, step) for name, held in steps.items() for step in held}

    def _held_files(self, folders: set[str]) -> dict[str, int | None]:
        """Path -> size in bytes of each file in these folders of the run; no size where the store tells none."""
        held: dict[str, int | None] = {}
        pending = [""]
        while pending:
            folder = pending.pop()
            for entry in self.store.artifacts_at(self.artifact_uri).list_artifacts(folder or None):
                if not entry.is_dir:
                    held[entry.path] = entry.file_size
                elif any(PurePosixPath(wanted).is_relative_to(entry.path) for wanted in folders):
                    pending.append(entry.path)
        return held

    def _is_whole(self, upload: Upload, size: int | None) -> bool:
        """Whether the run's file is the one to upload; Azure ML tells no size (-1), so there its content counts."""
        if size is not None and size >= 0:
            return size == upload.file.stat().st_size
        with tempfile.TemporaryDirectory(prefix="artifact-") as folder, suppress(ServiceError), self.store.errors():
            artifacts = self.store.artifacts_at(self.artifact_uri)
            fetched = Path(artifacts.download_artifacts(upload.path, folder))  # type: ignore[no-untyped-call]
            return fetched.is_file() and sha256_file(fetched) == sha256_file(upload.file)
        return False


@contextmanager
def open_run(
    store: Store, experiment: str, name: str, key: str | None = None, run_id: str | None = None
) -> Iterator[Run]:
    """Open a run; it ends FINISHED with the block, or FAILED when the block raises.

    In a job (MLFLOW_RUN_ID) it is the job's own run, which the platform ends, in the experiment of the job.
    run_id, key: go on with the run of this id, or that was made with this key, where the store has it.

    Raises ServiceError, StorageError.
    """
    job = _job_run(store)
    with store.errors():
        entity = store.client.get_run(job) if job else _continued(store, run_id) or _begun(store, experiment, name, key)
        experiment = store.client.get_experiment(entity.info.experiment_id).name if job else experiment
    info = entity.info
    run = Run(store, info.run_id, info.artifact_uri, experiment, info.start_time or int(time.time() * 1000))
    try:
        yield run
    except BaseException:
        if not job:
            with suppress(ServiceError), store.errors():
                store.client.set_terminated(run.id, "FAILED")
        raise
    if not job:
        with store.errors():
            store.client.set_terminated(run.id, "FINISHED")


def shortened(text: str, longest: int) -> str:
    """The text, cut with an ellipsis where it is longer than `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _job_run(store: Store) -> str | None:
    """The run of the job that this is; None outside one, and in an Azure ML job that logs to another server."""
    if AZURE_RUN_VARIABLE in os.environ and not store.is_azure:
        return None
    return os.environ.get(RUN_VARIABLE) or os.environ.get(AZURE_RUN_VARIABLE)


def _continued(store: Store, run_id: str | None) -> Entity | None:
    """The run of this id, running again; None when the store doesn't have it, or no longer."""
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        found = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    if found.info.lifecycle_stage != "active":
        return None
    store.client.update_run(run_id, status="RUNNING")
    return found


def _begun(store: Store, experiment: str, name: str, key: str | None) -> Entity:
    """A new run, or the one that an earlier request with this key made and whose answer was lost."""
    client, key = store.client, key or uuid4().hex
    experiment_id = _experiment(store, experiment)
    return store.make_once(
        find=lambda: next(iter(client.search_runs([experiment_id], f"tags.{KEY_TAG} = '{key}'")), None),
        make=lambda: client.create_run(experiment_id, tags={KEY_TAG: key}, run_name=name),
    )


def _experiment(store: Store, name: str) -> str:
    """The id of an experiment, made when missing."""

    def find() -> str | None:
        found = store.client.get_experiment_by_name(name)
        return found.experiment_id if found else None

    return store.make_once(find, lambda: store.client.create_experiment(name, artifact_location=store.artifacts))
