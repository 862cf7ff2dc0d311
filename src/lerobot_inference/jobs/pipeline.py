"""An Azure ML pipeline job: which steps run, in which order, fed by what.

    inputs:   name -> literal, or {type: uri_file | uri_folder, path: ...} relative to the file
    outputs:  name -> {type: ...}
    jobs:     name -> component file; inputs bound to literals, ${{parent.inputs.x}} or
              ${{parent.jobs.step.outputs.y}}; outputs bound to ${{parent.outputs.z}}

A pipeline input has no type of its own in a job file: it has that of the component inputs that it is bound to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from lerobot_inference.errors import ConfigError
from lerobot_inference.jobs.binding import (
    PipelineInput,
    Setting,
    Source,
    StepOutput,
    output_binding,
    read_literal,
    read_source,
)
from lerobot_inference.jobs.component import Component, Name, Parameter, Value
from lerobot_inference.jobs.document import Document, DocumentError
from lerobot_inference.jobs.keys import PIPELINE


class StepFile(BaseModel):
    """One entry of `jobs:`, the keys that matter for running it here."""

    type: Literal["command", "parallel"] | None = None
    component: str
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    environment_variables: dict[str, str] = {}


class PipelineSettings(BaseModel):
    """force_rerun: run every step, whatever earlier runs wrote."""

    force_rerun: bool = False


class PipelineFile(BaseModel):
    """The keys of a pipeline file that matter for running it here."""

    type: Literal["pipeline"]
    settings: PipelineSettings = PipelineSettings()
    inputs: dict[Name, Any] = {}
    outputs: dict[Name, Any] = {}
    jobs: dict[Name, StepFile] = Field(min_length=1)


@dataclass(frozen=True)
class Step:
    """One job of a pipeline. outputs: the component's output -> the pipeline output that shows it."""

    name: str
    component: Component
    inputs: Mapping[str, Source]
    outputs: Mapping[str, str]
    environment: Mapping[str, str]

    @property
    def needs(self) -> list[StepOutput]:
        """The outputs of other steps that this one reads."""
        return [source for source in self.inputs.values() if isinstance(source, StepOutput)]

    @property
    def is_offline(self) -> bool:
        """Whether it must not reach the Hub, and so is given no token of it."""
        return self.environment.get("HF_HUB_OFFLINE") == "1"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline read from `path`. inputs: those that have a value; steps: in the order in which they can run."""

    path: Path
    inputs: Mapping[str, Value]
    steps: tuple[Step, ...]
    force_rerun: bool = False

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, str] | None = None, *, here: bool = True) -> Pipeline:
        """Read a pipeline file and its components.

        settings: `inputs.x` or `jobs.step.inputs.x` -> the text that replaces its value; empty text takes it away.
        here: whether it must run on this machine; data that is Azure ML's is then refused.
        Raises DocumentError about all that is wrong with the files, ConfigError about a setting.
        """
        document = Document.read(path)
        file = document.parse(PipelineFile, PIPELINE)
        _apply(settings or {}, document, file)
        steps = {name: step for name in file.jobs if (step := _read_step(document, name, file, here))}
        _check_references(document, file, steps)
        _check_outputs(document, file, steps)
        inputs = _input_values(document, file, steps, here)
        _check_required(document, file, steps)
        order = _order(document, steps)
        return document.sound(cls(path, inputs, tuple(steps[name] for name in order), file.settings.force_rerun))


def _apply(settings: Mapping[str, str], document: Document, file: PipelineFile) -> None:
    for key, text in settings.items():
        match key.split("."):
            case ["inputs", name] if name in file.inputs:
                file.inputs[name] = Setting(text)
            case ["jobs", step, "inputs", name] if step in file.jobs:
                file.jobs[step].inputs[name] = Setting(text)
            case ["jobs", _, "inputs", _]:
                raise ConfigError(f"{document.path}: {key}: there is no such step", hint=_choices(file.jobs))
            case _:
                raise ConfigError(f"{document.path}: {key}: there is no such input", hint=_choices(file.inputs))


def _read_step(document: Document, name: str, file: PipelineFile, here: bool) -> Step | None:
    """One step; None when its component can't be read, which is reported."""
    step = file.jobs[name]
    component = _read_component(document, step, "jobs", name)
    if component is None:
        return None
    sources: dict[str, Source] = {}
    for key, found in step.inputs.items():
        field = ("jobs", name, "inputs", key)
        parameter = component.inputs.get(key)
        if parameter is None:
            document.report(f"{component.path} has no such input", *field, hint=_choices(component.inputs))
        elif found != Setting(""):
            source = read_source(document, found, parameter, here, *field)
            if source is not None:
                sources[key] = source
    outputs = {}
    for key, found in step.outputs.items():
        field = ("jobs", name, "outputs", key)
        if key not in component.outputs:
            document.report(f"{component.path} has no such output", *field, hint=_choices(component.outputs))
        elif isinstance(found, str):
            target = output_binding(found)
            if target in file.outputs:
                outputs[key] = target
            else:
                document.report(f"{found} is not an output of the pipeline", *field, hint=_choices(file.outputs))
    return Step(name, component, sources, outputs, step.environment_variables)


def _read_component(document: Document, step: StepFile, *field: str) -> Component | None:
    """The component of a step; None when it can't be read, which is reported."""
    if step.component.startswith("azureml:"):
        document.report(
            f"{step.component} is registered in Azure ML and can't be read here",
            *field,
            "component",
            hint="name the component's file, relative to the pipeline file",
        )
        return None
    path = document.beside(step.component)
    if not path.is_file():
        hint = "name the component's file, relative to the pipeline file"
        document.report(f"{path}: no such file", *field, "component", hint=hint)
        return None
    try:
        component = Component.read(path)
    except DocumentError as error:
        document.include(error.problems)
        return None
    kind = "parallel" if component.parallel else "command"
    if step.type and step.type != kind:
        document.report(f"{path} is a {kind} component", *field, "type", hint=f"write type: {kind}")
    return component


def _check_references(document: Document, file: PipelineFile, steps: Mapping[str, Step]) -> None:
    """Report what a step reads that isn't there, or is of another type."""
    for step in steps.values():
        for key, source in step.inputs.items():
            field = ("jobs", step.name, "inputs", key)
            wanted = step.component.inputs[key]
            if isinstance(source, PipelineInput) and source.name not in file.inputs:
                document.report(f"the pipeline has no input {source.name}", *field, hint=_choices(file.inputs))
            if not isinstance(source, StepOutput):
                continue
            if source.step not in file.jobs:
                document.report(f"there is no step {source.step}", *field, hint=_choices(file.jobs))
            elif source.step in steps:
                known = steps[source.step].component.outputs
                output = known.get(source.output)
                if output is None:
                    message = f"step {source.step} has no output {source.output}"
                    document.report(message, *field, hint=_choices(known))
                elif output.type != wanted.type:
                    message = f"{source.output} of step {source.step} is a {output.type}, expected {wanted.type}"
                    document.report(message, *field, hint=wanted.description or "bind what is of the same type")


def _check_outputs(document: Document, file: PipelineFile, steps: Mapping[str, Step]) -> None:
    """Report pipeline outputs that no step writes, or two, or one of another type."""
    writers: dict[str, str] = {}
    for step in steps.values():
        for key, name in step.outputs.items():
            field = ("jobs", step.name, "outputs", key)
            if name in writers:
                hint = "give each its own output of the pipeline"
                document.report(f"step {writers[name]} already writes {name}", *field, hint=hint)
            writers[name] = step.name
            declared = file.outputs[name]
            kind = declared.get("type", "uri_folder") if isinstance(declared, Mapping) else "uri_folder"
            if kind != step.component.outputs[key].type:
                message = f"expected {step.component.outputs[key].type}, found {kind}"
                document.report(message, "outputs", name, hint=f"it is what step {step.name} writes as {key}")
    if len(steps) == len(file.jobs):
        for name in file.outputs:
            if name not in writers:
                document.report("no step writes this output", "outputs", name, hint="bind it to a step, or remove it")


def _input_values(document: Document, file: PipelineFile, steps: Mapping[str, Step], here: bool) -> dict[str, Value]:
    """The pipeline inputs that have a value, each checked against every component input it is bound to."""
    bound: dict[str, list[Parameter]] = {name: [] for name in file.inputs}
    for step in steps.values():
        for key, source in step.inputs.items():
            if isinstance(source, PipelineInput) and source.name in bound:
                bound[source.name].append(step.component.inputs[key])
    values: dict[str, Value] = {}
    for name, found in file.inputs.items():
        if not bound[name] and len(steps) == len(file.jobs):
            document.report("no step reads this input", "inputs", name, hint="bind it to a step, or remove it")
        if found != Setting(""):
            for parameter in bound[name]:
                value = read_literal(document, found, parameter, here, "inputs", name)
                if value is not None:
                    values[name] = value
    return values


def _check_required(document: Document, file: PipelineFile, steps: Mapping[str, Step]) -> None:
    """Report the inputs that nothing feeds."""
    for step in steps.values():
        given = file.jobs[step.name].inputs
        for key, parameter in step.component.inputs.items():
            if parameter.default is not None or parameter.optional:
                continue
            source = step.inputs.get(key)
            if isinstance(source, PipelineInput):
                if file.inputs.get(source.name) == Setting(""):
                    hint = f"give one with --set inputs.{source.name}=VALUE"
                    document.report(f"step {step.name} needs a value for {key}", "inputs", source.name, hint=hint)
            elif given.get(key, Setting("")) == Setting(""):
                hint = f"bind {key} or write a literal"
                document.report(f"step {step.name} needs a value for {key}", "jobs", step.name, "inputs", hint=hint)


def _order(document: Document, steps: Mapping[str, Step]) -> list[str]:
    """The steps, each after those it reads from. Where they wait for each other, that is reported."""
    graph = {name: [source.step for source in step.needs if source.step in steps] for name, step in steps.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        document.report(f"the steps wait for each other: {circle}", "jobs", hint="let one of them read something else")
        return list(steps)


def _choices(names: Mapping[str, object]) -> str:
    return f"there is: {', '.join(names)}" if names else "there is none"
