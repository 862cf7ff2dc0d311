"""Score a policy on recorded episodes and write the results folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lerobot_inference.checkpoint import Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import EvaluationError
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan
from lerobot_inference.evaluation.provenance import EngineSetup, describe_provenance
from lerobot_inference.evaluation.results import EvalResults, Failure
from lerobot_inference.evaluation.results_folder import clear_results, save_failures, save_results
from lerobot_inference.evaluation.score import Outcome, score_episode
from lerobot_inference.evaluation.summary import summarise, worst_cases
from lerobot_inference.types import Progress, silent


def evaluate(
    policy: Policy,
    dataset: Dataset,
    engine: Engine,
    output: Path,
    plan: EvaluationPlan,
    progress: Progress = silent,
) -> EvalResults:
    """Replay the chosen episodes in this process and write `output` (CONTRACTS: results folder).

    An episode that fails is recorded in failure_cases.jsonl and the others are scored; `status` is then
    `partial`. Raises EvaluationError when no episode could be scored (the failures are on disk), StorageError.
    """
    evaluation = Evaluation(policy, dataset, plan, output)
    setup = EngineSetup.warm_up(engine)
    return run(evaluation, setup, (score_episode(evaluation, engine, index) for index in plan.episodes), progress)


def run(evaluation: Evaluation, setup: EngineSetup, outcomes: Iterator[Outcome], progress: Progress) -> EvalResults:
    """Take the outcome of each episode, in the plan's order, and write the results.

    `outcomes` begins to work when it is first asked, which is when the results folder is clear.
    Raises as `evaluate` does.
    """
    dataset, plan, output = evaluation.dataset, evaluation.plan, evaluation.output
    provenance = describe_provenance(evaluation.policy, dataset, plan.episodes, setup)
    clear_results(output)
    scores: list[EpisodeScore] = []
    failures: list[Failure] = []
    total = len(plan.episodes)
    progress("evaluate", 0, total)
    for done, outcome in enumerate(outcomes, start=1):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            scores.append(outcome)
        progress("evaluate", done, total)
    save_failures(failures, output)
    if not scores:
        raise EvaluationError(
            f"none of the {total} episodes could be scored; the first: {failures[0].message}",
            hint=f"all of them are listed in {output / 'failure_cases.jsonl'}",
        )
    results = summarise(
        scores,
        failures,
        setup.cold_forward_s,
        spec=evaluation.policy.spec,
        dataset=dataset,
        action_mode=plan.action_mode,
        provenance=provenance,
    )
    save_failures([*failures, *worst_cases(results)], output)
    save_results(results, output)
    return results
