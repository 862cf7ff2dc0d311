"""What can be wrong inside a component file whose keys are right: each check reports to the document."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from lerobot_inference.jobs.document import Document
from lerobot_inference.jobs.template import is_reference, references, words

if TYPE_CHECKING:
    from lerobot_inference.jobs.component import ComponentFile, ParallelFile, Parameter

_SHELL_OPERATOR = re.compile(r"[|&;<>]+")
_NO_SHELL = "a command is one program call with its arguments, and no shell"


def check_inputs(document: Document, inputs: Mapping[str, Parameter]) -> None:
    """Report defaults that don't fit their own input, and ranges that nothing fits."""
    for name, parameter in inputs.items():
        field = ("inputs", name)
        limits = [limit for limit in (parameter.min, parameter.max) if limit is not None]
        if limits and parameter.type not in ("integer", "number"):
            message = f"a {parameter.type} has no min and max"
            document.report(message, *field, hint="write type: integer or number, or remove the range")
        elif limits != sorted(limits):
            document.report(f"min {limits[0]} is above max {limits[1]}", *field, hint="exchange them")
        elif parameter.default is not None:
            try:
                parameter.check(parameter.default)
            except ValueError as error:
                document.report(str(error), *field, "default", hint=parameter.description or "change one of the two")


def check_command(document: Document, file: ComponentFile, command: str, *field: str) -> None:
    """Report references to what isn't there, optional ones that would always stand, and what needs a shell."""
    known: dict[str, Collection[str]] = {"inputs": file.inputs, "outputs": file.outputs}
    always = references(command, optional_parts=False)
    for name in dict.fromkeys(references(command)):
        kind, _, key = name.partition(".")
        if key not in known.get(kind, {}):
            there = ", ".join(f"{kind}.{key}" for kind, names in known.items() for key in names) or "none"
            message = f"${{{{{name}}}}} is not an input or output of this component"
            document.report(message, *field, hint=f"there is: {there}", near=name)
        elif kind == "inputs" and name in always and file.inputs[key].optional:
            message = f"${{{{{name}}}}} is optional, so it must stand inside $[[ ]]"
            document.report(message, *field, hint=f"write $[[--flag ${{{{{name}}}}}]]", near=name)
    try:
        split = words(command)
    except ValueError as error:
        document.report(str(error), *field, hint=_NO_SHELL)
        return
    for word in split:
        if _SHELL_OPERATOR.fullmatch(word):
            document.report(f"{word!r} is for a shell", *field, hint=_NO_SHELL, near=word)


def check_parallel(document: Document, file: ParallelFile) -> None:
    """Report what a parallel task names that isn't there, and Azure's own defaults that lose work without a word."""
    folders = {f"inputs.{name}": name for name, found in file.inputs.items() if found.type == "uri_folder"}
    if not is_reference(file.input_data, folders):
        there = ", ".join(folders.values()) or "none is a uri_folder"
        message = f"{file.input_data} is no folder that this component takes"
        document.report(message, "input_data", hint=f"write ${{{{inputs.NAME}}}} with one of: {there}")
    rows = file.task.append_row_to
    if rows and not is_reference(rows, [f"outputs.{name}" for name in file.outputs]):
        hint = f"write ${{{{outputs.NAME}}}} with one of: {', '.join(file.outputs) or 'there is none'}"
        document.report(f"{rows} is not an output of this component", "task", "append_row_to", hint=hint)
    code = document.beside(file.task.code)
    if not code.is_dir():
        hint = "it is relative to this file"
        document.report(f"{code}: no such folder", "task", "code", hint=hint)
    elif not (code / file.task.entry_script).is_file():
        message = f"{code / file.task.entry_script}: no such file"
        document.report(message, "task", "entry_script", hint="it is relative to task.code")
    if file.mini_batch_error_threshold < 0:
        message = "every failed mini-batch is ignored, which is Azure's default"
        document.report(message, "mini_batch_error_threshold", hint="write how many may fail, such as 0")
    if "timeout" not in file.retry_settings.model_fields_set:
        message = "run(mini_batch) is ended after 60 s, which is Azure's default"
        document.report(message, "retry_settings", "timeout", hint="write how many seconds one mini-batch may take")
