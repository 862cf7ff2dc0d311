"""A YAML file that knows on which line each of its fields stands, and collects what is wrong with them."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from lerobot_inference.errors import ConfigError
from lerobot_inference.jobs.keys import ANY, Keys
from lerobot_inference.records import Record


class Problem(Record):
    """Something that is wrong in a file.

    line: counted from 1, null when the file can't be read. field: keys joined by dots, empty for the file as a whole.
    """

    file: str
    line: int | None = None
    field: str = ""
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.field, self.message) if part)


class DocumentError(ConfigError):
    """A file that is wrong. It says the first problem; `problems` are all that were found."""

    def __init__(self, problems: list[Problem]) -> None:
        first, *more = problems
        all_of_them = (
            f"and {len(more)} more: `lerobot-inference pipeline lint {first.file}` shows them" if more else None
        )
        super().__init__(str(first), "; ".join(filter(None, (first.hint, all_of_them))) or None)
        self.problems = problems


@dataclass(frozen=True)
class Document:
    """A YAML mapping, and the means to complain about its fields.

    Who reads it notes every problem and goes on as long as that makes sense; `sound` then raises them.
    """

    path: Path
    text: str
    root: yaml.Node
    data: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, text: str | None = None) -> Document:
        """Read a file. text: what it will hold, where it isn't written yet.

        Raises DocumentError when it is missing, isn't YAML, or isn't a mapping.
        """
        hint = "check the path; it is relative to the file that names it"
        try:
            if text is None and not path.is_file():
                raise DocumentError([Problem(file=str(path), message="no such file", hint=hint)])
            text = path.read_text(encoding="utf-8") if text is None else text
            loader = yaml.SafeLoader(text)
            root: Any = loader.get_single_node()
            repeated = list(_repeated_keys(root, set())) if root else []
            data = loader.construct_document(root) if root else None
        except OSError as error:  # such as a name that is too long to be one
            raise DocumentError([Problem(file=str(path), message=str(error.strerror), hint=hint)]) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            said = f"not valid YAML: {getattr(error, 'problem', None) or error}"
            raise DocumentError([Problem(file=str(path), line=mark and mark.line + 1, message=said)]) from error
        if not isinstance(data, dict):
            said = f"expected a mapping of keys, found {type(data).__name__}"
            raise DocumentError([Problem(file=str(path), message=said)])
        problems = [
            Problem(file=str(path), line=line, field=key, message="this key stands here twice", hint="keep one of them")
            for key, line in repeated
        ]
        return cls(path, text, root, data, problems)

    def parse[Model: BaseModel](self, model: type[Model], keys: Keys | None = None) -> Model:
        """The file as `model`. keys: all that it may have. Raises DocumentError when a field doesn't fit."""
        if keys is not None:
            self._check_keys(self.data, keys)
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            said: set[tuple[str, ...]] = set()  # of a union pydantic complains once for each of its types
            for found in error.errors():
                if found["type"] == "extra_forbidden" and keys is not None:
                    continue  # reported already
                missing = found["type"] == "missing"
                place = self._field(found["loc"], missing)
                if place not in said:
                    said.add(place)
                    message = found["msg"].removeprefix("Value error, ")
                    self.report(message, *place, hint="add it" if missing else f"found {reprlib.repr(found['input'])}")
            raise DocumentError(self.problems) from error

    def report(self, message: str, *field: str, hint: str | None = None, near: str | None = None) -> None:
        """Note a problem with a field (a path of keys) and go on. near: the text that it is about, in a long value."""
        line = self.line(*field, near=near)
        self.include([Problem(file=str(self.path), line=line, field=".".join(field), message=message, hint=hint)])

    def include(self, problems: Iterable[Problem]) -> None:
        """Take over problems found elsewhere, each once."""
        self.problems.extend([problem for problem in dict.fromkeys(problems) if problem not in self.problems])

    def error(self, message: str, *field: str, hint: str | None = None) -> DocumentError:
        """Note a problem that makes it impossible to go on."""
        self.report(message, *field, hint=hint)
        return DocumentError(self.problems)

    def sound[Read](self, read: Read) -> Read:
        """What was made of the file. Raises DocumentError when something is wrong with it."""
        if self.problems:
            raise DocumentError(self.problems)
        return read

    def beside(self, text: str) -> Path:
        """The path that a text in this file names: it is relative to the file, and may say `file:` first."""
        return self.path.parent / text.removeprefix("file:")

    def line(self, *field: str, near: str | None = None) -> int:
        """The line of a field, counted from 1; of its nearest ancestor when the field isn't there."""
        node, line = self.root, self.root.start_mark.line
        for key in field:
            found = next((entry for entry in _entries(node) if entry[0] == key), None)
            if found is None:
                break
            _, line, node = found
        if near is not None:
            lines = self.text.splitlines()[line : node.end_mark.line + 1]
            word = re.compile(rf"(?<![\w-]){re.escape(near)}(?![\w-])")
            line += next((number for number, text in enumerate(lines) if word.search(text)), 0)
        return line + 1

    def _check_keys(self, data: object, keys: Keys, *field: str) -> None:
        """Report the keys of a mapping, and of those inside it, that are not among `keys`."""
        if not isinstance(data, dict):
            return
        for key, value in data.items():
            name = str(key)
            if name not in keys and ANY not in keys:
                self.report("unknown key", *field, name, hint=_choices(name, keys))
            elif inner := keys.get(name, keys.get(ANY)):
                self._check_keys(value, inner, *field, name)

    def _field(self, location: Iterable[str | int], missing: bool) -> tuple[str, ...]:
        """A location of pydantic's as keys of the file, without the names that it adds for its own types."""
        field: list[str] = []
        node: Any = self.data
        parts = list(location)
        for number, part in enumerate(parts, start=1):
            inside = part in node if isinstance(node, dict) else isinstance(node, list) and isinstance(part, int)
            if inside:
                node = node[part]
            if inside or (missing and number == len(parts)):
                field.append(str(part))
        return tuple(field)


def _entries(node: yaml.Node) -> Iterator[tuple[str, int, yaml.Node]]:
    """What stands in a mapping or list: its key or number, the line (from 0), and the value."""
    if isinstance(node, yaml.MappingNode):
        yield from ((str(name.value), name.start_mark.line, value) for name, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(number), value.start_mark.line, value) for number, value in enumerate(node.value))


def _repeated_keys(node: yaml.Node, seen: set[int], *field: str) -> Iterator[tuple[str, int]]:
    """Keys that stand in their mapping before, with their line: YAML's reader would silently take the last."""
    if id(node) in seen:
        return
    seen.add(id(node))
    names: set[str] = set()
    for name, line, value in _entries(node):
        if name in names:
            yield ".".join((*field, name)), line + 1
        names.add(name)
        yield from _repeated_keys(value, seen, *field, name)


def _choices(name: str, keys: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, keys, 1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(keys))}"
