"""The records that our JSON files hold: strict, and complained about field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lerobot_inference.files import atomic_write

Figure = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """Strict JSON: unknown keys, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


def save_record(record: BaseModel, path: Path) -> None:
    """Write one record as indented JSON. Raises StorageError."""
    with atomic_write(path) as temporary:
        temporary.write_text(f"{record.model_dump_json(indent=2)}\n", encoding="utf-8")


def first_problem(error: ValidationError) -> str:
    """The first of pydantic's complaints as `field.path: what is wrong`."""
    problem = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    what = problem["msg"].removeprefix("Value error, ")  # pydantic's word before a message of our own
    return f"{where}: {what}" if where else what
