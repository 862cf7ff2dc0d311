"""What earlier runs wrote, kept so that a step with the very same inputs need not run again.

runs/.cache/<step>/<key>/entry.json    Entry
runs/.cache/<step>/<key>/<output>      a copy of what the step wrote
runs/.cache/<step>/<key>/log.txt       a copy of what it printed

An entry is known by content, not by the run that made it: that run's folder may be gone. Entries are written whole or
not at all, and every byte is checked before it is used. The folder may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lerobot_inference.files import atomic_folder, files_below, sha256_file
from lerobot_inference.jobs.pipeline import Step
from lerobot_inference.jobs.record import StepRecord
from lerobot_inference.jobs.template import words
from lerobot_inference.records import Record, save_record

CACHE_FOLDER = Path("runs") / ".cache"
ENTRY_FILE = "entry.json"
KEPT = 4  # entries of each step; those that were not used for longest go first


class Fingerprint(Record):
    """Digests of all that decides what a deterministic step writes. inputs: name -> of its value or its content."""

    component: str
    program: str
    environment: str
    inputs: dict[str, str]

    @property
    def key(self) -> str:
        """The digest of the digests."""
        return digest(self.model_dump())

    def difference(self, earlier: Fingerprint) -> list[str]:
        """What has changed since, in words."""
        parts = ("component", "program", "environment")
        changed = [part for part in parts if getattr(self, part) != getattr(earlier, part)]
        names = self.inputs | earlier.inputs
        changed += [f"input {name}" for name in names if self.inputs.get(name) != earlier.inputs.get(name)]
        return changed


class Entry(Record):
    """One step's outputs and what they were made from. run: the run that made them; outputs: as `content` has them."""

    schema_version: Literal[1] = 1
    run: str
    fingerprint: Fingerprint
    outputs: dict[str, dict[str, str]]


class Cache:
    """The entries below a folder. A run's inputs are hashed once, however many steps read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._digests: dict[str, str] = {}

    def fingerprint(self, step: Step, planned: StepRecord) -> Fingerprint:
        """What decides this step's outputs."""
        component = step.component
        files = {component.path.name: sha256_file(component.path)}
        scripts = (Path(word) for word in words(component.command, optional_parts=False))
        files |= {str(script): sha256_file(script) for script in scripts if script.is_file()}
        if component.entry_script:
            files |= content(component.entry_script.parent)
        inputs = {
            name: self._digest(str(value)) if component.inputs[name].is_path else digest(value)
            for name, value in planned.inputs.items()
        }
        return Fingerprint(
            component=digest(files),
            program=planned.program,
            environment=digest(dict(step.environment)),
            inputs=inputs,
        )

    def restore(self, fingerprint: Fingerprint, planned: StepRecord) -> str:
        """Put the outputs of an equal step where this one would write them; the name of the run that made them.

        Raises LookupError that says why there are none; then nothing is left where they would be.
        """
        with self._locked(planned.name) as folder:
            path = folder / fingerprint.key
            if not path.is_dir():
                raise LookupError(_explain(fingerprint, _entries(folder)))
            entry = _read(path)
            if entry and _copy_outputs(path, entry, planned):
                path.touch()
                return entry.run
            shutil.rmtree(path)
        raise LookupError("what was kept of it is damaged")

    def keep(self, fingerprint: Fingerprint, planned: StepRecord, run: str) -> None:
        """Keep what a step wrote, unless it left an output out. Raises StorageError."""
        if not all(Path(output).exists() for output in planned.outputs.values()):
            return
        entry = Entry(
            run=run,
            fingerprint=fingerprint,
            outputs={name: content(Path(output)) for name, output in planned.outputs.items()},
        )
        with self._locked(planned.name) as folder:
            with atomic_folder(folder / fingerprint.key) as partial:
                for name, output in planned.outputs.items():
                    _copy(Path(output), partial / name)
                shutil.copy2(planned.log, partial / Path(planned.log).name)
                save_record(entry, partial / ENTRY_FILE)
            for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
                shutil.rmtree(old)

    def _digest(self, path: str) -> str:
        if path not in self._digests:
            self._digests[path] = digest(content(Path(path)))
        return self._digests[path]

    @contextmanager
    def _locked(self, step: str) -> Iterator[Path]:
        """The folder of a step's entries, while no other run reads or writes here."""
        folder = self._folder / step
        folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def content(path: Path) -> dict[str, str]:
    """sha256 of a file, under its name, or of every file below a folder, under its relative path.

    What Python makes of its sources when it runs them is left out.
    """
    if path.is_file():
        return {path.name: sha256_file(path)}
    found = (each for each in files_below(path) if each.parent.name != "__pycache__")
    return {each.relative_to(path).as_posix(): sha256_file(each) for each in found}


def digest(value: object) -> str:
    """sha256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _entries(folder: Path) -> list[Entry]:
    """Every readable entry of a step, the newest first."""
    newest = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    return [entry for path in newest if (entry := _read(path))]


def _read(path: Path) -> Entry | None:
    try:
        return Entry.model_validate_json((path / ENTRY_FILE).read_bytes())
    except (OSError, ValidationError):
        return None  # damaged: as good as not there


def _explain(fingerprint: Fingerprint, entries: list[Entry]) -> str:
    """What the nearest earlier step was made from that this one is not."""
    if not entries:
        return "no earlier result"
    nearest = min((fingerprint.difference(entry.fingerprint) for entry in entries), key=lambda found: len(found))
    return f"{', '.join(nearest)} changed"


def _copy_outputs(entry_folder: Path, entry: Entry, planned: StepRecord) -> bool:
    """Copy an entry's outputs and log; False, and nothing there, when a byte is not what it was."""
    log = Path(planned.log)
    try:
        for name, output in planned.outputs.items():
            _copy(entry_folder / name, Path(output))
        shutil.copy2(entry_folder / log.name, log)
        whole = {name: content(Path(output)) for name, output in planned.outputs.items()} == entry.outputs
    except FileNotFoundError:
        whole = False
    if not whole:
        shutil.rmtree(log.parent)
        log.parent.mkdir()
    return whole


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore_dangling_symlinks=True)
    else:
        shutil.copy2(source, target)
