"""What a benchmark states, the frame that all of them share, and the tables of it."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import describe, warn_if_busy
from places import CACHE

RESULTS = CACHE / "results"
START, END = "<!-- bench -->", "<!-- /bench -->"


@dataclass(frozen=True)
class Claim:
    """One row of a table. bar: what it has to reach, "" where nothing was promised."""

    what: str
    figure: str
    bar: str = ""
    held: bool = True

    @classmethod
    def with_bar(cls, what: str, ratio: float, bar: float | None, figure: str) -> Claim:
        """A figure whose ratio has to reach `bar`, if it is given one."""
        return cls(what, figure) if bar is None else cls(what, figure, f">= {bar:g} times", ratio >= bar)


@dataclass(frozen=True)
class Record:
    """What one benchmark printed last: its file, its machine and its claims."""

    script: str
    machine: str
    claims: Sequence[Claim]

    def save(self) -> None:
        """Keep it for the tables."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{self.script}.json").write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, script: str) -> Record:
        """What the last full run of benchmarks/`script`.py saved."""
        found = json.loads((RESULTS / f"{script}.json").read_text())
        return cls(found["script"], found["machine"], [Claim(**claim) for claim in found["claims"]])


def run(script: str, about: str, measure: Callable[[bool], Iterable[Claim]], quick_help: str) -> None:
    """The frame of every benchmark: name the machine, `measure(quick)`, and keep the claims of a full run."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick_help)
    quick = parser.parse_args().quick
    machine = describe()
    print(machine)
    warn_if_busy()
    claims = list(measure(quick))
    warn_if_busy()
    if not quick:
        Record(Path(script).stem, machine, claims).save()


@dataclass(frozen=True)
class Timing:
    """Wall times of one contender over all rounds, seconds."""

    samples: Sequence[float]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Interquartile range, seconds; 0 with a single sample."""
        if len(self.samples) == 1:
            return 0.0
        first, _, third = statistics.quantiles(self.samples, n=4, method="inclusive")
        return third - first

    def speedup(self, reference: Timing) -> float:
        """How many times faster than `reference`, medians of the same rounds."""
        return reference.median / self.median


def times(ratio: float) -> str:
    """A ratio with three digits."""
    return f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f} times"


def table(records: Sequence[Record], promised: bool = False) -> str:
    """The claims as Markdown under the machine they were measured on, a missed bar said as such.

    promised: only the claims that have a bar.
    """
    rows = [f"{records[0].machine}:", "", "| what | figure | bar | `benchmarks/` |", "| --- | --- | --- | --- |"]
    for record in records:
        for claim in record.claims:
            if promised and not claim.bar:
                continue
            bar = claim.bar if claim.held else f"{claim.bar}: **missed**"
            rows.append(f"| {claim.what} | {claim.figure} | {bar} | `{record.script}.py` |")
    return "\n".join(rows)


def replace_table(document: str, content: str) -> str:
    """`document` with `content` between the two markers. Raises ValueError unless each marker is there once."""
    if document.count(START) != 1 or document.count(END) != 1 or document.index(START) > document.index(END):
        raise ValueError(f"the document needs one {START} and, after it, one {END}")
    before, rest = document.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n\n{content}\n\n{END}{after}"
