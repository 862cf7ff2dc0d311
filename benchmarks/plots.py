"""What the report of an evaluation costs, beside the evaluation itself.

    .venv/bin/python benchmarks/plots.py [--quick]

100 episodes: the demo's ten, ten times over, evaluated by its policy under both protocols as `evaluate` does by
default, then drawn and written as a page as `plot` does without a dataset. Neither counts Python's start; starting
engines and drawing processes counts.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from claim import Claim, run
from episode import demo

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.base import available_cores
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.predictions import predictions_path
from lerobot_inference.evaluation.results_folder import load_results, save_failures, save_results
from lerobot_inference.evaluation.workers import evaluate_with_workers
from lerobot_inference.report.drawing import Drawing
from lerobot_inference.report.page import write_report

TIMES_OVER, QUICK_TIMES_OVER = 10, 2
ROUNDS = 3
HIGHEST_SHARE = 0.5


def measure(quick: bool) -> Iterable[Claim]:
    """Evaluate and report in turns; print, and claim the report's share."""
    recorded, trained = demo()
    dataset, policy = Dataset.open(recorded), Checkpoint.open(trained)
    once = EvaluationPlan.make(policy, dataset)
    plan = replace(once, episodes=once.episodes * (QUICK_TIMES_OVER if quick else TIMES_OVER))
    choice = EngineChoice("auto", "cpu")
    evaluating, drawing, alone = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        few, many, report = (Path(scratch, name) for name in ("few", "many", "report"))
        evaluate_with_workers(policy, dataset, choice, few, once)
        repeat(few, many, len(plan.episodes))
        for _ in range(1 if quick else ROUNDS):
            target = Path(scratch, "evaluated")
            evaluating.append(seconds(lambda: evaluate_with_workers(policy, dataset, choice, target, plan)))  # noqa: B023
            drawing.append(seconds(lambda: write_report(many, report)))
            alone.append(seconds(lambda: in_one_process(few, report)) / len(once.episodes))
        pictures = len(list((report / "plots").rglob("*.png")))
        of_an_episode = len(list((report / "plots" / "episode_000").iterdir()))
    evaluate_s, draw_s, alone_s = (statistics.median(times) for times in (evaluating, drawing, alone))
    share = draw_s / (draw_s + evaluate_s)
    print(f"\n{len(plan.episodes)} episodes, median of {len(drawing)}")
    print(f"evaluate, both protocols      {evaluate_s:>8.2f} s")
    print(f"plot, {pictures} pictures, a page    {draw_s:>8.2f} s   {share:.0%} of both")
    print(f"plots a second, {available_cores()} cores       {pictures / draw_s:>8.2f}")
    print(f"plots a second, one process   {of_an_episode / alone_s:>8.2f}   (an episode's, once matplotlib is there)")
    yield Claim(
        f"{pictures} pictures and the page of {len(plan.episodes)} episodes, beside the demo policy's evaluation",
        f"{pictures / draw_s:.1f} pictures a second; {share:.0%} of evaluate and plot together",
        f"<= {HIGHEST_SHARE:.0%}",
        share <= HIGHEST_SHARE,
    )


def repeat(folder: Path, output: Path, episodes: int) -> None:
    """Write results of so many episodes: those in `folder` again and again, under numbers of their own."""
    results = load_results(folder)
    ours = [results.per_episode[number % len(results.per_episode)] for number in range(episodes)]
    for number, episode in enumerate(ours):
        copy = predictions_path(output, number)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(predictions_path(folder, episode.episode), copy)
    renumbered = [episode.model_copy(update={"episode": number}) for number, episode in enumerate(ours)]
    save_failures([], output)
    save_results(results.model_copy(update={"per_episode": renumbered, "episodes_evaluated": episodes}), output)


def in_one_process(folder: Path, report: Path) -> None:
    """Draw the episodes of `folder` here, and not its run."""
    with tempfile.TemporaryDirectory(dir=report) as scratch:
        drawing = Drawing(folder, Path(scratch))
        for place in range(len(load_results(folder).per_episode)):
            drawing.draw_episode(place)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    run(__file__, __doc__, measure, "one round of 20 episodes")
