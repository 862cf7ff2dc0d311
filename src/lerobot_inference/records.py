"""The records that our JSON files hold: strict, and complained about field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lerobot_inference.errors import ConfigError
from lerobot_inference.files import atomic_write

Figure = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """Strict JSON: unknown keys, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


def save_record(record: BaseModel, path: Path) -> None:
    """Write one record as indented JSON. Raises StorageError."""
    with atomic_write(path) as temporary:
        temporary.write_text(f"{record.model_dump_json(indent=2)}\n", encoding="utf-8")


def load_record[R: BaseModel](kind: type[R], path: Path, *, absent: str, damaged: str) -> R:
    """Read one record. absent, damaged: what to do where there is no such file, and where it holds something else.

    Raises ConfigError naming the file and the first field that is wrong.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=absent) from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}", hint=damaged) from error


def first_problem(error: ValidationError) -> str:
    """The first of pydantic's complaints as `field.path: what is wrong`."""
    problem = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    what = problem["msg"].removeprefix("Value error, ")  # pydantic's word before a message of our own
    return f"{where}: {what}" if where else what
