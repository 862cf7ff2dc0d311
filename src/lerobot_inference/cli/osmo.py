"""`lerobot-inference osmo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lerobot_inference.cli.console import console, print_json
from lerobot_inference.cli.pipeline.lint import print_report
from lerobot_inference.cli.pipeline.settings import SettingsOption, parse_settings
from lerobot_inference.errors import ConfigError
from lerobot_inference.files import atomic_write
from lerobot_inference.jobs.osmo.images import Images
from lerobot_inference.jobs.osmo.lint import lint_workflows
from lerobot_inference.jobs.osmo.render import Target, render_text
from lerobot_inference.jobs.osmo.submit import submit as submit_workflow
from lerobot_inference.jobs.pipeline import Pipeline

AZURE_CREDENTIAL = "azureml"
MADE_FROM = """\
Made from {file} by `lerobot-inference osmo render`: change that file, and render again.

  osmo workflow submit <this file> --pool <pool> --set-string <name>=<value> ...   (names: default-values, below)
"""

FileArgument = Annotated[Path, typer.Argument(help="Pipeline YAML, such as pipelines/evaluate.yaml.")]
ImageOption = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--image",
        envvar="LEROBOT_INFERENCE_IMAGE",
        help="Image of every step, where {environment} stands for download, evaluate …; or ENVIRONMENT=IMAGE for one.",
    ),
]
NameOption = Annotated[str | None, typer.Option(help="The workflow's name; the file's when not given.")]
TrackingUriOption = Annotated[
    str | None, typer.Option(help="MLflow server; the Azure credential's tracking_uri when not given.")
]
HubCredentialOption = Annotated[
    str | None, typer.Option(help="OSMO credential with the Hugging Face token as `token`; none for public ones.")
]
AzureCredentialOption = Annotated[
    str,
    typer.Option(
        help="OSMO credential with tenant_id, client_id, client_secret and tracking_uri; '' for the cluster's identity."
    ),
]
OutputUrlOption = Annotated[
    str | None,
    typer.Option(help="Where OSMO uploads the pipeline's outputs as well, such as azure://account/container."),
]
PoolOption = Annotated[str | None, typer.Option(help="OSMO pool; that of your profile when not given.")]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def osmo() -> None:
    """Run pipeline files on OSMO."""


@app.command()
def render(
    file: FileArgument,
    settings: SettingsOption = None,
    image: ImageOption = None,
    name: NameOption = None,
    tracking_uri: TrackingUriOption = None,
    hub_credential: HubCredentialOption = None,
    azure_credential: AzureCredentialOption = AZURE_CREDENTIAL,
    output_url: OutputUrlOption = None,
    output: Annotated[Path | None, typer.Option(help="File to write; printed when not given.")] = None,
) -> None:
    """Write a pipeline file as an OSMO workflow, one task a step, and check it."""
    images = Images.parse(image or [])
    target = Target(name or file.stem, images, tracking_uri, hub_credential, azure_credential or None, output_url)
    text = render_text(Pipeline.read(file, parse_settings(settings)), target, MADE_FROM.format(file=file))
    if output is None:
        print(text, end="")
        return
    with atomic_write(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    console.print(Text(f"workflow: {output}"), soft_wrap=True)


@app.command()
def submit(
    file: FileArgument,
    osmo_arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- OSMO-ARGUMENT...]", help="What `osmo workflow submit` takes.")
    ] = None,
    settings: SettingsOption = None,
    image: ImageOption = None,
    name: NameOption = None,
    tracking_uri: TrackingUriOption = None,
    hub_credential: HubCredentialOption = None,
    azure_credential: AzureCredentialOption = AZURE_CREDENTIAL,
    output_url: OutputUrlOption = None,
    pool: PoolOption = None,
) -> None:
    """Submit a pipeline file to OSMO by its own program, `osmo`."""
    images = Images.parse(image or [])
    target = Target(name or file.stem, images, tracking_uri, hub_credential, azure_credential or None, output_url)
    text = render_text(Pipeline.read(file, parse_settings(settings)), target, MADE_FROM.format(file=file))
    submit_workflow(text, target.name, [*(["--pool", pool] if pool else []), *(osmo_arguments or [])])


@app.command()
def lint(
    files: Annotated[list[Path], typer.Argument(help="OSMO workflow YAML, such as pipelines/osmo/evaluate.yaml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Find what is wrong with workflow files, as far as that needs no server. Exit 3 when there is a problem."""
    report = lint_workflows(files)
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if report.problems:
        raise typer.Exit(ConfigError.exit_code)
