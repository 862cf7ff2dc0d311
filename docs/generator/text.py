"""Docstrings of this house as Markdown: prose, and `field: what it is` for the fields of a class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def document(thing: object) -> str:
    """The docstring as Markdown; an indented part stays as it is."""
    return "\n\n".join(_paragraphs(thing))


def summary(thing: object) -> str:
    """Its first paragraph."""
    return _paragraphs(thing)[0]


def describe(thing: type, fields: Iterable[str]) -> tuple[str, dict[str, str]]:
    """(what the class is, field -> what that is), as far as the docstring says it: `name, other: text.`"""
    known = "|".join(map(re.escape, fields))
    field = rf"(?:{known})(?: \([^)]*\))?"
    label = re.compile(rf"(?:^|(?<=[.;] ))({field}(?:, {field})*): ") if known else re.compile(r"(?!)")
    prose, found = [], {}
    for paragraph in _paragraphs(thing):
        before, *parts = label.split(paragraph)
        prose += [before] if before else []
        for names, text in zip(parts[::2], parts[1::2], strict=True):
            for name in re.findall(rf"\b(?:{known})\b(?= \(|,|$)", names):
                found[name] = text.strip().removesuffix(";").removesuffix(".")
    return "\n\n".join(prose), found


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(value: object) -> str:
    """As code, where there is anything."""
    return f"`{value}`" if str(value) else ""


def _paragraphs(thing: object) -> list[str]:
    """Paragraphs on one line each, with what Markdown would take for mark-up escaped outside of code."""
    said = (inspect.getdoc(thing) or "").split("\n\n")
    return [part if part.startswith("    ") else _escaped(" ".join(part.split())) for part in said]


def _escaped(line: str) -> str:
    quoted = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else re.sub(r"([*<])", r"\\\1", part) for part in quoted)
