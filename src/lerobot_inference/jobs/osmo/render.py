"""A pipeline as an OSMO workflow: a task for each step, with the command line that Azure ML runs too.

Every input of the pipeline becomes a value that `osmo workflow submit --set` can change. A task writes each output of
its step into a folder of that name under {{output}}, since an output is renamed into place and needs a folder around
it. A file that the pipeline names travels in the workflow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from lerobot_inference.errors import ConfigError, UsageError
from lerobot_inference.jobs.binding import PipelineInput, StepOutput
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.local import step_values
from lerobot_inference.jobs.osmo.images import Images
from lerobot_inference.jobs.osmo.template import OUTPUT, check_literal, input_folder, value
from lerobot_inference.jobs.osmo.workflow import (
    NAME,
    InlineFile,
    Resource,
    Task,
    TaskInput,
    Url,
    Workflow,
    WorkflowFile,
    read_workflow,
)
from lerobot_inference.jobs.pipeline import Pipeline, Step
from lerobot_inference.records import first_problem

FILES_FOLDER = PurePosixPath("/inputs")
LARGEST_FILE = 64 * 1024

HUB, TRACKING = "download", "register"
"""The environments whose programs reach the Hugging Face Hub, and MLflow with its registry."""
OFFLINE = {"HF_HUB_OFFLINE": "1"}
HUB_KEYS = {"HF_TOKEN": "token"}
AZURE_KEYS = {"AZURE_TENANT_ID": "tenant_id", "AZURE_CLIENT_ID": "client_id", "AZURE_CLIENT_SECRET": "client_secret"}
URI_VARIABLE, URI_KEY = "MLFLOW_TRACKING_URI", "tracking_uri"
SHARED_SCHEMES = ("azureml", "https", "http")

DEFAULT_RESOURCE = Resource(cpu=4, gpu=0, memory="16Gi", storage="64Gi")
DEVICE = "device"
"""A step with an input of this name runs the policy there."""
NVIDIA_DEVICES = ("cuda", "tensorrt")


@dataclass(frozen=True)
class Target:
    """What a workflow needs of the place where it runs.

    name: of the workflow. hub_credential: OSMO's credential with the Hub's `token`; None for public repositories.
    azure_credential: that with `tenant_id`, `client_id` and `client_secret`, and with `tracking_uri` where none is
    given here; None where the cluster has an identity. output_url: where the outputs of the pipeline are put as well.
    """

    name: str
    images: Images
    tracking_uri: str | None = None
    hub_credential: str | None = None
    azure_credential: str | None = None
    output_url: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for what no workflow can hold."""
        if not re.fullmatch(NAME, self.name):
            hint = "letters, digits, - and _, beginning with a letter and ending with a letter or digit"
            raise UsageError(f"{self.name!r} is not a name for a workflow", hint=hint)
        if self.output_url and not re.match(r"\w+://.", self.output_url):
            hint = "tasks write where OSMO says; name storage that it can reach, such as azure://account/container/path"
            raise UsageError(f"{self.output_url} is not a URL to put outputs at", hint=hint)
        if self.output_url and "?" in self.output_url:
            url = self.output_url.partition("?")[0]
            raise UsageError(
                f"{url}?… holds a signature, which everyone could read", hint="OSMO has its own credential"
            )
        if self.tracking_uri:
            _check_address(self.tracking_uri)


def render_text(pipeline: Pipeline, target: Target, comment: str = "") -> str:
    """The text of the workflow, which OSMO would take. comment: lines that stand first.

    Raises ConfigError for what OSMO can't run, UsageError for a target that doesn't fit the pipeline.
    """
    try:
        text = to_yaml(render(pipeline, target), comment)
    except ValidationError as error:
        raise ConfigError(f"{pipeline.path}: can't be an OSMO workflow: {first_problem(error)}") from error
    read_workflow(Path(f"{target.name}.yaml"), text)
    return text


def render(pipeline: Pipeline, target: Target) -> WorkflowFile:
    """The workflow, not checked. Raises as `render_text` does."""
    environments = {step.name: Environment.of(step.component.path) for step in pipeline.steps}
    target.images.check_used(list(environments.values()))
    _check_tracking(environments, target)
    values = {name: found for name, found in pipeline.inputs.items() if name in _value_names(pipeline)}
    templated = replace(pipeline, inputs={**pipeline.inputs, **{name: value(name) for name in values}})
    workflow = Workflow(
        name=target.name,
        resources={"default": DEFAULT_RESOURCE} | {s.name: _resource(s) for s in pipeline.steps if _runs_policy(s)},
        tasks=[_task(templated, step, environments[step.name], target) for step in pipeline.steps],
    )
    return WorkflowFile(workflow=workflow, default_values=values)


def to_yaml(file: WorkflowFile, comment: str) -> str:
    """The text of a workflow file."""
    data = {"version": file.version} | file.model_dump(by_alias=True, exclude_defaults=True)
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    return "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines()) + text


def _check_address(uri: str) -> None:
    """Raise UsageError for an MLflow that tasks can't share, or whose address holds a secret."""
    hint = "keep it in an OSMO credential, under the key tracking_uri"
    address = urlsplit(uri)
    if "@" in address.netloc:
        raise UsageError("MLflow's address holds a login, which everyone could read in the workflow", hint=hint)
    if address.scheme not in SHARED_SCHEMES:
        schemes = ", ".join(SHARED_SCHEMES)
        raise UsageError(f"{uri} is not an MLflow that every task reaches", hint=f"give an address with {schemes}")


def _check_tracking(environments: Mapping[str, Environment], target: Target) -> None:
    """Raise UsageError where a task would log into itself, and all be lost with it."""
    tasks = [name for name, environment in environments.items() if environment.path.parent.name == TRACKING]
    if tasks and not (target.tracking_uri or target.azure_credential):
        raise UsageError(
            f"task {tasks[0]} would not know where MLflow is",
            hint="give its address, or the OSMO credential that holds it as tracking_uri",
        )


def _value_names(pipeline: Pipeline) -> set[str]:
    """The inputs of the pipeline that are values, not files, for the steps that read them."""
    return {
        source.name
        for step in pipeline.steps
        for name, source in step.inputs.items()
        if isinstance(source, PipelineInput) and not step.component.inputs[name].is_path
    }


def _task(pipeline: Pipeline, step: Step, environment: Environment, target: Target) -> Task:
    """One step. pipeline: with templates for values."""
    component, kind = step.component, environment.path.parent.name
    if component.parallel or component.processes > 1:
        raise ConfigError(
            f"{component.path}: OSMO runs one process a task, this component runs several",
            hint="render a pipeline that evaluates in one step, such as pipelines/evaluate.yaml",
        )
    sources = list(dict.fromkeys(needed.step for needed in step.needs))
    folders = {
        (needed.step, needed.output): Path(input_folder(sources.index(needed.step)), needed.output)
        for needed in step.needs
    }
    values = step_values(pipeline, step, folders)
    files = {}
    for name, found in values.items():
        source = step.inputs.get(name)
        if component.inputs[name].is_path and not isinstance(source, StepOutput):
            files[name] = _inline(Path(str(found)), name)
        elif not isinstance(source, PipelineInput | StepOutput):
            _check(str(found), f"{pipeline.path}: input {name} of step {step.name}")
    values |= {name: file.path for name, file in files.items()}
    return Task(
        name=step.name,
        image=target.images.of(environment),
        resource=step.name if _runs_policy(step) else "default",
        inputs=[TaskInput(task=name) for name in sources],
        files=list(files.values()),
        environment={**step.environment, **_variables(kind, target)},
        credentials=_credentials(kind, target),
        command=component.argv(values, {name: Path(OUTPUT, name) for name in component.outputs}),
        outputs=_outputs(step, target),
    )


def _variables(kind: str, target: Target) -> dict[str, str]:
    """What a task of this kind of environment finds there, and no secret."""
    variables = {} if kind == HUB else dict(OFFLINE)
    if kind == TRACKING and target.tracking_uri:
        variables[URI_VARIABLE] = target.tracking_uri
    return variables


def _credentials(kind: str, target: Target) -> dict[str, dict[str, str] | str]:
    """Secrets by the names that OSMO knows them under: only the tasks that need one get it."""
    if kind == HUB and target.hub_credential:
        return {target.hub_credential: dict(HUB_KEYS)}
    if kind == TRACKING and target.azure_credential:
        return {target.azure_credential: AZURE_KEYS | ({} if target.tracking_uri else {URI_VARIABLE: URI_KEY})}
    return {}


def _outputs(step: Step, target: Target) -> list[Url]:
    """Where OSMO uploads what the step wrote, if that is what the pipeline is run for."""
    if not target.output_url or not step.outputs:
        return []
    return [Url(url=f"{target.output_url.rstrip('/')}/{{{{workflow_id}}}}/{step.name}")]


def _runs_policy(step: Step) -> bool:
    return DEVICE in step.component.inputs


def _resource(step: Step) -> Resource:
    """What the step that runs the policy gets: a GPU where its device is one."""
    device = step.inputs.get(DEVICE, step.component.inputs[DEVICE].default)
    gpus: int | str = int(device in NVIDIA_DEVICES)
    if isinstance(device, PipelineInput):
        gpus = f"{{{{ 1 if {device.name} in {NVIDIA_DEVICES} else 0 }}}}"
    return Resource(cpu=8, gpu=gpus, memory="32Gi", storage="64Gi")


def _inline(path: Path, name: str) -> InlineFile:
    """A small text file for the input `name`. Raises ConfigError."""
    hint = "OSMO carries small text files only; put the data where a task can fetch it"
    if not path.is_file() or path.stat().st_size > LARGEST_FILE:
        raise ConfigError(f"{path}: not a file of at most {LARGEST_FILE // 1024} KiB", hint=hint)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text", hint=hint) from error
    return InlineFile(path=str(FILES_FOLDER / name / path.name), contents=_check(text, f"{path}"))


def _check(text: str, where: str) -> str:
    try:
        return check_literal(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}", hint="take it out: OSMO has no way to write it") from error


class _Dumper(yaml.SafeDumper):
    """Lists stand indented under their key, and what needs escapes in double quotes.

    So do templates, whose values are escaped for them.
    """

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = text.replace("\n", "").replace("\t", "").isprintable() and "{{" not in text
    style = '"' if not plain else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
