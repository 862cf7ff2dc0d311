"""A YAML file that knows on which line each of its fields stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from lerobot_inference.errors import ConfigError


@dataclass(frozen=True)
class Document:
    """A YAML mapping, and the means to complain about one field of it."""

    path: Path
    root: yaml.Node
    data: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read a file. Raises ConfigError when it is missing, isn't YAML, or isn't a mapping."""
        if not path.is_file():
            raise ConfigError(f"{path}: no such file", hint="check the path; it is relative to the file that names it")
        try:
            loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
            root: Any = loader.get_single_node()
            data = loader.construct_document(root) if root else None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{path}:{mark.line + 1}" if mark else f"{path}"
            raise ConfigError(f"{place}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: expected a mapping of keys, found {type(data).__name__}")
        return cls(path, root, data)

    def parse[Model: BaseModel](self, model: type[Model]) -> Model:
        """The file as `model`. Raises ConfigError about the first field that doesn't fit."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            first = error.errors()[0]
            raise self.error(first["msg"], *map(str, first["loc"])) from error

    def error(self, message: str, *field: str, hint: str | None = None) -> ConfigError:
        """An error that names the file, the line and the field (a path of keys)."""
        where = f"{self.path}:{self.line(*field)}: "
        return ConfigError(where + (f"{'.'.join(field)}: " if field else "") + message, hint=hint)

    def line(self, *field: str) -> int:
        """The line of a field, counted from 1; of its nearest ancestor when the field isn't there."""
        node, line = self.root, self.root.start_mark.line
        for key in field:
            if not isinstance(node, yaml.MappingNode):
                break
            found = next(((name, value) for name, value in node.value if name.value == key), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        return line + 1
