"""All that is wrong with pipeline, component, environment and gate files, before anything runs or is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from lerobot_inference.errors import UsageError
from lerobot_inference.evaluation.figures import is_figure
from lerobot_inference.evaluation.rules import GateRules
from lerobot_inference.jobs.azure_validation import azure_version, validate
from lerobot_inference.jobs.command_line import CommandLine, check_command_line
from lerobot_inference.jobs.component import Component
from lerobot_inference.jobs.document import Document, DocumentError, Problem
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.environment_checks import check_environment
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.records import Record

PATTERNS = ("pipelines/*.yaml", "components/*/component.yaml", "environments/*/environment.yaml")


class LintReport(Record):
    """What `pipeline lint` found.

    files: every file that was looked at, those that others name included. azure_sdk: the version of azure-ai-ml whose
    own validation was asked too; null where it isn't installed, and so was not.
    """

    schema_version: int = 1
    files: list[str]
    problems: list[Problem]
    azure_sdk: str | None


class Kind(Enum):
    """What a file is."""

    PIPELINE = "pipeline"
    COMPONENT = "component"
    ENVIRONMENT = "environment"
    GATE = "gate"


SCHEMAS = {
    "pipelineJob.schema": Kind.PIPELINE,
    "commandComponent.schema": Kind.COMPONENT,
    "parallelComponent.schema": Kind.COMPONENT,
    "environment.schema": Kind.ENVIRONMENT,
}
TYPES = {"pipeline": Kind.PIPELINE, "command": Kind.COMPONENT, "parallel": Kind.COMPONENT}


def find_files(folder: Path) -> list[Path]:
    """The files of a project. Raises UsageError when there are none."""
    found = [path for pattern in PATTERNS for path in sorted(folder.glob(pattern))]
    if not found:
        raise UsageError(f"{folder} holds none of {', '.join(PATTERNS)}", hint="name the files, or change the folder")
    return found


def lint(paths: Sequence[Path], commands: Mapping[str, CommandLine]) -> LintReport:
    """Look at files and at those that they name, and collect every problem.

    commands: what each command of our own command line takes; components' commands are held against it.
    """
    linter = _Linter(commands, azure_version())
    for path in paths:
        linter.look(path)
    return linter.report()


class _Linter:
    """Looks at each file once, after those that it names."""

    def __init__(self, commands: Mapping[str, CommandLine], azure_sdk: str | None) -> None:
        self._commands = commands
        self._azure_sdk = azure_sdk
        self._sound: dict[Path, bool] = {}
        self._problems: dict[Problem, None] = {}  # a component's come with those of each pipeline that names it

    def look(self, path: Path, kind: Kind | None = None) -> bool:
        """Look at one file; whether nothing is wrong with it and what it names. kind: what it must be."""
        key = path.resolve()
        if key not in self._sound:
            self._sound[key] = True
            problems = self._problems_of(path, kind)
            self._problems |= dict.fromkeys(map(_shown, problems))
            self._sound[key] = not problems
        return self._sound[key]

    def report(self) -> LintReport:
        """What was found, file by file and line by line."""
        files = [_relative(path) for path in self._sound]
        problems = sorted(self._problems, key=lambda problem: (files.index(problem.file), problem.line or 0))
        return LintReport(files=files, problems=problems, azure_sdk=self._azure_sdk)

    def _problems_of(self, path: Path, kind: Kind | None) -> list[Problem]:
        try:
            document = Document.read(path)
            kind = kind or _kind(document)
            named = [self.look(*found) for found in _named(document, kind)]
            self._check(document, kind)
            if all(named) and not document.problems and self._azure_sdk:
                validate(document, kind.value)
        except DocumentError as error:
            return error.problems
        except OSError as error:  # such as a name that is too long to be one
            return [Problem(file=str(path), message=str(error))]
        return document.problems

    def _check(self, document: Document, kind: Kind) -> None:
        """Report what our own checks find."""
        if kind is Kind.COMPONENT:
            _check_its_environment(document)
            check_command_line(document, self._commands)
        try:
            match kind:
                case Kind.PIPELINE:
                    Pipeline.read(document.path, here=False)
                case Kind.COMPONENT:
                    Component.read(document.path)
                case Kind.ENVIRONMENT:
                    Environment.read(document.path)
                case Kind.GATE:
                    _check_rules(document)
        except DocumentError as error:
            document.include(error.problems)


def _kind(document: Document) -> Kind:
    """What a file is, by its $schema, its type or its keys. Raises DocumentError."""
    schema, kind = str(document.data.get("$schema")), str(document.data.get("type"))
    for word, found in SCHEMAS.items():
        if word in schema:
            return found
    if kind in TYPES:
        return TYPES[kind]
    if "type" not in document.data and document.data.keys() & {"image", "build", "conda_file"}:
        return Kind.ENVIRONMENT
    if "type" not in document.data and document.data.keys() & GateRules.model_fields.keys():
        return Kind.GATE
    raise document.error(
        "this is no pipeline, component, environment or gate file",
        *(["type"] if "type" in document.data else []),
        hint="write type: pipeline, command or parallel; an OSMO workflow has `lerobot-inference osmo lint`",
    )


def _named(document: Document, kind: Kind) -> Iterator[tuple[Path, Kind]]:
    """The files that a file names, and what they must be."""
    if kind is Kind.PIPELINE and isinstance(jobs := document.data.get("jobs"), dict):
        for step in jobs.values():
            if isinstance(step, dict) and (path := _file(document, step.get("component"))):
                yield path, Kind.COMPONENT
    if kind is Kind.COMPONENT and (path := _file(document, _environment(document)[1])):
        yield path, Kind.ENVIRONMENT


def _environment(document: Document) -> tuple[tuple[str, ...], Any]:
    """Where a component of its kind says its environment, and what it says there."""
    if document.data.get("type") != "parallel":
        return ("environment",), document.data.get("environment")
    task = document.data.get("task")
    return ("task", "environment"), task.get("environment") if isinstance(task, dict) else None


def _check_its_environment(document: Document) -> None:
    field, environment = _environment(document)
    hint = "write file:PATH, relative to this file, or azureml:NAME:VERSION"
    if environment is None:
        document.report("there is no environment to run in", *field, hint=hint)
    elif isinstance(environment, dict):
        check_environment(document, environment, *field)
    elif not str(environment).startswith("azureml:") and not _file(document, environment):
        document.report(f"{environment}: no such file", *field, hint=hint)


def _check_rules(document: Document) -> None:
    """Report what is wrong with gate rules."""
    for kind, rules in document.data.items():
        for figure in rules if isinstance(rules, dict) else ():
            if not is_figure(str(figure)):
                hint = "name it by its path in that file, such as protocols.as_deployed.skill"
                document.report("is not a figure of eval_results.json", str(kind), str(figure), hint=hint)
    if not document.problems:
        document.parse(GateRules, dict.fromkeys(GateRules.model_fields))


def _file(document: Document, named: object) -> Path | None:
    path = document.beside(named) if isinstance(named, str) else None
    return path if path and path.is_file() else None


def _shown(problem: Problem) -> Problem:
    return problem.model_copy(update={"file": _relative(Path(problem.file))})


def _relative(path: Path) -> str:
    """A path as a person in this folder writes it."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
