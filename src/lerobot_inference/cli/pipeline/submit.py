"""`lerobot-inference pipeline submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lerobot_inference.azure_ml import Workspace
from lerobot_inference.cli.console import console, errors, print_json
from lerobot_inference.cli.pipeline.settings import SettingsOption, parse_settings
from lerobot_inference.jobs.record import INTERRUPTED_EXIT_CODE
from lerobot_inference.jobs.submit import COMPLETED, SubmittedJob, Submitter, fetchable


def submit(
    file: Annotated[Path, typer.Argument(help="Pipeline YAML, such as pipelines/evaluate.yaml.")],
    settings: SettingsOption = None,
    subscription: Annotated[str | None, typer.Option(help="Azure subscription; AZURE_SUBSCRIPTION_ID.")] = None,
    resource_group: Annotated[str | None, typer.Option(help="Its resource group; AZURE_RESOURCE_GROUP.")] = None,
    workspace: Annotated[str | None, typer.Option(help="Azure ML workspace; AZUREML_WORKSPACE_NAME.")] = None,
    compute: Annotated[str | None, typer.Option(help="Compute, in place of the file's default_compute.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show every change of state until the job has ended.")] = False,
    download: Annotated[
        Path | None, typer.Option(help="Folder for the report, the results and the verdict; waits for the job.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what became of the job as JSON.")] = False,
) -> None:
    """Submit a pipeline file to Azure ML, as the login that `az login` or the environment gives."""
    outputs = fetchable(file, download) if download else ()
    where = Workspace.find(subscription, resource_group, workspace)
    errors.print(f"submitting {file} to {where}", soft_wrap=True)
    submitter = Submitter.connect(where)
    job = submitter.submit(file, parse_settings(settings), compute)
    errors.print(Text(f"submitted {job.name}: {job.studio_url}"), soft_wrap=True)
    if wait or download:
        job = _wait(submitter, job)
    if download and job.state == COMPLETED:
        job = submitter.download(job, outputs, download)
    if json:
        print_json(job)
    else:
        _print(job)
    raise typer.Exit(job.exit_code if job.ended else 0)


def _wait(submitter: Submitter, job: SubmittedJob) -> SubmittedJob:
    try:
        return submitter.wait(job, _Lines())
    except KeyboardInterrupt:
        errors.print(Text(f"the job goes on: {job.studio_url}"), soft_wrap=True)
        raise typer.Exit(INTERRUPTED_EXIT_CODE) from None


class _Lines:
    """One line for every change of the state of a step or of the job."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def __call__(self, job: SubmittedJob) -> None:
        for name, state in (*job.steps.items(), ("job", job.state)):
            if self._shown.get(name) != state:
                self._shown[name] = state
                errors.print(f"{name}: {state}")


def _print(job: SubmittedJob) -> None:
    for name, folder in job.downloaded.items():
        console.print(Text(f"{name}: {folder}"), soft_wrap=True)
    console.print(Text(f"{job.name} {job.state}: {job.studio_url}"), soft_wrap=True)
