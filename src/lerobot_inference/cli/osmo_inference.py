"""scripts/submit-osmo-lerobot-inference.sh: evaluate a trained policy on OSMO."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lerobot_inference.azure_ml import Workspace
from lerobot_inference.cli import run
from lerobot_inference.cli.console import errors
from lerobot_inference.cli.osmo import (
    AZURE_CREDENTIAL,
    AzureCredentialOption,
    HubCredentialOption,
    ImageOption,
    PoolOption,
)
from lerobot_inference.jobs.osmo.images import Images
from lerobot_inference.jobs.osmo.render import Target, render_text
from lerobot_inference.jobs.osmo.request import EvaluationRequest
from lerobot_inference.jobs.osmo.submit import PROGRAM, submit
from lerobot_inference.tracking import workspace_uri

SCRIPT = "submit-osmo-lerobot-inference.sh"
LOCAL_PROGRAM = "osmo-dev"


class PolicyType(StrEnum):
    """The kinds of policy that can be evaluated."""

    ACT = "act"


def submit_inference(
    policy_repo_id: Annotated[str, typer.Option(help="HuggingFace policy repository.")],
    dataset_repo_id: Annotated[
        str | None,
        typer.Option(help="HuggingFace dataset for replay evaluation; none fetches and verifies the policy alone."),
    ] = None,
    eval_episodes: Annotated[int, typer.Option(min=1, help="Number of episodes to evaluate.")] = 10,
    mlflow_enable: Annotated[
        bool, typer.Option("--mlflow-enable", help="Log plots and metrics to AzureML via MLflow.")
    ] = False,
    experiment_name: Annotated[
        str | None, typer.Option(help="MLflow experiment name; lerobot-<policy type>-inference when not given.")
    ] = None,
    register_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Register the model to AzureML after evaluation, and log it.")
    ] = None,
    policy_type: Annotated[
        PolicyType, typer.Option("-p", "--policy-type", help="Policy architecture.")
    ] = PolicyType.ACT,
    job_name: Annotated[str, typer.Option("-j", "--job-name", help="Name of the workflow.")] = "lerobot-eval",
    output_dir: Annotated[
        str | None,
        typer.Option(
            "-o", "--output-dir", metavar="URL", help="Where OSMO puts results and plots, beside its own storage."
        ),
    ] = None,
    image: ImageOption = None,
    azure_subscription_id: Annotated[
        str | None, typer.Option(help="Azure subscription; AZURE_SUBSCRIPTION_ID.")
    ] = None,
    azure_resource_group: Annotated[str | None, typer.Option(help="Its resource group; AZURE_RESOURCE_GROUP.")] = None,
    azure_workspace_name: Annotated[
        str | None,
        typer.Option(help="Azure ML workspace; AZUREML_WORKSPACE_NAME. None: OSMO's credential has its tracking_uri."),
    ] = None,
    hub_credential: HubCredentialOption = None,
    azure_credential: AzureCredentialOption = AZURE_CREDENTIAL,
    pool: PoolOption = None,
    use_local_osmo: Annotated[
        bool, typer.Option("--use-local-osmo", help=f"Call {LOCAL_PROGRAM} instead of {PROGRAM}.")
    ] = False,
    config_preview: Annotated[
        bool, typer.Option("--config-preview", help="Print what would be submitted, and submit nothing.")
    ] = False,
    pipelines: Annotated[Path, typer.Option(help="Folder of the pipeline files.")] = Path("pipelines"),
    osmo_argument: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Evaluate a trained policy on recorded episodes, on OSMO. What stands after -- is for `osmo workflow submit`."""
    request = EvaluationRequest(
        policy=policy_repo_id,
        dataset=dataset_repo_id,
        episodes=eval_episodes,
        track=mlflow_enable,
        experiment=experiment_name or f"lerobot-{policy_type}-inference",
        register_model=register_model,
    )
    uri = _tracking_uri(azure_subscription_id, azure_resource_group, azure_workspace_name)
    images = Images.parse(image or [])
    target = Target(job_name, images, uri, hub_credential, azure_credential or None, output_dir)
    program = LOCAL_PROGRAM if use_local_osmo else PROGRAM
    arguments = [*(["--pool", pool] if pool else []), *(osmo_argument or [])]
    facts = request.summary() | {
        "images": ", ".join(image or []) or "as `make images` names them; --image names others"
    }
    summary = "\n".join(f"{name + ':':<12}{fact}" for name, fact in facts.items())
    text = render_text(request.pipeline(pipelines), target, summary)
    if config_preview:
        print(f"# {shlex.join([program, 'workflow', 'submit', f'{job_name}.yaml', *arguments])}\n{text}", end="")
        return
    errors.print(Text(summary), soft_wrap=True)
    submit(text, job_name, arguments, program)


def _tracking_uri(subscription: str | None, group: str | None, name: str | None) -> str | None:
    """MLflow of the workspace that is named here or by AZUREML_WORKSPACE_NAME; None where none is named."""
    if not (subscription or group or name or os.environ.get("AZUREML_WORKSPACE_NAME")):
        return None
    return workspace_uri(Workspace.find(subscription, group, name))


def main(argv: list[str]) -> None:
    """Run the script. argv: its arguments, without its name."""
    own, _, forwarded = argv, None, []
    if "--" in argv:
        own, forwarded = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    run(submit_inference, [*own, *(f"--osmo-argument={argument}" for argument in forwarded)], SCRIPT)


if __name__ == "__main__":
    main(sys.argv[1:])
