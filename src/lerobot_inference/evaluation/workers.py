"""Evaluate several episodes at the same time, in processes that have an engine each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from lerobot_inference.checkpoint import Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.base import Engine, available_cores, thread_count
from lerobot_inference.errors import EvaluationError, UsageError
from lerobot_inference.evaluation.evaluate import run
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan
from lerobot_inference.evaluation.provenance import EngineSetup, describe_provenance
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.stages import Perform, in_this_process
from lerobot_inference.evaluation.task import Outcome, Task
from lerobot_inference.processes import worker_processes
from lerobot_inference.types import Progress, silent


def evaluate_with_workers(
    policy: Policy,
    dataset: Dataset,
    choice: EngineChoice,
    output: Path,
    plan: EvaluationPlan,
    workers: int | None = None,
    progress: Progress = silent,
    *,
    resume: bool = False,
) -> EvalResults:
    """Do as `evaluate` does, with an engine in each of `workers` processes; None: see `share_cores`.

    All but the times is what one process gives with engines of as many threads. One worker is this process.
    Raises as `evaluate` does, UsageError for workers that can't be, EvaluationError when a worker dies.
    """
    evaluation = Evaluation(policy, dataset, plan, output)
    with engines(evaluation, choice, workers, len(plan.episodes)) as (setup, perform):
        provenance = describe_provenance(policy, dataset, plan.episodes, setup)
        return run(evaluation, provenance, setup.cold_forward_s, perform, progress, resume=resume)


@contextmanager
def engines(
    evaluation: Evaluation, choice: EngineChoice, workers: int | None, episodes: int
) -> Iterator[tuple[EngineSetup, Perform]]:
    """Load an engine for each worker, and yield what they are and what performs tasks with them.

    Raises UsageError for workers that can't be, EvaluationError when a worker dies.
    """
    choice, workers = share_cores(choice, workers, episodes)
    if workers == 1:
        engine = choice.load(evaluation.policy)
        yield EngineSetup.warm_up(engine), in_this_process(evaluation, engine)
    else:
        with _pool(workers, replace(evaluation, workers=workers), choice) as pool:
            setup = pool.submit(_set_up).result()
            yield replace(setup, workers=workers), partial(pool.map, _perform)


def share_cores(choice: EngineChoice, workers: int | None, episodes: int) -> tuple[EngineChoice, int]:
    """Return how many workers there will be, and the engine of each with its share of the cores as threads.

    workers: None is as many as the cores have room for engines; never more than there are episodes.
    Raises UsageError for several workers on another device than the CPU, whose one engine already fills it.
    """
    if choice.device != "cpu":
        if workers not in (None, 1):
            raise UsageError(
                f"--workers is {workers} and --device is {choice.device}: several engines share a CPU alone",
                hint="leave --workers out, or pass --device cpu",
            )
        return choice, 1
    cores = available_cores()
    if workers is None:
        workers = cores // thread_count(choice.threads)
    workers = max(1, min(workers, episodes))
    if workers == 1:
        return choice, 1
    share = min(thread_count(None), max(1, cores // workers))
    return replace(choice, threads=choice.threads or share), workers


def _pool(workers: int, evaluation: Evaluation, choice: EngineChoice) -> AbstractContextManager[ProcessPoolExecutor]:
    died = EvaluationError(
        f"one of {workers} worker processes died: it was killed, or the memory was used up",
        hint="run with fewer --workers: each has an engine of its own",
    )
    return worker_processes(workers, died, _begin, evaluation, choice)


@dataclass(frozen=True)
class _Worker:
    """What a worker process works with; its engine is built by the first task, which can say what is wrong."""

    evaluation: Evaluation
    choice: EngineChoice

    @cached_property
    def ready(self) -> tuple[Engine, EngineSetup]:
        engine = self.choice.load(self.evaluation.policy)
        return engine, EngineSetup.warm_up(engine)


_worker: _Worker  # in a worker process


def _begin(evaluation: Evaluation, choice: EngineChoice) -> None:
    """Prepare a worker process."""
    global _worker
    _worker = _Worker(evaluation, choice)


def _set_up() -> EngineSetup:
    return _worker.ready[1]


def _perform(task: Task) -> Outcome:
    return task.perform(_worker.evaluation, _worker.ready[0])
