"""One step's program: an Azure ML component, its typed inputs, and its command line.

inputs:   name -> type, default, optional, min, max, enum
outputs:  name -> type

A command component:

command:  one program call with ${{inputs.x}}, ${{outputs.y}} and optional parts $[[--flag ${{inputs.z}}]]
distribution, resources.instance_count:  the call is made that often at once, each with a RANK of its own

A parallel component:

input_data:      the input whose files are handed out, in mini-batches, to worker processes
task:            entry_script in the folder code, with init() and run(mini_batch); program_arguments, as in a command
resources.instance_count, max_concurrency_per_instance, retry_settings, error thresholds:  see ParallelFile
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from lerobot_inference.jobs.document import Document

type Value = str | int | float | bool

Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]

_REFERENCE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_SHELL_OPERATOR = re.compile(r"[|&;<>]+")


class Parameter(BaseModel):
    """A typed input of a component. Paths (`uri_file`, `uri_folder`) are strings."""

    type: Literal["string", "integer", "number", "boolean", "uri_file", "uri_folder"]
    description: str = ""
    default: Value | None = None
    optional: bool = False
    min: int | float | None = None
    max: int | float | None = None
    enum: list[str] | None = None

    @property
    def is_path(self) -> bool:
        """Whether the value names a file or folder."""
        return self.type.startswith("uri_")

    def check(self, value: object) -> Value:
        """The value as this type. Raises ValueError that says what was found and what was expected."""
        checked = self._typed(value)
        if self.min is not None and float(checked) < self.min:
            raise ValueError(f"{checked} is below the minimum, {self.min}")
        if self.max is not None and float(checked) > self.max:
            raise ValueError(f"{checked} is above the maximum, {self.max}")
        if self.enum is not None and str(checked) not in self.enum:
            raise ValueError(f"{checked!r} is none of {', '.join(self.enum)}")
        return checked

    def parse(self, text: str) -> Value:
        """The value that a person typed as text. Raises ValueError as `check` does."""
        readers: dict[str, Callable[[str], object]] = {
            "integer": int,
            "number": float,
            "boolean": lambda word: {"true": True, "false": False}.get(word.lower(), word),
        }
        value: object = text
        with suppress(ValueError):  # what can't be read stays text, which `check` refuses
            value = readers.get(self.type, str)(text)
        return self.check(value)

    def _typed(self, value: object) -> Value:
        kinds: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}
        fits = isinstance(value, kinds.get(self.type, (str,)))
        if not isinstance(value, str | int | float) or not fits or (isinstance(value, bool) and self.type != "boolean"):
            quote = "; quote it" if self.type == "string" else ""
            raise ValueError(f"expected {self.type}, found {value!r}{quote}")
        if isinstance(value, str) and (not value or "\0" in value):
            raise ValueError(f"expected {self.type}, found {value!r}; text must not be empty or hold a NUL")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"expected {self.type}, found {value}")
        return value


class Port(BaseModel):
    """An output of a component."""

    type: Literal["uri_file", "uri_folder"]
    description: str = ""


class Resources(BaseModel):
    """instance_count: nodes."""

    instance_count: int = Field(default=1, ge=1)


class Distribution(BaseModel):
    """Processes that each get RANK and WORLD_SIZE in their environment."""

    type: Literal["pytorch"]
    process_count_per_instance: int = Field(default=1, ge=1)


class ComponentFile(BaseModel):
    """The keys of a component file that matter for running it here."""

    name: str
    type: Literal["command", "parallel"]
    inputs: dict[Name, Parameter] = {}
    outputs: dict[Name, Port] = {}
    is_deterministic: bool = True
    resources: Resources = Resources()


class CommandFile(ComponentFile):
    """A command component."""

    command: str
    distribution: Distribution | None = None


class ParallelTask(BaseModel):
    """What every worker process runs. append_row_to: the output file that gets one line a result."""

    type: Literal["run_function"]
    code: str
    entry_script: str
    program_arguments: str = ""
    append_row_to: str | None = None


class RetrySettings(BaseModel):
    """timeout: seconds of one run(mini_batch). The defaults are Azure's."""

    max_retries: int = Field(default=2, ge=0)
    timeout: int = Field(default=60, ge=1, le=259200)


class ParallelFile(ComponentFile):
    """A parallel component.

    mini_batch_size: files in a mini-batch. mini_batch_error_threshold: mini-batches that may fail after all retries,
    error_threshold: files that may be in them; -1 is any number.
    """

    input_data: str
    mini_batch_size: str = Field(default="1", pattern=r"^[1-9]\d*$")
    max_concurrency_per_instance: int = Field(default=1, ge=1)
    mini_batch_error_threshold: int = Field(default=-1, ge=-1)
    error_threshold: int = Field(default=-1, ge=-1)
    retry_settings: RetrySettings = RetrySettings()
    logging_level: Literal["DEBUG", "INFO", "WARNING"] = "INFO"
    task: ParallelTask


@dataclass(frozen=True)
class Component:
    """A component read from `path`. command: the program call, or the arguments of a parallel component's script."""

    path: Path
    name: str
    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Port]
    command: str
    processes: int = 1
    parallel: ParallelFile | None = None
    is_deterministic: bool = True

    @classmethod
    def read(cls, path: Path) -> Component:
        """Read and check a component file. Raises ConfigError."""
        document = Document.read(path)
        parallel = document.data.get("type") == "parallel"
        file: ParallelFile | CommandFile = document.parse(ParallelFile) if parallel else document.parse(CommandFile)
        for name, parameter in file.inputs.items():
            if parameter.default is not None:
                try:
                    parameter.check(parameter.default)
                except ValueError as error:
                    raise document.error(str(error), "inputs", name, "default") from error
        if isinstance(file, ParallelFile):
            arguments = file.task.program_arguments
            component = cls(path, file.name, file.inputs, file.outputs, arguments, parallel=file)
            component._check_parallel(document, file)
        else:
            each = file.distribution.process_count_per_instance if file.distribution else 0
            processes = each * file.resources.instance_count or 1
            component = cls(path, file.name, file.inputs, file.outputs, file.command, processes)
        component = replace(component, is_deterministic=file.is_deterministic)
        try:
            component._check_command()
        except ValueError as error:
            field = ("task", "program_arguments") if component.parallel else ("command",)
            raise document.error(
                str(error), *field, hint="a command is one program call with its arguments, and no shell"
            ) from error
        return component

    @property
    def entry_script(self) -> Path | None:
        """The script that a parallel component's workers import."""
        return self.path.parent / self.parallel.task.code / self.parallel.task.entry_script if self.parallel else None

    def argv(self, values: Mapping[str, Value], outputs: Mapping[str, Path]) -> list[str]:
        """The program call that runs the component here, one element an argument.

        A parallel component and one of several processes are run by a program of ours, as Azure ML does by its own.
        """
        arguments = self.arguments(values, outputs)
        if self.parallel:
            texts = _texts(values, outputs)
            given = {"--component": str(self.path.absolute()), "--input-data": _fill(self.parallel.input_data, texts)}
            if self.parallel.task.append_row_to:
                given["--append-row-to"] = _fill(self.parallel.task.append_row_to, texts)
            driver = [word for option in given.items() for word in option]
            return ["python", "-m", "lerobot_inference.jobs.parallel_driver", *driver, "--", *arguments]
        if self.processes > 1:
            launcher = "lerobot_inference.jobs.distributed"
            return ["python", "-m", launcher, "--processes", str(self.processes), "--", *arguments]
        return arguments

    def arguments(self, values: Mapping[str, Value], outputs: Mapping[str, Path]) -> list[str]:
        """`command` with these inputs and output folders, one element an argument.

        The command is split into arguments before anything is put in, so a value is never split, quoted or expanded.
        An optional part is left out when one of its inputs has no value.
        """
        texts = _texts(values, outputs)

        def kept(part: re.Match[str]) -> str:
            return part[1] if all(name in texts for name in _REFERENCE.findall(part[1])) else ""

        return [_fill(word, texts) for word in _words(_OPTIONAL.sub(kept, self.command))]

    def _check_parallel(self, document: Document, file: ParallelFile) -> None:
        """Raise ConfigError unless the input and the output that are named, and the script, exist."""
        folders = {f"inputs.{name}": name for name, found in self.inputs.items() if found.type == "uri_folder"}
        if not _is_reference(file.input_data, folders):
            raise document.error(
                f"{file.input_data} is no folder that this component takes",
                "input_data",
                hint=f"write ${{{{inputs.NAME}}}} with one of: {', '.join(folders.values()) or 'none is a uri_folder'}",
            )
        rows = file.task.append_row_to
        if rows and not _is_reference(rows, [f"outputs.{name}" for name in self.outputs]):
            raise document.error(f"{rows} is not an output of this component", "task", "append_row_to")
        if self.entry_script and not self.entry_script.is_file():
            raise document.error(f"{self.entry_script}: no such file", "task", "entry_script")

    def _check_command(self) -> None:
        """Raise ValueError unless every reference exists and the command needs no shell."""
        always = set(_REFERENCE.findall(_OPTIONAL.sub("", self.command)))
        for name in _REFERENCE.findall(self.command):
            kind, _, key = name.partition(".")
            if key not in {"inputs": self.inputs, "outputs": self.outputs}.get(kind, {}):
                raise ValueError(f"${{{{{name}}}}} is not an input or output of this component")
            if kind == "inputs" and name in always and self.inputs[key].optional:
                raise ValueError(f"${{{{{name}}}}} is optional, so it must stand inside $[[ ]]")
        words = _words(_OPTIONAL.sub(r"\1", self.command))
        if not words and not self.parallel:
            raise ValueError("is empty")
        for word in words:
            if _SHELL_OPERATOR.fullmatch(word):
                raise ValueError(f"{word!r} is for a shell")


def _words(command: str) -> list[str]:
    """The command split as a shell would, references without inner blanks."""
    return shlex.split(_REFERENCE.sub(r"${{\1}}", command))


def _texts(values: Mapping[str, Value], outputs: Mapping[str, Path]) -> dict[str, str]:
    """What stands for `inputs.x` and `outputs.y`."""
    inputs = {f"inputs.{name}": str(value) for name, value in values.items()}
    return inputs | {f"outputs.{name}": str(path) for name, path in outputs.items()}


def _is_reference(text: str, names: Collection[str]) -> bool:
    found = _REFERENCE.fullmatch(text)
    return found is not None and found[1] in names


def _fill(word: str, texts: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: texts[found[1]], word)
