"""Run a parallel component here, as Azure ML's own driver does there.

    python -m lerobot_inference.jobs.parallel_driver --component FILE --input-data FOLDER [-- ARGUMENT ...]

The files of a folder are handed out in mini-batches to worker processes. Each imports the entry script, calls its
init() once, run(mini_batch) for every mini-batch, and shutdown() at the end, if there is one. A mini-batch has failed
when run() raises, takes too long, returns fewer results than files, or its process dies; it is then tried again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from lerobot_inference.engine.base import available_cores
from lerobot_inference.errors import LerobotInferenceError, UsageError
from lerobot_inference.files import atomic_write
from lerobot_inference.jobs.component import Component, ParallelFile
from lerobot_inference.jobs.parallel_worker import BatchError, Worker

type Say = Callable[[str], None]


def main(argv: Sequence[str]) -> int:
    """Run what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="parallel_driver")
    parser.add_argument("--component", type=Path, required=True)
    parser.add_argument("--input-data", type=Path, required=True)
    parser.add_argument("--append-row-to", type=Path)
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args(argv)
    try:
        rows = drive(Component.read(given.component), given.input_data, given.arguments, _say)
        if given.append_row_to:
            with atomic_write(given.append_row_to) as path:
                path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    except LerobotInferenceError as error:
        _say(f"error: {error.message}" + (f"\n       {error.hint}" if error.hint else ""))
        return error.exit_code
    return 0


def drive(component: Component, folder: Path, arguments: Sequence[str], say: Say) -> list[str]:
    """Have all files of `folder` worked on; return the results as text, in the order of the files.

    Raises UsageError when there are none, LerobotInferenceError when no worker can begin, and BatchError when more
    failed than the component allows.
    """
    settings, script = component.parallel, component.entry_script
    if not settings or not script:
        raise UsageError(f"{component.path} is not a parallel component")
    files = sorted(str(path.absolute()) for path in folder.rglob("*") if path.is_file())
    if not files:
        raise UsageError(f"{folder} holds no file to work on")
    size = int(settings.mini_batch_size)
    batches = [files[start : start + size] for start in range(0, len(files), size)]
    wanted = settings.resources.instance_count * settings.max_concurrency_per_instance
    count = min(wanted, available_cores(), len(batches))
    say(f"{component.name}: {len(files)} files in {len(batches)} mini-batches, {count} worker processes")
    # As Azure's driver does, so that a script that can't bear it, or takes one of these names, fails here already.
    own = ["--scoring_module_name", script.name, "--mini_batch_size", settings.mini_batch_size, "--output", "unused"]
    workers = [Worker(script, [*arguments, *own]) for _ in range(count)]
    driver = _Driver(settings, batches, say)
    with ThreadPoolExecutor(count) as pool:
        try:
            for done in as_completed([pool.submit(driver.work, worker) for worker in workers]):
                done.result()
        finally:
            driver.stopped = True
            for worker in workers:
                worker.kill()
    return [row for rows in driver.results for row in rows]


@dataclass
class _Driver:
    """Hands out mini-batches and counts what fails. results: of each mini-batch."""

    settings: ParallelFile
    batches: Sequence[Sequence[str]]
    say: Say
    stopped: bool = False
    results: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.results = [[] for _ in self.batches]
        self._waiting = list(range(len(self.batches)))[::-1]
        self._finished = self._failed = self._failed_files = 0
        self._lock = Lock()

    def work(self, worker: Worker) -> None:
        """Give `worker` one mini-batch after the other until there are no more. Raises as `drive` does."""
        while (number := self._next()) is not None:
            try:
                self.results[number] = self._run(worker, number)
            except BatchError as error:
                self._count_failed(number, error)
            self._count_finished()
        worker.shut_down()

    def _next(self) -> int | None:
        with self._lock:
            return self._waiting.pop() if self._waiting and not self.stopped else None

    def _run(self, worker: Worker, number: int) -> list[str]:
        """The results of a mini-batch, tried as often as may be. Raises BatchError."""
        retry = self.settings.retry_settings
        attempt = 0
        while True:
            attempt += 1
            try:
                return worker.run(self.batches[number], retry.timeout)
            except BatchError as error:
                if self.stopped:
                    raise
                self.say(f"{self._name(number)} failed, attempt {attempt} of {retry.max_retries + 1}: {error.message}")
                if attempt > retry.max_retries:
                    raise

    def _count_failed(self, number: int, error: BatchError) -> None:
        """Raise BatchError when that is one too many."""
        with self._lock:
            self._failed += 1
            self._failed_files += len(self.batches[number]) - error.results
            counts = (
                ("mini-batches", self._failed, self.settings.mini_batch_error_threshold),
                ("files", self._failed_files, self.settings.error_threshold),
            )
        for what, failed, most in counts:
            if 0 <= most < failed:
                message = f"{failed} {what} failed and {most} may; the last is {self._name(number)}: {error.message}"
                raise BatchError(message, exit_code=error.exit_code)

    def _count_finished(self) -> None:
        with self._lock:
            self._finished += 1
            failed = f", {self._failed} failed" if self._failed else ""
            self.say(f"{self._finished}/{len(self.batches)} mini-batches{failed}")

    def _name(self, number: int) -> str:
        return f"mini-batch {number + 1} ({', '.join(Path(path).name for path in self.batches[number])})"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
