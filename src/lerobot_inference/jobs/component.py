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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from lerobot_inference.jobs.component_checks import check_command, check_inputs, check_parallel
from lerobot_inference.jobs.document import Document
from lerobot_inference.jobs.keys import COMMAND_COMPONENT, PARALLEL_COMPONENT
from lerobot_inference.jobs.template import fill, fill_words

type Value = str | int | float | bool

Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]


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
        """Read and check a component file. Raises DocumentError about all that is wrong with it."""
        document = Document.read(path)
        if document.data.get("type") == "parallel":
            return document.sound(cls._parallel(document, document.parse(ParallelFile, PARALLEL_COMPONENT)))
        return document.sound(cls._command(document, document.parse(CommandFile, COMMAND_COMPONENT)))

    @classmethod
    def _command(cls, document: Document, file: CommandFile) -> Component:
        check_inputs(document, file.inputs)
        check_command(document, file, file.command, "command")
        if not file.command.strip():
            document.report("is empty", "command", hint="write one program call with its arguments")
        each = file.distribution.process_count_per_instance if file.distribution else 0
        processes = each * file.resources.instance_count or 1
        return cls(
            document.path, file.name, file.inputs, file.outputs, file.command, processes, None, file.is_deterministic
        )

    @classmethod
    def _parallel(cls, document: Document, file: ParallelFile) -> Component:
        arguments = file.task.program_arguments
        check_inputs(document, file.inputs)
        check_command(document, file, arguments, "task", "program_arguments")
        check_parallel(document, file)
        return cls(document.path, file.name, file.inputs, file.outputs, arguments, 1, file, file.is_deterministic)

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
            given = {"--component": str(self.path.resolve()), "--input-data": fill(self.parallel.input_data, texts)}
            if self.parallel.task.append_row_to:
                given["--append-row-to"] = fill(self.parallel.task.append_row_to, texts)
            driver = [word for option in given.items() for word in option]
            return ["python", "-P", "-m", "lerobot_inference.jobs.parallel_driver", *driver, "--", *arguments]
        if self.processes > 1:
            launcher = "lerobot_inference.jobs.distributed"
            return ["python", "-P", "-m", launcher, "--processes", str(self.processes), "--", *arguments]
        return arguments

    def arguments(self, values: Mapping[str, Value], outputs: Mapping[str, Path]) -> list[str]:
        """`command` with these inputs and output folders, one element an argument.

        The command is split into arguments before anything is put in, so a value is never split, quoted or expanded.
        An optional part is left out when one of its inputs has no value.
        """
        return fill_words(self.command, _texts(values, outputs))


def _texts(values: Mapping[str, Value], outputs: Mapping[str, Path]) -> dict[str, str]:
    """What stands for `inputs.x` and `outputs.y`."""
    inputs = {f"inputs.{name}": str(value) for name, value in values.items()}
    return inputs | {f"outputs.{name}": str(path) for name, path in outputs.items()}
