"""The references in a component's texts: ${{inputs.x}}, ${{outputs.y}}, and $[[ ]] around what may be left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping

_REFERENCE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


def references(text: str, *, optional_parts: bool = True) -> list[str]:
    """The names in a text, such as `inputs.x`."""
    return _REFERENCE.findall(text if optional_parts else _OPTIONAL.sub("", text))


def is_reference(text: str, names: Collection[str]) -> bool:
    """Whether a text is one of the names and nothing else."""
    found = _REFERENCE.fullmatch(text)
    return found is not None and found[1] in names


def words(text: str, *, optional_parts: bool = True) -> list[str]:
    """A text split as a shell would, references without inner blanks. Raises ValueError for a quote left open."""
    kept = _OPTIONAL.sub(r"\1" if optional_parts else "", text)
    return shlex.split(_REFERENCE.sub(r"${{\1}}", kept))


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with the value of each name in its place."""
    return _REFERENCE.sub(lambda found: values[found[1]], text)


def fill_words(text: str, values: Mapping[str, str]) -> list[str]:
    """A text split into words, and then filled, so that no value is ever split, quoted or expanded.

    An optional part is left out when one of its names has no value.
    """

    def kept(part: re.Match[str]) -> str:
        return part[1] if all(name in values for name in references(part[1])) else ""

    return [fill(word, values) for word in words(_OPTIONAL.sub(kept, text))]
