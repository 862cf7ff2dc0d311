"""Run a pipeline file on this machine, one step after the other, one folder a run.

runs/<run>/run.json              RunRecord
runs/<run>/<step>/<output>/      what a step wrote
runs/<run>/<step>/log.txt        what it printed
runs/<run>/outputs/<name>        links to what the pipeline gives
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO, Protocol

from lerobot_inference.files import claimed, clear, require_replaceable, storage_errors
from lerobot_inference.jobs.binding import PipelineInput, StepOutput
from lerobot_inference.jobs.cache import CACHE_FOLDER, Cache, Fingerprint
from lerobot_inference.jobs.component import Value
from lerobot_inference.jobs.pipeline import Pipeline, Step
from lerobot_inference.jobs.process import Processes
from lerobot_inference.jobs.record import INTERRUPTED_EXIT_CODE, RUN_FILE, RunRecord, State, StepRecord

LOG_FILE = "log.txt"
OUTPUTS_FOLDER = "outputs"

type Observer = Callable[[RunRecord], None]


class Runner(Protocol):
    """How a step's command is run: as a process, or in a container."""

    def program(self, step: Step) -> str:
        """What names all the code that the command runs: two equal ones do the same."""

    def run(self, step: Step, planned: StepRecord, printed: BinaryIO) -> int:
        """Run a step to its end and return its exit code. printed: gets what it prints.

        Nothing of it is left running, whatever raises, KeyboardInterrupt too.
        """


def unobserved(record: RunRecord) -> None:
    """The Observer that does nothing."""


def run_pipeline(
    pipeline: Pipeline,
    folder: Path,
    observe: Observer = unobserved,
    runner: Runner | None = None,
    cache: Path = CACHE_FOLDER,
    force_rerun: bool = False,
) -> RunRecord:
    """Run every step, in order, in the caller's working folder; stop at the first that fails.

    A deterministic step that has run before with the same inputs is not run: what it wrote then is copied.

    folder: new, or that of an earlier run, which is replaced. observe: told of every change of state. runner:
    processes when not given. cache: where outputs are kept for later runs. force_rerun: reuse none.
    Returns the finished record, whose exit code is that of the failed step, or 130 after Ctrl-C.
    Raises UsageError when the folder holds something else, StorageError when it can't be written or holds another run
    that is under way.
    """
    record = plan(pipeline, folder.resolve())
    forced = force_rerun or pipeline.force_rerun
    run = _Run(record, runner or Processes(), Cache(cache), forced, observe)
    require_replaceable(folder, "run", RUN_FILE)
    with storage_errors(folder), claimed(folder):
        clear(folder)
        record.start()
        record.save()
        for step, planned in zip(pipeline.steps, record.steps, strict=True):
            if record.exit_code is not None:
                planned.state = State.SKIPPED
                continue
            try:
                run.perform(step, planned)
            except KeyboardInterrupt:
                planned.end(INTERRUPTED_EXIT_CODE)
            if planned.exit_code:
                record.end(planned.exit_code)
            else:
                _publish(record, step, planned)
            run.tell()
        if record.exit_code is None:
            record.end(0)
        run.tell()
    return record


def plan(pipeline: Pipeline, folder: Path) -> RunRecord:
    """The record of a run before it starts: every command and where its outputs and log will be."""
    outputs = {
        (step.name, output): folder / step.name / output for step in pipeline.steps for output in step.component.outputs
    }
    steps = []
    for step in pipeline.steps:
        own = {name: outputs[step.name, name] for name in step.component.outputs}
        values = step_values(pipeline, step, outputs)
        steps.append(
            StepRecord(
                name=step.name,
                component=step.component.name,
                command=step.component.argv(values, own),
                inputs=values,
                outputs={name: str(path) for name, path in own.items()},
                log=str(folder / step.name / LOG_FILE),
            )
        )
    return RunRecord(
        pipeline=str(pipeline.path), folder=str(folder), inputs=dict(pipeline.inputs), outputs={}, steps=steps
    )


def new_folder(pipeline: Path, root: Path = Path("runs")) -> Path:
    """Make a folder for a run, named after the pipeline and the time. Raises StorageError."""
    name = f"{pipeline.stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        for choice in chain([name], (f"{name}-{number}" for number in count(2))):
            with suppress(FileExistsError):
                (root / choice).mkdir()
                break
    return root / choice


def log_tail(log: Path, lines: int) -> list[str]:
    """The last lines that a step printed."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 1000 * lines))
        return file.read().decode(errors="replace").splitlines()[-lines:]


def step_values(pipeline: Pipeline, step: Step, outputs: Mapping[tuple[str, str], Path]) -> dict[str, Value]:
    """What a step's inputs hold in this run; an optional input without a value is left out."""
    values = {name: p.default for name, p in step.component.inputs.items() if p.default is not None}
    for name, source in step.inputs.items():
        if isinstance(source, StepOutput):
            values[name] = str(outputs[source.step, source.output])
        elif not isinstance(source, PipelineInput):
            values[name] = source
        elif source.name in pipeline.inputs:
            values[name] = pipeline.inputs[source.name]
    return values


@dataclass(frozen=True)
class _Run:
    """A run under way."""

    record: RunRecord
    runner: Runner
    cache: Cache
    force_rerun: bool
    observe: Observer

    def perform(self, step: Step, planned: StepRecord) -> None:
        """Run one step to its end, or reuse what an equal one wrote."""
        planned.start()
        Path(planned.log).parent.mkdir(parents=True)
        planned.program = self.runner.program(step)
        deterministic = step.component.is_deterministic
        fingerprint = self.cache.fingerprint(step, planned) if deterministic else None
        try:
            planned.reason = f"same inputs as {self._reuse(fingerprint, planned)}"
            planned.reuse()
        except LookupError as why:
            planned.reason = str(why)
            self.tell()
            planned.end(self._execute(step, planned))
            if fingerprint and not planned.exit_code:
                self.cache.keep(fingerprint, planned, Path(self.record.folder).name)

    def tell(self) -> None:
        """Record what has changed and show it."""
        self.record.save()
        self.observe(self.record)

    def _reuse(self, fingerprint: Fingerprint | None, planned: StepRecord) -> str:
        if fingerprint is None:
            raise LookupError("not deterministic")
        if self.force_rerun:
            raise LookupError("a rerun was asked for")
        return self.cache.restore(fingerprint, planned)

    def _execute(self, step: Step, planned: StepRecord) -> int:
        for name, output in step.component.outputs.items():
            if output.type == "uri_folder":  # Azure ML makes it too
                Path(planned.outputs[name]).mkdir()
        with Path(planned.log).open("wb") as printed:
            return self.runner.run(step, planned, printed)


def _publish(record: RunRecord, step: Step, planned: StepRecord) -> None:
    """Link what a step gives to the pipeline under the pipeline's own name for it."""
    for output, name in step.outputs.items():
        link = Path(record.folder) / OUTPUTS_FOLDER / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(Path("..") / step.name / output)
        record.outputs[name] = planned.outputs[output]
