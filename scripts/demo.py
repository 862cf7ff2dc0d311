"""The whole path on this machine: record, train, then the pipeline from download to export. `make demo` runs it.

The dataset and the policy are kept in .cache/demo and made again only when the code that makes them has changed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.table import Table

from lerobot_inference.checkpoint import Bundle
from lerobot_inference.cli.console import console
from lerobot_inference.cli.evaluate import summary_table
from lerobot_inference.cli.export import measurements
from lerobot_inference.cli.gate import rules_table, verdict_line
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.jobs.record import RunRecord, State
from lerobot_inference.registry import Registration

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(".cache") / "demo"
IMAGE_SIZE = "96x160"
HELD_OUT_SEED = "1000"
EPISODES = "10"

type Stages = list[tuple[str, float | None]]


def main() -> int:
    """Run what is not there yet, then the pipeline; print the times, the figures, the verdict and where all is."""
    os.chdir(ROOT)
    stages: Stages = []
    run = Path("runs") / "demo"
    dataset, policy = prepare(stages)
    console.rule("pipelines/evaluate.yaml: download -> evaluate -> gate -> plot -> register -> export")
    settings = {"policy": policy, "dataset": dataset, "device": "cpu", "model_name": "demo-reach-act"}
    sets = [word for name, value in settings.items() for word in ("--set", f"inputs.{name}={value}")]
    exit_code = run_command(["pipeline", "run", "pipelines/evaluate.yaml", "--output", str(run), *sets])
    if exit_code:
        return exit_code
    record = RunRecord.model_validate_json((run / "run.json").read_text(encoding="utf-8"))
    stages += [(step.name, None if step.state is State.CACHED else step.seconds) for step in record.steps]
    print_summary(record, stages)
    return 0


def prepare(stages: Stages) -> tuple[Path, Path]:
    """The dataset and the policy, made where an earlier run left none."""
    cache = CACHE / recipe_hash()
    dataset, policy = cache / "reach-cell", cache / "reach-act"
    make(
        "record a dataset",
        dataset,
        ["sim", "record", "--episodes", EPISODES, "--seed", HELD_OUT_SEED, "--image-size", IMAGE_SIZE],
        stages,
    )
    make("train a policy", policy, ["sim", "train"], stages)
    return dataset, policy


def recipe_hash() -> str:
    """Names the cache by the code that fills it."""
    sources = sorted((ROOT / "src" / "lerobot_inference" / "sim").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def make(what: str, output: Path, arguments: list[str], stages: Stages) -> None:
    """Run a command that writes `output`, unless an earlier run did; the commands write it whole or not at all."""
    if output.exists():
        stages.append((what, None))
        return
    console.rule(what)
    started = time.monotonic()
    exit_code = run_command([*arguments, "--output", str(output)])
    if exit_code:
        sys.exit(exit_code)
    stages.append((what, time.monotonic() - started))


def run_command(arguments: list[str]) -> int:
    """The command line, as a user would call it."""
    console.print(f"$ lerobot-inference {' '.join(arguments)}", style="dim", soft_wrap=True)
    return subprocess.run([sys.executable, "-m", "lerobot_inference", *arguments], check=False).returncode


def print_summary(record: RunRecord, stages: Stages) -> None:
    """Times, figures, verdict, and where everything is."""
    results = load_results(Path(record.outputs["results"]))
    registration = Registration.load(Path(record.outputs["verdict"]))
    bundle = Bundle.open(Path(record.outputs["bundle"]))
    console.rule("what came out")
    times = Table(title="Time", title_justify="left")
    times.add_column("stage")
    times.add_column("seconds", justify="right")
    for name, seconds in stages:
        times.add_row(name, "kept from before" if seconds is None else f"{seconds:.1f}")
    console.print(times, summary_table(results), rules_table(registration.gate))
    console.print(verdict_line(registration.gate), soft_wrap=True)
    for line in measurements(bundle):
        console.print(line, soft_wrap=True)
    plots = Path(record.outputs["report"]) / "plots"
    where = {
        "report": f"{record.outputs['report']}/report.html",
        "plots": f"{plots / 'aggregate_summary.png'} and {plots}/episode_*/",
        "results": f"{record.outputs['results']}/eval_results.json",
        "bundle": f"{bundle.folder} ({bundle.manifest.precision}, measured with {bundle.manifest.engine})",
        "registered": f"{registration.model_name} version {registration.version}",
        "open MLflow": f".venv/bin/mlflow ui --backend-store-uri {registration.tracking_uri}",
    }
    for name, what in where.items():
        console.print(f"{name + ':':<12} {what}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
