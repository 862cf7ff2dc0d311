"""Run a pipeline file on this machine: one process a step, one folder a run.

runs/<run>/run.json              RunRecord
runs/<run>/<step>/<output>/      what a step wrote
runs/<run>/<step>/log.txt        what it printed
runs/<run>/outputs/<name>        links to what the pipeline gives
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from lerobot_inference.errors import UsageError
from lerobot_inference.files import storage_errors
from lerobot_inference.jobs.component import Value
from lerobot_inference.jobs.pipeline import Pipeline, PipelineInput, Step, StepOutput
from lerobot_inference.jobs.record import INTERRUPTED_EXIT_CODE, RUN_FILE, RunRecord, State, StepRecord

LOG_FILE = "log.txt"
OUTPUTS_FOLDER = "outputs"
HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
# Steps run the same interpreter and installation as this, whatever PATH says.
PROGRAMS = {"lerobot-inference": [sys.executable, "-m", "lerobot_inference"], "python": [sys.executable]}
GRACE_S = 5.0  # how long a stopped step may take to clean up before the next, harder signal

type Observer = Callable[[RunRecord], None]


def unobserved(record: RunRecord) -> None:
    """The Observer that does nothing."""


def run_pipeline(pipeline: Pipeline, folder: Path, observe: Observer = unobserved) -> RunRecord:
    """Run every step, in order, in the caller's working folder; stop at the first that fails.

    folder: new, or that of an earlier run, which is replaced. observe: told of every change of state.
    Returns the finished record, whose exit code is that of the failed step, or 130 after Ctrl-C.
    Raises UsageError when the folder holds something else, StorageError when it can't be written.
    """
    record = plan(pipeline, folder.absolute())
    with storage_errors(folder):
        _clear(folder)
        record.start()
        for step, planned in zip(pipeline.steps, record.steps, strict=True):
            if record.exit_code is not None:
                planned.state = State.SKIPPED
                continue
            planned.start()
            _tell(record, observe)
            exit_code = _run_step(step, planned)
            planned.end(exit_code)
            if exit_code:
                record.end(exit_code)
            else:
                _publish(record, step, planned)
            _tell(record, observe)
        if record.exit_code is None:
            record.end(0)
        _tell(record, observe)
    return record


def plan(pipeline: Pipeline, folder: Path) -> RunRecord:
    """The record of a run before it starts: every command and where its outputs and log will be."""
    outputs = {
        (step.name, output): folder / step.name / output for step in pipeline.steps for output in step.component.outputs
    }
    steps = []
    for step in pipeline.steps:
        own = {name: outputs[step.name, name] for name in step.component.outputs}
        steps.append(
            StepRecord(
                name=step.name,
                component=step.component.name,
                command=step.component.argv(_values(pipeline, step, outputs), own),
                outputs={name: str(path) for name, path in own.items()},
                log=str(folder / step.name / LOG_FILE),
            )
        )
    return RunRecord(
        pipeline=str(pipeline.path), folder=str(folder), inputs=dict(pipeline.inputs), outputs={}, steps=steps
    )


def new_folder(pipeline: Path, root: Path = Path("runs")) -> Path:
    """A folder name for a new run, made of the pipeline's name and the time."""
    name = f"{pipeline.stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    taken = [name, *(f"{name}-{count}" for count in range(2, 100))]
    return next(root / choice for choice in taken if not (root / choice).exists())


def log_tail(log: Path, lines: int) -> list[str]:
    """The last lines that a step printed."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 1000 * lines))
        return file.read().decode(errors="replace").splitlines()[-lines:]


def _values(pipeline: Pipeline, step: Step, outputs: Mapping[tuple[str, str], Path]) -> dict[str, Value]:
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


def _run_step(step: Step, planned: StepRecord) -> int:
    """Run one step to its end and return its exit code."""
    program, *arguments = planned.command
    log = Path(planned.log)
    log.parent.mkdir(parents=True)
    for name, output in step.component.outputs.items():
        if output.type == "uri_folder":  # Azure ML makes it too
            Path(planned.outputs[name]).mkdir()
    with log.open("wb") as printed:
        try:
            process = subprocess.Popen(
                [*PROGRAMS.get(program, [program]), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=_environment(step),
                process_group=0,  # Ctrl-C comes to us alone, and we end the step with everything it started
            )
        except OSError as error:
            printed.write(f"{program} can't be run: {error.strerror}\n".encode())
            return 127
        try:
            exit_code = process.wait()
        except KeyboardInterrupt:
            _end(process)
            return INTERRUPTED_EXIT_CODE
    return exit_code if exit_code >= 0 else 128 - exit_code


def _environment(step: Step) -> dict[str, str]:
    """The caller's environment and the step's own; a step that works offline is given no Hub token."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **step.environment}
    if step.environment.get("HF_HUB_OFFLINE") == "1":
        for token in HUB_TOKENS:
            environment.pop(token, None)
    return environment


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a step and everything it started: ask, insist, force."""
    for order in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, order)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(GRACE_S)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _clear(folder: Path) -> None:
    """Make the run's folder, empty."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        if not (folder / RUN_FILE).is_file():
            raise UsageError(f"{folder} is not empty and holds no earlier run", hint="choose another --output folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _publish(record: RunRecord, step: Step, planned: StepRecord) -> None:
    """Link what a step gives to the pipeline under the pipeline's own name for it."""
    for output, name in step.outputs.items():
        link = Path(record.folder) / OUTPUTS_FOLDER / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(Path("..") / step.name / output)
        record.outputs[name] = planned.outputs[output]


def _tell(record: RunRecord, observe: Observer) -> None:
    record.save()
    observe(record)
