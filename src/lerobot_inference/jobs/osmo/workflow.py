"""An OSMO workflow file, and everything about it that can be told without OSMO's server.

version: 2
workflow:        name, pool, labels, timeout, resources, and tasks in the order in which they can run
default-values:  name -> what `{{ }}` stands for, unless --set says otherwise
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lerobot_inference.jobs.document import Document
from lerobot_inference.jobs.osmo.template import TOKEN_NAMES, Token, check_literal, references

NAME = r"[a-zA-Z]([a-zA-Z0-9_-]*[a-zA-Z0-9])?"
IMAGE = r"[\w.-]+(:[0-9]+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?"
LONGEST_WORD = 128 * 1024
"""Bytes that Linux gives one argument or one variable with its name, the zero at its end included."""
RESERVED_FOLDER = "/osmo"

type Name = Annotated[str, Field(pattern=f"^{NAME}$")]
type TaskName = Annotated[str, Field(pattern=f"^{NAME}(:{NAME})?$", description="A task, or workflow:task.")]
type Image = Annotated[str, Field(pattern=f"^{IMAGE}$")]
type Count = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"\{\{.*\}\}")]
type Size = Annotated[str, Field(pattern=r"^\d+([KMGT]i?)?B?$|\{\{.*\}\}")]
type Variable = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]


class Strict(BaseModel):
    """A mapping of a workflow file: keys that OSMO doesn't know are errors there too."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Resource(Strict):
    """What a task may use. memory, storage: with a unit, such as 16Gi."""

    cpu: Count | None = None
    gpu: Count | None = None
    memory: Size | None = None
    storage: Size | None = None
    platform: str | None = None


class TaskInput(Strict):
    """All that another task wrote."""

    task: TaskName
    regex: str | None = None


class Url(Strict):
    """Data outside OSMO, to read or to write."""

    url: Annotated[str, Field(pattern=r"^\w+://|\{\{.*\}\}")]
    regex: str | None = None


class InlineFile(Strict):
    """A small text file that a task finds at `path`."""

    path: str
    contents: str


class Task(Strict):
    """One container. command: the program and its arguments, as they are. credentials: name -> {variable: key}."""

    name: Name
    image: Image
    resource: str = "default"
    inputs: list[TaskInput | Url] = []
    files: list[InlineFile] = []
    environment: dict[Variable, str] = {}
    credentials: dict[str, dict[Variable, str] | str] = {}
    command: Annotated[list[str], Field(min_length=1)]
    args: list[str] = []
    outputs: list[Url] = []
    exit_actions: dict[str, str] = Field(default={}, alias="exitActions")


class Timeout(Strict):
    """How long the tasks may wait and run, such as 8h."""

    exec_timeout: Annotated[str, Field(pattern=r"^\d+[smhd]$")] | None = None
    queue_timeout: Annotated[str, Field(pattern=r"^\d+[smhd]$")] | None = None


class Workflow(Strict):
    """What runs. Groups of tasks that run at once, which we have no use for, are not understood."""

    name: Name
    pool: str | None = None
    labels: dict[str, str] = {}
    timeout: Timeout | None = None
    resources: dict[str, Resource]
    tasks: Annotated[list[Task], Field(min_length=1)]


class WorkflowFile(Strict):
    """The whole file."""

    version: Literal[2] = 2
    workflow: Workflow
    default_values: dict[str, str | int | float] = Field(default={}, alias="default-values")


def read_workflow(path: Path, text: str | None = None) -> WorkflowFile:
    """Read and check a workflow file. text: what it will hold, where it isn't written yet.

    Raises DocumentError with every problem, each with line, field and what to do.
    """
    document = Document.read(path, text)
    file = document.parse(WorkflowFile)
    _check_values(document, file)
    _check_names(document, file.workflow)
    for number, task in enumerate(file.workflow.tasks):
        _check_task(document, file.workflow, number, task)
    for field, found in _texts(document.data["workflow"], "workflow"):
        _check_references(document, file, field, found)
    return document.sound(file)


def _check_values(document: Document, file: WorkflowFile) -> None:
    for name, found in file.default_values.items():
        field = ("default-values", name)
        if not name.isidentifier() or name in TOKEN_NAMES:
            document.report("is not a name that a template can use", *field, hint="letters, digits and underscore")
        try:
            check_literal(str(found))
        except ValueError as error:
            document.report(str(error), *field, hint="take it out; a value is used as it is")


def _check_names(document: Document, workflow: Workflow) -> None:
    """OSMO makes Kubernetes names of them: case is lost, and - and _ are the same."""
    seen: dict[str, str] = {}
    for number, task in enumerate(workflow.tasks):
        plain = task.name.lower().replace("_", "-")
        if plain in seen:
            document.report(
                f"{task.name} is the same name as {seen[plain]}",
                *("workflow", "tasks", str(number), "name"),
                hint="OSMO tells neither case nor - from _: rename one of them",
            )
        seen.setdefault(plain, task.name)


def _check_task(document: Document, workflow: Workflow, number: int, task: Task) -> None:
    field = ("workflow", "tasks", str(number))
    earlier = [other.name for other in workflow.tasks[:number]]
    for place, source in enumerate(task.inputs):
        if isinstance(source, TaskInput) and ":" not in source.task and source.task not in earlier:
            later = source.task in [other.name for other in workflow.tasks]
            said = f"{source.task} is not defined before {task.name}" if later else f"there is no task {source.task}"
            hint = f"defined before it: {', '.join(earlier) or 'none'}"
            document.report(said, *field, "inputs", str(place), "task", hint=hint)
    if task.resource not in workflow.resources:
        known = ", ".join(workflow.resources) or "none"
        document.report(f"there is no resource {task.resource}", *field, "resource", hint=f"there is: {known}")
    _check_sizes(document, task, *field)
    paths = [Path(file.path) for file in task.files]
    for place, path in enumerate(paths):
        if not path.is_absolute() or path.is_relative_to(RESERVED_FOLDER) or path in paths[:place]:
            hint = f"an absolute path that no other file of the task has, not under {RESERVED_FOLDER}"
            document.report(f"{path} can't be a file's place", *field, "files", str(place), "path", hint=hint)


def _check_sizes(document: Document, task: Task, *field: str) -> None:
    words = {("environment", name): f"{name}={text}" for name, text in task.environment.items()}
    words |= {("command", str(place)): text for place, text in enumerate(task.command)}
    words |= {("args", str(place)): text for place, text in enumerate(task.args)}
    for place, text in words.items():
        if len(text.encode()) >= LONGEST_WORD:
            hint = "Linux starts no program with it; let the task fetch it, or read it from a file"
            document.report("is 128 KiB or longer", *field, *place, hint=hint)


def _texts(node: object, *field: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in a part of the file, keys too, and where it stands."""
    if isinstance(node, str):
        yield field, node
    elif isinstance(node, dict | list):
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _texts(inner, *field, str(key))


def _check_references(document: Document, file: WorkflowFile, field: tuple[str, ...], text: str) -> None:
    """Report a template in `text` that OSMO could not fill in there."""
    task = file.workflow.tasks[int(field[2])] if field[1] == "tasks" else None
    try:
        found = list(references(text))
    except ValueError as error:
        document.report(str(error), *field, hint="a literal {{ can't be written; {% and {# are not used here")
        return
    for reference in found:
        if isinstance(reference, str):
            if reference not in file.default_values:
                known = ", ".join(sorted(file.default_values)) or "none"
                document.report(f"there is no value {reference}", *field, hint=f"default-values has: {known}")
        elif not _resolves(reference, task):
            hint = f"its inputs are {', '.join(_input_keys(task)) or 'none'}" if task else "only a task has folders"
            document.report(f"{text}: there is nothing it could stand for", *field, hint=hint)


def _resolves(token: Token, task: Task | None) -> bool:
    if token.kind == "input":
        return task is not None and token.key in _input_keys(task)
    return token.kind in ("uuid", "workflow_id") or (token.kind == "output" and task is not None)


def _input_keys(task: Task) -> list[str]:
    """What may stand after `input:` in a task: the numbers of its inputs, and the tasks that they come from."""
    names = [source.task.rpartition(":")[2] for source in task.inputs if isinstance(source, TaskInput)]
    return [*map(str, range(len(task.inputs))), *names]
