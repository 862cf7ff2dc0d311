"""One step's program: an Azure ML command component, its typed inputs, and its command line.

$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
inputs:   name -> type, default, optional, min, max, enum
outputs:  name -> type
command:  one program call with ${{inputs.x}}, ${{outputs.y}} and optional parts $[[--flag ${{inputs.z}}]]
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
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


class ComponentFile(BaseModel):
    """The keys of a component file that matter for running it here."""

    name: str
    type: Literal["command"]
    inputs: dict[Name, Parameter] = {}
    outputs: dict[Name, Port] = {}
    command: str


@dataclass(frozen=True)
class Component:
    """A command component read from `path`."""

    path: Path
    name: str
    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Port]
    command: str

    @classmethod
    def read(cls, path: Path) -> Component:
        """Read and check a component file. Raises ConfigError."""
        document = Document.read(path)
        file = document.parse(ComponentFile)
        for name, parameter in file.inputs.items():
            if parameter.default is not None:
                try:
                    parameter.check(parameter.default)
                except ValueError as error:
                    raise document.error(str(error), "inputs", name, "default") from error
        component = cls(path, file.name, file.inputs, file.outputs, file.command)
        try:
            component._check_command()
        except ValueError as error:
            raise document.error(
                str(error), "command", hint="a command is one program call with its arguments, and no shell"
            ) from error
        return component

    def argv(self, values: Mapping[str, Value], outputs: Mapping[str, Path]) -> list[str]:
        """The program call with these inputs and output folders, one element an argument.

        The command is split into arguments before anything is put in, so a value is never split, quoted or expanded.
        An optional part is left out when one of its inputs has no value.
        """
        texts = {f"inputs.{name}": str(value) for name, value in values.items()}
        texts |= {f"outputs.{name}": str(path) for name, path in outputs.items()}

        def kept(part: re.Match[str]) -> str:
            return part[1] if all(name in texts for name in _REFERENCE.findall(part[1])) else ""

        return [
            _REFERENCE.sub(lambda found: texts[found[1]], word) for word in _words(_OPTIONAL.sub(kept, self.command))
        ]

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
        if not words:
            raise ValueError("is empty")
        for word in words:
            if _SHELL_OPERATOR.fullmatch(word):
                raise ValueError(f"{word!r} is for a shell")


def _words(command: str) -> list[str]:
    """The command split as a shell would, references without inner blanks."""
    return shlex.split(_REFERENCE.sub(r"${{\1}}", command))
