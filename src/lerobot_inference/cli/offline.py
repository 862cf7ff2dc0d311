"""scripts/test-lerobot-inference.py: a policy against a few recorded observations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.checkpoint import fetch_policy, open_policy
from lerobot_inference.cli.console import console, errors, progress_display
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.evaluation.baselines import skill
from lerobot_inference.evaluation.fit import check_fit
from lerobot_inference.evaluation.offline import OfflineRun, run_offline, select_steps
from lerobot_inference.sources import Folder, parse_source
from lerobot_inference.types import FloatArray

RULE = "=" * 60


def offline(
    dataset_dir: Annotated[Path, typer.Option(help="LeRobot v3 dataset root directory.")],
    policy_repo: Annotated[
        str, typer.Option(help="HuggingFace repo ID or local path.")
    ] = "alizaidi/hve-robo-act-train",
    episode: Annotated[int, typer.Option(help="Episode index for test observations.")] = 0,
    start_frame: Annotated[int, typer.Option(help="Starting frame within the episode.")] = 0,
    num_steps: Annotated[int, typer.Option(help="Number of inference steps.")] = 30,
    device: Annotated[str, typer.Option(help="Inference device (cuda, cpu, mps).")] = "cuda",
    output: Annotated[Path | None, typer.Option(help="Save predictions to .npz file.")] = None,
) -> None:
    """Validate an ACT policy against recorded dataset observations."""
    dataset = Dataset.open(dataset_dir)
    recorded = dataset.episode(episode)
    steps = select_steps(recorded, start_frame, num_steps)
    policy = open_policy(_policy_folder(policy_repo))
    check_fit(policy, dataset)
    engine = EngineChoice(device=device).load(policy)
    console.print(
        f"Episode {episode}: {recorded.length} frames, starting at frame {start_frame}, testing {len(steps)} steps",
        highlight=False,
    )
    run = run_offline(dataset, engine, recorded, steps)
    _print_report(run, engine, dataset.fps)
    if output is not None:
        run.predictions.save(output)
        console.print(f"  Predictions:        {output}", soft_wrap=True)


def _policy_folder(policy_repo: str) -> Path:
    """A local folder as it is; a Hub repository as a verified copy in the user's cache."""
    source = parse_source(policy_repo)
    if isinstance(source, Folder):
        return source.path
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lerobot-inference"
    folder = cache / policy_repo
    with progress_display() as progress:
        manifest = fetch_policy(source, folder, progress=progress)
    errors.print(f"{policy_repo}@{manifest.revision} in {folder}", soft_wrap=True)
    return folder


def _print_report(run: OfflineRun, engine: Engine, fps: float) -> None:
    """The seed's block, line for line, and below it what its figures leave out."""
    predicted, truth, t = run.predictions.predicted, run.predictions.ground_truth, run.timing
    lines = [
        f"  step {step:3d}: pred={_vector(predicted[step])}  gt={_vector(truth[step])}"
        for step in run.predictions.chunk_starts
    ]
    gain = skill(run.error.mse, run.hold_still.mse)
    against = "" if gain is None else f"; skill {gain:.3f}"
    lines += [
        "",
        RULE,
        "Inference Results",
        RULE,
        f"  Steps evaluated:    {len(predicted)}",
        f"  MSE (all joints):   {run.error.mse:.6f}",
        f"  MAE (all joints):   {run.error.mae:.6f}",
        f"  Throughput:         {run.throughput_hz:.1f} steps/s",
        f"  Realtime capable:   {'yes' if t.realtime_capable else 'no'} (need {fps:.0f} Hz)",
        "",
        f"  Engine:             {engine.name}, {engine.precision} on {engine.device}",
        f"  Policy:             MSE {run.error.mse:.2e}, MAE {run.error.mae:.2e}",
        f"  Holding still:      MSE {run.hold_still.mse:.2e}, MAE {run.hold_still.mae:.2e}{against}",
        f"  Network calls:      {t.forward.count}, forward p50 {t.forward.p50_ms:.1f} ms, "
        f"max {t.forward.max_ms:.1f} ms (cold start {t.cold_forward_ms:.1f} ms, not counted)",
        f"  Around a call:      preprocessing {t.preprocess.p50_ms:.1f} ms, postprocessing "
        f"{t.postprocess.p50_ms:.1f} ms, video decode {t.decode.p50_ms:.1f} ms (not in the throughput)",
        f"  Queue pops:         {t.queue_pop.count}, p50 {t.queue_pop.p50_ms:.3f} ms",
        f"  Slowest step:       {t.policy_step.max_ms:.1f} ms; {t.deadline_misses} of {t.policy_step.count} steps took "
        f"longer than one period ({t.deadline_ms:.1f} ms)",
    ]
    console.print("\n".join(lines), soft_wrap=True)


def _vector(values: FloatArray) -> str:
    return "[" + ", ".join(f"{value:7.3f}" for value in values) + "]"
