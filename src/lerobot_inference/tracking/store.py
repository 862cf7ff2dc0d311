"""Where runs are kept: an embedded sqlite store here, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lerobot_inference.errors import ServiceError, require
from lerobot_inference.files import storage_errors
from lerobot_inference.tracking.workspace import full_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

DEFAULT_EXPERIMENT = "lerobot-act-inference"
FOLDER = "mlruns"
"""Under the working directory. MLflow's own name for it; tools would take a folder `mlflow` for the package."""
DATABASE = "mlflow.db"

URI_VARIABLE = "MLFLOW_TRACKING_URI"
AZURE_SCHEME = "azureml"
AZURE_RUN_VARIABLE = "AZUREML_RUN_ID"
"""Set by Azure ML in each of its jobs."""
RETRIES_VARIABLE = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
RETRIES = "2"
"""For a person; MLflow's default of 7, kept in a job, waits for minutes before it says that nothing answers."""
TIMEOUT_VARIABLE = "MLFLOW_HTTP_REQUEST_TIMEOUT"
JOB_TIMEOUT = "600"
"""Seconds for one request in a job; MLflow's default is 120."""
LOGIN_VARIABLES = ("MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
REFUSALS = (401, 403)
CREATIONS = 3
"""Times that something is asked to be made, before it is an error."""
PAUSE_S = 1.0
"""Before the second time; twice as long before the third."""


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

    @property
    def is_azure(self) -> bool:
        """Whether this is the MLflow of an Azure ML workspace."""
        return urlsplit(self.uri).scheme == AZURE_SCHEME

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what MLflow raises into a ServiceError that names this store. Raises StorageError for a full disk."""
        try:
            with storage_errors(Path(FOLDER)):
                yield
        except Exception as error:
            if not _is_of_a_service(error):
                raise
            said = str(error).partition("\n")[0].partition(" Response body:")[0]  # a page, which may hold what we sent
            raise ServiceError(
                f"MLflow at {self.shown_uri}: {_without_credentials(said)}",
                hint=f"results and plots are still on disk: {self._cure(error)}, then run again",
            ) from error

    def _cure(self, error: Exception) -> str:
        """What a person may do about it."""
        status = getattr(error, "get_http_status_code", lambda: None)()
        if status not in REFUSALS:
            return f"start the server or set {URI_VARIABLE}"
        if self.is_azure:
            return "run `az login` as somebody with the role AzureML Data Scientist on the workspace"
        return f"set {' or '.join(LOGIN_VARIABLES)} to a login that may do this"

    def make_once[T](self, find: Callable[[], T | None], make: Callable[[], T]) -> T:
        """What `find` finds, else what `make` makes, and never two of them.

        MLflow repeats a request whose answer was lost, which would make a second one: here it is looked for first.
        Raises MlflowException.
        """
        from mlflow.exceptions import MlflowException

        for attempt in range(1, CREATIONS + 1):
            if (found := find()) is not None:
                return found
            try:
                with _unrepeated():
                    return make()
            except MlflowException:
                if attempt == CREATIONS:
                    raise
            time.sleep(attempt * PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    def fetch_artifact(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Download one file from the root of a run's artifacts into `folder`; None when it, or the run, isn't there.

        Raises ServiceError, StorageError.
        """
        from mlflow.exceptions import MlflowException

        with self.errors():
            try:
                artifacts = self.artifacts_at(self.client.get_run(run_id).info.artifact_uri)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
            if name not in {entry.path for entry in artifacts.list_artifacts(None)}:
                return None
            return Path(artifacts.download_artifacts(name, str(folder)))  # type: ignore[no-untyped-call]

    def artifacts_at(self, uri: str) -> ArtifactRepository:
        """The files of a run. MLflow's own client asks for logged models besides, which Azure ML doesn't know."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(uri, tracking_uri=self.uri)


def has_store() -> bool:
    """Whether `connect` would find a store rather than make one."""
    return bool(os.environ.get(URI_VARIABLE)) or (Path.cwd() / FOLDER / DATABASE).is_file()


def connect() -> Store:
    """Open the store that MLFLOW_TRACKING_URI names, else the sqlite store in `./mlruns`, made when missing.

    Raises UsageError without mlflow, ServiceError, StorageError. A server that doesn't answer shows at first use.
    """
    if AZURE_RUN_VARIABLE in os.environ:
        os.environ.setdefault(TIMEOUT_VARIABLE, JOB_TIMEOUT)
    else:
        os.environ.setdefault(RETRIES_VARIABLE, RETRIES)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # ours is drawn by the command line
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # stdout is what --json prints
    mlflow = require("mlflow", "mlflow")
    _quieten()
    uri, artifacts = full_uri(os.environ.get(URI_VARIABLE, "")), None
    if uri:
        os.environ[URI_VARIABLE] = uri  # azureml-mlflow reads it once more for the artifacts
    else:
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


def _is_of_a_service(error: Exception) -> bool:
    """Whether MLflow, HTTP or Azure raised it; azureml-mlflow raises plain Exception for a refused artifact."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    if isinstance(error, MlflowException | RequestException) or type(error) is Exception:
        return True
    return any(base.__module__ == "azure.core.exceptions" for base in type(error).__mro__)


@contextmanager
def _unrepeated() -> Iterator[None]:
    """Each request is sent once."""
    before = os.environ.get(RETRIES_VARIABLE)
    os.environ[RETRIES_VARIABLE] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[RETRIES_VARIABLE]
        else:
            os.environ[RETRIES_VARIABLE] = before


def _without_credentials(text: str) -> str:
    """The text without user and password of the addresses in it; a database's password may hold a slash."""
    return re.sub(r"(?<!http:)(?<!https:)//[^/:@\s]*:\S*@|//[^/\s]*@", "//", text)


def _quieten() -> None:
    """Silence the log of the migrations that make a new sqlite store."""
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.WARNING)
