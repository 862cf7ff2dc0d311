"""A component's command held against the command line that it calls."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lerobot_inference.jobs.document import Document
from lerobot_inference.jobs.template import words

PROGRAM = "lerobot-inference"

type ClickCommand = Any  # typer brings click's classes, and exports none of them


@dataclass(frozen=True)
class CommandLine:
    """What one command takes.

    options: every flag -> whether a value follows it. required: the flags of which each tuple's one must be given.
    arguments: how many words without a flag it takes at most.
    """

    options: Mapping[str, bool]
    required: tuple[tuple[str, ...], ...]
    arguments: int


def command_lines(command: ClickCommand, *names: str) -> dict[str, CommandLine]:
    """What every command below this one takes: `evaluate`, `pipeline run` -> it."""
    if hasattr(command, "commands"):
        below = (command_lines(found, *names, name) for name, found in command.commands.items())
        return {name: line for lines in below for name, line in lines.items()}
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    counts = [parameter.nargs for parameter in command.params if parameter.param_type_name == "argument"]
    line = CommandLine(
        {flag: not option.is_flag for option in options for flag in (*option.opts, *option.secondary_opts)},
        tuple(tuple(option.opts) for option in options if option.required),
        sys.maxsize if -1 in counts else sum(counts),
    )
    return {" ".join(names): line}


def check_command_line(document: Document, commands: Mapping[str, CommandLine]) -> None:
    """Report what a component's file calls our program with that it doesn't take, and what it leaves out.

    commands: `evaluate`, `pipeline run` -> what it takes.
    """
    command = document.data.get("command")
    try:
        called = words(command) if isinstance(command, str) else []
        always = words(command, optional_parts=False) if isinstance(command, str) else []
    except ValueError:  # a quote left open, which reading the component reports
        return
    if called[:1] != [PROGRAM]:
        return
    names = [" ".join(called[1 : 1 + count]) for count in (2, 1)]
    name = next((name for name in names if name in commands), None)
    if name is None:
        message = f"{PROGRAM} has no command {names[-1]!r}"
        document.report(message, "command", hint=_hint(names[-1], commands), near=names[-1])
        return
    given = called[1 + len(name.split()) :]
    _check_words(document, f"{PROGRAM} {name}", commands[name], given)
    _check_required(document, f"{PROGRAM} {name}", commands[name], given, always)


def _check_required(document: Document, called: str, command: CommandLine, given: list[str], always: list[str]) -> None:
    """Report the flags that must be given and aren't, or not always."""
    there, sure = ({word.partition("=")[0] for word in found} for found in (given, always))
    for flags in command.required:
        if not sure & set(flags):
            where = ", and it stands inside $[[ ]]" if there & set(flags) else ""
            document.report(f"{called} needs {flags[0]}{where}", "command", hint=f"add {flags[0]} VALUE")


def _check_words(document: Document, called: str, command: CommandLine, given: list[str]) -> None:
    """Report the words that are no flag, value or argument of the command."""
    loose, waiting, excused = 0, "", False  # a flag that waits for its value; an unknown one that may have one
    for word in given:
        flag, equals, _ = word.partition("=")
        if waiting and word not in command.options:
            waiting = ""
        elif not word.startswith("-"):
            loose += not excused
            if loose > command.arguments and not excused:
                hint = f"it takes {command.arguments or 'no'} words without a flag; quote a value that holds blanks"
                document.report(f"{called} has no place for {word!r}", "command", hint=hint, near=word)
        else:
            _check_value(document, waiting)
            waiting, excused = "", flag not in command.options
            if excused:
                hint = _hint(flag, command.options)
                document.report(f"{called} has no option {flag}", "command", hint=hint, near=flag)
            elif equals and not command.options[flag]:
                document.report(f"{flag} takes no value", "command", hint=f"write {flag} alone", near=flag)
            elif command.options[flag] and not equals:
                waiting = flag
    _check_value(document, waiting)


def _check_value(document: Document, waiting: str) -> None:
    if waiting:
        document.report(f"{waiting} needs a value", "command", hint=f"write {waiting} VALUE", near=waiting)


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {close[0]}?" if close else f"there is: {', '.join(known)}"
