"""Submit a pipeline file to Azure ML, wait for its job, and fetch what it wrote."""

from __future__ import annotations

import io
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lerobot_inference.azure_ml import Client, Workspace, azure_errors
from lerobot_inference.errors import ConfigError, ServiceError, UsageError, require
from lerobot_inference.files import atomic_folder
from lerobot_inference.jobs.binding import PipelineInput
from lerobot_inference.jobs.document import Document
from lerobot_inference.jobs.environment import Environment, named_by
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.jobs.record import INTERRUPTED_EXIT_CODE
from lerobot_inference.records import Record

FETCHED = ("report", "results", "verdict")
"""The pipeline outputs that are downloaded, those of them that there are."""
SERVERLESS = "serverless"
POLL_S = 10.0
PATIENCE_S = 600.0
"""How long a wait outlives a network that is away; the job goes on without us anyway."""
COMPLETED, CANCELED = "Completed", "Canceled"
EXIT_CODES = {COMPLETED: 0, CANCELED: INTERRUPTED_EXIT_CODE}
"""By the state that a job ended in; every other end is a failure."""
FAILED_EXIT_CODE = 4
ENDS = (COMPLETED, CANCELED, "Failed", "NotResponding", "Paused")


class SubmittedJob(Record):
    """What `pipeline submit --json` prints. state, steps: Azure's words for where the job and each step are.

    downloaded: pipeline output -> local folder.
    """

    schema_version: int = 1
    name: str
    experiment: str
    workspace: str
    studio_url: str
    state: str
    steps: dict[str, str]
    downloaded: dict[str, str]

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDS

    @property
    def exit_code(self) -> int:
        """Of a command that waited for the end: 0 completed, 130 cancelled, 4 otherwise."""
        return EXIT_CODES.get(self.state, FAILED_EXIT_CODE)


type Observer = Callable[[SubmittedJob], None]
type Job = Any
"""The SDK's PipelineJob, which is imported when it is used."""


@dataclass(frozen=True)
class Submitter:
    """Does everything with one workspace. client: an MLClient."""

    workspace: Workspace
    client: Client

    @classmethod
    def connect(cls, workspace: Workspace) -> Submitter:
        """See Workspace.connect."""
        return cls(workspace, workspace.connect())

    def submit(self, file: Path, settings: Mapping[str, str], compute: str | None = None) -> SubmittedJob:
        """Check a pipeline file, upload what it names and start it.

        settings: as Pipeline.read. compute: in place of the file's default_compute.
        Raises ConfigError, UsageError when there is no such compute, and ServiceError, which names the job: it may be
        there if the connection was lost on the last call.
        """
        content = read_content(file, settings, compute)
        self._require_computes(content)
        name = _new_name(file)
        with azure_errors(f"{file}: submitting {name} to {self.workspace}"), _quiet():
            job = _load(content, file)
            job.name = name
            return self._told(self.client.jobs.create_or_update(job), steps={})

    def wait(self, job: SubmittedJob, observe: Observer, every_s: float = POLL_S) -> SubmittedJob:
        """Wait until the job has ended, telling `observe` of every change of state. Raises ServiceError."""
        answered = time.monotonic()
        while True:
            try:
                now = self.look(job.name)
            except ServiceError as error:
                if time.monotonic() - answered > PATIENCE_S:
                    raise ServiceError(error.message, hint=f"the job goes on without us: {job.studio_url}") from error
            else:
                answered = time.monotonic()
                if (now.state, now.steps) != (job.state, job.steps):
                    observe(now)
                job = now
                if job.ended:
                    return job
            time.sleep(every_s)

    def look(self, name: str) -> SubmittedJob:
        """Where a job and its steps are now. Raises ServiceError."""
        with azure_errors(f"job {name}"), _quiet():
            job = self.client.jobs.get(name)
            steps = {
                step.display_name or step.name: step.status for step in self.client.jobs.list(parent_job_name=name)
            }
        return self._told(job, steps)

    def download(self, job: SubmittedJob, outputs: tuple[str, ...], folder: Path) -> SubmittedJob:
        """Fetch outputs of a job that completed, each into a folder of its name. Raises ServiceError, StorageError."""
        fetched = {}
        for name in outputs:
            with atomic_folder(folder / name) as temporary:
                with azure_errors(f"output {name} of job {job.name}"), _quiet():
                    self.client.jobs.download(job.name, download_path=temporary, output_name=name)
                named = temporary / "named-outputs"
                if not named.is_dir() or not any((named / name).iterdir()):
                    raise ServiceError(f"output {name} of job {job.name} is empty", hint=f"see {job.studio_url}")
                for path in (named / name).iterdir():
                    path.rename(temporary / path.name)
                (named / name).rmdir()
                named.rmdir()
            fetched[name] = str(folder / name)
        return job.model_copy(update={"downloaded": fetched})

    def _told(self, job: Job, steps: Mapping[str, str]) -> SubmittedJob:
        return SubmittedJob(
            name=job.name,
            experiment=job.experiment_name or "",
            workspace=self.workspace.name,
            studio_url=job.studio_url or "",
            state=job.status or "NotStarted",
            steps=dict(steps),
            downloaded={},
        )

    def _require_computes(self, content: Mapping[str, Any]) -> None:
        """Raise UsageError unless every compute that is named is there; Azure itself would find out in the job."""
        core = require("azure.core.exceptions", "azure")
        for name in sorted(_computes(content)):
            with azure_errors(f"compute {name} of {self.workspace}"):
                try:
                    self.client.compute.get(name)
                except core.ResourceNotFoundError as error:
                    known = ", ".join(sorted(found.name for found in self.client.compute.list()))
                    raise UsageError(
                        f"there is no compute {name} in {self.workspace}",
                        hint=f"there is: {known}; choose with --compute NAME" if known else "create one in Studio",
                    ) from error


def fetchable(file: Path, folder: Path) -> tuple[str, ...]:
    """Those of a pipeline's outputs that are downloaded into `folder`.

    Raises UsageError when there are none, or when one would replace what is there, ConfigError.
    """
    outputs = Document.read(file).data.get("outputs") or {}
    found = tuple(name for name in FETCHED if name in outputs)
    if not found:
        raise UsageError(f"{file} has none of the outputs {', '.join(FETCHED)}, so there is nothing to download")
    for path in (folder / name for name in found):
        if path.exists():
            raise UsageError(f"{path} is already there", hint="choose another --download folder, or remove it")
    return found


def _new_name(file: Path) -> str:
    """A job's name, as Azure takes it, made of the file's name and the time."""
    stem = re.sub(r"\W", "-", file.stem, flags=re.ASCII).strip("-_")[:100] or "pipeline"
    return f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def read_content(file: Path, settings: Mapping[str, str], compute: str | None = None) -> dict[str, Any]:
    """The content of a pipeline file that passes our own checks, with the settings in it. Raises ConfigError.

    An input whose value is taken away goes, and so does every binding to it: Azure ML can't leave it open.
    """
    pipeline = Pipeline.read(file, settings, here=False)
    for step in pipeline.steps:
        _require_context(step.component.path)
    content = Document.read(file).data
    steps = {step.name: step for step in pipeline.steps}
    for key, text in settings.items():
        *of_step, _, name = key.split(".")
        inputs = (content["jobs"][of_step[1]] if of_step else content).setdefault("inputs", {})
        if text:
            values: Mapping[str, object] = steps[of_step[1]].inputs if of_step else pipeline.inputs
            inputs[name] = _literal(inputs.get(name), values[name])
        else:
            inputs.pop(name, None)
            if not of_step:
                _unbind(content, pipeline, name)
    if compute:
        content.setdefault("settings", {})["default_compute"] = f"azureml:{compute}"
    return content


def _load(content: Mapping[str, Any], file: Path) -> Job:
    ml = require("azure.ai.ml", "azure")
    text = yaml.safe_dump(content, sort_keys=False)
    return ml.load_job(io.StringIO(text), relative_origin=str(file.absolute()))


def _computes(content: Mapping[str, Any]) -> set[str]:
    """The computes that a pipeline names, but those that Azure finds itself."""
    named = {content.get("settings", {}).get("default_compute"), content.get("compute")}
    named |= {job.get("compute") for job in content["jobs"].values()}
    return {name.removeprefix("azureml:") for name in named if name} - {SERVERLESS}


def _literal(before: object, value: object) -> object:
    return {**before, "path": value} if isinstance(before, dict) else value


def _unbind(content: Mapping[str, Any], pipeline: Pipeline, name: str) -> None:
    for step in pipeline.steps:
        for key, source in step.inputs.items():
            if source == PipelineInput(name):
                del content["jobs"][step.name]["inputs"][key]


def _require_context(component: Path) -> None:
    """Raise ConfigError for a build context of ours whose made files were not made: its image could not be built."""
    named = named_by(Document.read(component))
    if not isinstance(named, str) or named.startswith("azureml:"):
        return
    environment = Environment.of(component)
    if environment.context is None or not environment.extras:
        return
    if not (environment.context / "requirements.txt").is_file() or not any(environment.context.glob("*.whl")):
        raise ConfigError(
            f"{environment.context}: the wheel or requirements.txt is missing, which its image is built from",
            hint="`make image-contexts` writes them",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what the SDK says of its own: blank lines, and that parts of it are experimental."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
