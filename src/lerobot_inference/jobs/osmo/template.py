"""What OSMO puts into the text of a workflow.

values:  `{{ … }}` is Jinja, filled in from `default-values` and `--set` when the workflow is submitted
tokens:  `{{output}}`, `{{input:0}}`, written without blanks, become folders when a task starts
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

OUTPUT = "{{output}}"
OPENERS = ("{{", "{%", "{#")
TOKEN_NAMES = ("uuid", "workflow_id", "output")

_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(rf"(?:{'|'.join(TOKEN_NAMES)})|(input|host):([^}}\s]+)")
_WORD = re.compile(r"'[^']*'|([|.]\s*)?\b([A-Za-z_]\w*)\b")
_KEYWORDS = {"if", "else", "in", "is", "not", "and", "or", "true", "false", "none"}


class Token(NamedTuple):
    """What OSMO replaces when a task starts. kind: as in `{{kind:key}}`; key: empty where there is none."""

    kind: str
    key: str


def value(name: str) -> str:
    """A reference to a value, to stand in a double-quoted YAML string.

    The value is escaped as JSON, and so as YAML: quotes, backslashes and line ends stay part of it, and a number that
    `--set` made of a text is text again.
    """
    return f"{{{{ ({name}|string|tojson)[1:-1] }}}}"


def input_folder(index: int) -> str:
    """The token of an input's folder."""
    return f"{{{{input:{index}}}}}"


def check_literal(text: str) -> str:
    """The text. Raises ValueError when OSMO would not leave it as it is."""
    if opener := next((opener for opener in OPENERS if opener in text), None):
        raise ValueError(f"{_shown(text)} holds {opener}, which OSMO takes for a template of its own")
    if wide := next((character for character in text if ord(character) > 0xFFFF), None):
        raise ValueError(f"{_shown(text)} holds {wide!r}; OSMO's templates can't carry characters beyond U+FFFF")
    return text


def references(text: str) -> Iterator[Token | str]:
    """Every token and every name of a value in a text. Raises ValueError for what can't be told."""
    rest = _EXPRESSION.sub("", text)
    if opener := next((opener for opener in OPENERS if opener in rest), None):
        raise ValueError(
            f"{_shown(text)} holds {opener}; only {{{{ }}}} is understood here, with both ends in one text"
        )
    for expression in _EXPRESSION.findall(text):
        if token := _TOKEN.fullmatch(expression):
            yield Token(token[1] or expression, token[2] or "")
        elif token := _TOKEN.fullmatch(expression.strip()):
            raise ValueError(f"{{{{{expression}}}}}: OSMO wants {{{{{expression.strip()}}}}} without blanks")
        else:
            for after, word in _WORD.findall(expression):
                if word and not after and word not in _KEYWORDS:
                    yield word


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
