"""Where runs are kept: an embedded sqlite store here, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_inference.errors import ServiceError, require
from lerobot_inference.files import storage_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_EXPERIMENT = "lerobot-act-inference"
FOLDER = "mlruns"
"""Under the working directory. MLflow's own name for it; tools would take a folder `mlflow` for the package."""
DATABASE = "mlflow.db"

URI_VARIABLE = "MLFLOW_TRACKING_URI"
RETRIES_VARIABLE = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
RETRIES = "2"
"""MLflow's default of 7 waits for minutes before it says that nothing answers."""


@dataclass(frozen=True)
class Store:
    """An open connection. artifacts: where a new experiment keeps its files; None lets the server choose."""

    client: MlflowClient
    uri: str
    artifacts: str | None

    @property
    def shown_uri(self) -> str:
        """The address without the user and password it may hold."""
        return _without_credentials(self.uri)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what MLflow raises into a ServiceError that names this store. Raises StorageError for a full disk."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            with storage_errors(Path(FOLDER)):
                yield
        except (MlflowException, RequestException) as error:
            reason = _without_credentials(str(error).partition("\n")[0])
            raise ServiceError(
                f"MLflow at {self.shown_uri}: {reason}",
                hint=f"results and plots are still on disk: start the server or set {URI_VARIABLE}, then run again",
            ) from error

    def fetch_artifact(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Download one file from the root of a run's artifacts into `folder`; None when it, or the run, isn't there.

        Raises ServiceError, StorageError.
        """
        from mlflow.exceptions import MlflowException

        with self.errors():
            try:
                if name not in {entry.path for entry in self.client.list_artifacts(run_id)}:
                    return None
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
            return Path(self.client.download_artifacts(run_id, name, str(folder)))

    @contextmanager
    def run(self, experiment: str, name: str) -> Iterator[Run]:
        """Open a run; it ends FINISHED with the block, or FAILED when the block raises.

        Raises ServiceError, StorageError.
        """
        with self.errors():
            found = self.client.get_experiment_by_name(experiment)
            experiment_id = (
                found.experiment_id
                if found
                else self.client.create_experiment(experiment, artifact_location=self.artifacts)
            )
            created = self.client.create_run(experiment_id, run_name=name)
        run = Run(self, created.info.run_id, created.info.artifact_uri)
        try:
            yield run
        except BaseException:
            with self.errors():
                self.client.set_terminated(run.id, "FAILED")
            raise
        with self.errors():
            self.client.set_terminated(run.id, "FINISHED")


@dataclass(frozen=True)
class Run:
    """A run that is open. artifact_uri: the root of its artifacts."""

    store: Store
    id: str
    artifact_uri: str


def has_store() -> bool:
    """Whether `connect` would find a store rather than make one."""
    return bool(os.environ.get(URI_VARIABLE)) or (Path.cwd() / FOLDER / DATABASE).is_file()


def connect() -> Store:
    """Open the store that MLFLOW_TRACKING_URI names, else the sqlite store in `./mlruns`, made when missing.

    Raises UsageError without mlflow, ServiceError, StorageError. A server that doesn't answer shows at first use.
    """
    os.environ.setdefault(RETRIES_VARIABLE, RETRIES)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # ours is drawn by the command line
    mlflow = require("mlflow", "mlflow")
    _quieten()
    uri, artifacts = os.environ.get(URI_VARIABLE), None
    if not uri:
        folder = Path.cwd() / FOLDER
        with storage_errors(folder):
            folder.mkdir(exist_ok=True)
        uri, artifacts = f"sqlite:///{folder / DATABASE}", (folder / "artifacts").as_uri()
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
    except mlflow.exceptions.MlflowException as error:
        message = _without_credentials(f"MLflow at {uri}: {error}")
        raise ServiceError(message, hint=f"check {URI_VARIABLE}") from error
    return Store(client, uri, artifacts)


def _without_credentials(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _quieten() -> None:
    """Silence the log of the migrations that make a new sqlite store."""
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.WARNING)
