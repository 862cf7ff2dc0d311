"""What feeds an input: a value, data, another step's output, or an input of the pipeline."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.jobs.component import Parameter, Value
from lerobot_inference.jobs.document import Document

_BINDING = re.compile(r"\$\{\{\s*parent\.(?:inputs\.(\w+)|jobs\.(\w+)\.outputs\.(\w+)|outputs\.(\w+))\s*\}\}")
_DATA_HINT = "write {type: uri_folder, path: ...}, or ${{parent.jobs.STEP.outputs.NAME}}"


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


def read_source(document: Document, found: object, parameter: Parameter, here: bool, *field: str) -> Source | None:
    """What feeds one step input: a binding, bare or as the path of a data input, or a literal.

    None when it can't be read, which is reported.
    """
    text = found.get("path") if isinstance(found, dict) else found
    if not isinstance(text, str) or "${{" not in text:
        return read_literal(document, found, parameter, here, *field)
    binding = _BINDING.fullmatch(text)
    if binding and binding[1]:
        return PipelineInput(binding[1])
    if binding and binding[2]:
        return StepOutput(binding[2], binding[3])
    hint = "use ${{parent.inputs.NAME}} or ${{parent.jobs.STEP.outputs.NAME}}, with nothing around it"
    document.report(f"{text} can't be bound to an input", *field, hint=hint)
    return None


def output_binding(found: object) -> str | None:
    """The pipeline output that a step's output is bound to."""
    binding = _BINDING.fullmatch(found) if isinstance(found, str) else None
    return binding[4] if binding else None


def read_literal(document: Document, found: object, parameter: Parameter, here: bool, *field: str) -> Value | None:
    """A checked value; None when it doesn't fit, which is reported.

    A path in the file is relative to the file, a typed one to the working folder. here: whether it must be on this
    machine.
    """
    hint = parameter.description or _takes(parameter)
    try:
        if isinstance(found, Setting):
            return _existing(Path.cwd(), found.text, here) if parameter.is_path else parameter.parse(found.text)
        if not parameter.is_path:
            return parameter.check(found)
        hint = parameter.description or _DATA_HINT
        if not isinstance(found, Mapping) or not isinstance(found.get("path"), str):
            raise ValueError(f"expected a mapping with type and path, found {found!r}")
        kind = found.get("type", "uri_folder")  # Azure's own default
        if kind != parameter.type:
            raise ValueError(f"expected a {parameter.type}, found a {kind}")
        path = _existing(document.path.parent, found["path"], here)
        if Path(path).is_dir() and kind == "uri_file":
            raise ValueError(f"{path} is a folder, expected a file")
        if Path(path).is_file() and kind == "uri_folder":
            raise ValueError(f"{path} is a file, expected a folder")
    except ValueError as error:
        document.report(str(error), *field, hint=hint)
        return None
    return path


def _takes(parameter: Parameter) -> str:
    limits = {"at least": parameter.min, "at most": parameter.max, "one of": ", ".join(parameter.enum or []) or None}
    said = [f"{word} {limit}" for word, limit in limits.items() if limit is not None]
    return f"it takes {', '.join([parameter.type, *said])}"


def _existing(folder: Path, text: str, here: bool) -> str:
    """The absolute path of a file or folder that `text` names, relative to `folder`. Raises ValueError."""
    if re.match(r"\w{2,}:", text) and not text.startswith("file:"):
        if here:
            raise ValueError(f"{text} is not on this machine; give a local path")
        return text
    path = (folder / text.removeprefix("file:")).resolve()
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    return str(path)
