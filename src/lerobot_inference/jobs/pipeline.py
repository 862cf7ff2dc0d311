"""An Azure ML pipeline job: which steps run, in which order, fed by what.

    inputs:   name -> literal, or {type: uri_file | uri_folder, path: ...} relative to the file
    outputs:  name -> {type: ...}
    jobs:     name -> component file; inputs bound to literals, ${{parent.inputs.x}} or
              ${{parent.jobs.step.outputs.y}}; outputs bound to ${{parent.outputs.z}}

A pipeline input has no type of its own in a job file: it has that of the component inputs that it is bound to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from lerobot_inference.errors import ConfigError
from lerobot_inference.jobs.component import Component, Name, Parameter, Value
from lerobot_inference.jobs.document import Document

_BINDING = re.compile(r"\$\{\{\s*parent\.(?:inputs\.(\w+)|jobs\.(\w+)\.outputs\.(\w+)|outputs\.(\w+))\s*\}\}")


class StepFile(BaseModel):
    """One entry of `jobs:`, the keys that matter for running it here."""

    type: Literal["command"] = "command"
    component: str
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    environment_variables: dict[str, str] = {}


class PipelineFile(BaseModel):
    """The keys of a pipeline file that matter for running it here."""

    type: Literal["pipeline"]
    inputs: dict[Name, Any] = {}
    outputs: dict[Name, Any] = {}
    jobs: dict[Name, StepFile] = Field(min_length=1)


@dataclass(frozen=True)
class PipelineInput:
    """A step input that takes the value of a pipeline input."""

    name: str


@dataclass(frozen=True)
class StepOutput:
    """A step input that takes what another step wrote."""

    step: str
    output: str


@dataclass(frozen=True)
class Setting:
    """A value that a person typed, in place of what the file says; empty text takes the value away."""

    text: str


type Source = Value | PipelineInput | StepOutput


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


@dataclass(frozen=True)
class Pipeline:
    """A pipeline read from `path`. inputs: those that have a value; steps: in the order in which they can run."""

    path: Path
    inputs: Mapping[str, Value]
    steps: tuple[Step, ...]

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, str] | None = None) -> Pipeline:
        """Read a pipeline file and its components.

        settings: `inputs.x` or `jobs.step.inputs.x` -> the text that replaces its value; empty text takes it away.
        Raises ConfigError that names file, line and field.
        """
        document = Document.read(path)
        file = document.parse(PipelineFile)
        _apply(settings or {}, document, file)
        steps = {name: _read_step(document, name, file) for name in file.jobs}
        _check_references(document, steps)
        inputs = _input_values(document, file, steps)
        _check_required(document, steps, inputs)
        return cls(path, inputs, tuple(steps[name] for name in _order(document, steps)))


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


def _read_step(document: Document, name: str, file: PipelineFile) -> Step:
    step = file.jobs[name]
    field = ("jobs", name)
    if step.component.startswith("azureml:"):
        raise document.error(
            f"{step.component} is registered in Azure ML and can't be read here",
            *field,
            "component",
            hint="name the component's file, relative to the pipeline file",
        )
    component = Component.read(document.path.parent / step.component.removeprefix("file:"))
    sources: dict[str, Source] = {}
    for key, found in step.inputs.items():
        parameter = component.inputs.get(key)
        if parameter is None:
            raise document.error(
                f"{component.path} has no such input", *field, "inputs", key, hint=_choices(component.inputs)
            )
        if found == Setting(""):
            continue
        source = _source(document, found, parameter, *field, "inputs", key)
        if isinstance(source, PipelineInput) and source.name not in file.inputs:
            raise document.error(
                f"the pipeline has no input {source.name}", *field, "inputs", key, hint=_choices(file.inputs)
            )
        sources[key] = source
    outputs = {}
    for key, found in step.outputs.items():
        if key not in component.outputs:
            raise document.error(
                f"{component.path} has no such output", *field, "outputs", key, hint=_choices(component.outputs)
            )
        if isinstance(found, str):
            binding = _BINDING.fullmatch(found)
            if not binding or binding[4] not in file.outputs:
                raise document.error(
                    f"{found} is not an output of the pipeline", *field, "outputs", key, hint=_choices(file.outputs)
                )
            outputs[key] = binding[4]
    return Step(name, component, sources, outputs, step.environment_variables)


def _source(document: Document, found: object, parameter: Parameter, *field: str) -> Source:
    """What feeds one step input: a binding, bare or as the path of a data input, or a literal."""
    text = found.get("path") if isinstance(found, dict) else found
    if isinstance(text, str) and "${{" in text:
        binding = _BINDING.fullmatch(text)
        if binding and binding[1]:
            return PipelineInput(binding[1])
        if binding and binding[2]:
            return StepOutput(binding[2], binding[3])
        raise document.error(
            f"{text} can't be bound to an input",
            *field,
            hint="use ${{parent.inputs.NAME}} or ${{parent.jobs.STEP.outputs.NAME}}, with nothing around it",
        )
    return _literal(document, found, parameter, *field)


def _literal(document: Document, found: object, parameter: Parameter, *field: str) -> Value:
    """A checked value. A path in the file is relative to the file, a typed one to the working folder."""
    try:
        if isinstance(found, Setting):
            return _existing(Path.cwd(), found.text) if parameter.is_path else parameter.parse(found.text)
        if not parameter.is_path:
            return parameter.check(found)
        if not isinstance(found, dict) or not isinstance(found.get("path"), str):
            raise ValueError(f"expected a mapping with type and path, found {found!r}")
        return _existing(document.path.parent, found["path"])
    except ValueError as error:
        raise document.error(str(error), *field, hint=parameter.description or None) from error


def _existing(folder: Path, text: str) -> str:
    """The absolute path of a file or folder that `text` names, relative to `folder`. Raises ValueError."""
    if re.match(r"\w{2,}:", text) and not text.startswith("file:"):
        raise ValueError(f"{text} is not on this machine; give a local path")
    path = (folder / text.removeprefix("file:")).absolute()
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    return str(path)


def _check_references(document: Document, steps: Mapping[str, Step]) -> None:
    writers: dict[str, str] = {}
    for step in steps.values():
        for key, name in step.outputs.items():
            if name in writers:
                raise document.error(f"{writers[name]} already writes {name}", "jobs", step.name, "outputs", key)
            writers[name] = f"step {step.name}"
        for key, source in step.inputs.items():
            if isinstance(source, StepOutput):
                field = ("jobs", step.name, "inputs", key)
                if source.step not in steps:
                    raise document.error(f"there is no step {source.step}", *field, hint=_choices(steps))
                known = steps[source.step].component.outputs
                if source.output not in known:
                    raise document.error(
                        f"step {source.step} has no output {source.output}", *field, hint=_choices(known)
                    )


def _input_values(document: Document, file: PipelineFile, steps: Mapping[str, Step]) -> dict[str, Value]:
    """The pipeline inputs that have a value, each checked against every component input it is bound to."""
    bound: dict[str, list[Parameter]] = {name: [] for name in file.inputs}
    for step in steps.values():
        for key, source in step.inputs.items():
            if isinstance(source, PipelineInput):
                bound[source.name].append(step.component.inputs[key])
    values: dict[str, Value] = {}
    for name, found in file.inputs.items():
        if not bound[name]:
            raise document.error("no step reads this input", "inputs", name, hint="bind it to a step, or remove it")
        if found != Setting(""):
            for parameter in bound[name]:
                values[name] = _literal(document, found, parameter, "inputs", name)
    return values


def _check_required(document: Document, steps: Mapping[str, Step], inputs: Mapping[str, Value]) -> None:
    for step in steps.values():
        for key, parameter in step.component.inputs.items():
            source = step.inputs.get(key)
            fed = source is not None and (not isinstance(source, PipelineInput) or source.name in inputs)
            if not fed and parameter.default is None and not parameter.optional:
                name = source.name if isinstance(source, PipelineInput) else None
                raise document.error(
                    f"step {step.name} needs a value for {key}",
                    *(("inputs", name) if name else ("jobs", step.name, "inputs")),
                    hint=f"give one with --set inputs.{name}=VALUE" if name else f"bind {key} or write a literal",
                )


def _order(document: Document, steps: Mapping[str, Step]) -> list[str]:
    graph = {name: [source.step for source in step.needs] for name, step in steps.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise document.error(f"the steps wait for each other: {circle}", "jobs") from error


def _choices(names: Mapping[str, object]) -> str:
    return f"there is: {', '.join(names)}" if names else "there is none"
