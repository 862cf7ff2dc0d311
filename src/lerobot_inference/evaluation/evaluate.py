"""Score a policy on recorded episodes and write the results folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lerobot_inference.checkpoint import Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import ConfigError, EvaluationError
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import Spread
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan
from lerobot_inference.evaluation.provenance import EngineSetup, describe_provenance
from lerobot_inference.evaluation.results import FAILURES_FILE, EvalResults, Failure, PerturbedResult, Provenance
from lerobot_inference.evaluation.results_folder import clear_figures, load_results, save_failures, save_results
from lerobot_inference.evaluation.resume import begin, finished_tasks, was_begun
from lerobot_inference.evaluation.robustness import compare_perturbed
from lerobot_inference.evaluation.safety_replay import GuardedArm
from lerobot_inference.evaluation.safety_summary import pool_safety, stops
from lerobot_inference.evaluation.stages import Perform, Stages, in_this_process
from lerobot_inference.evaluation.summary import summarise, worst_cases
from lerobot_inference.evaluation.task import Task, all_tasks
from lerobot_inference.files import claimed
from lerobot_inference.types import Progress, silent


def evaluate(
    policy: Policy,
    dataset: Dataset,
    engine: Engine,
    output: Path,
    plan: EvaluationPlan,
    progress: Progress = silent,
    *,
    resume: bool = False,
) -> EvalResults:
    """Replay the chosen episodes in this process and write `output` (CONTRACTS: results folder).

    An episode that fails is recorded in failure_cases.jsonl and the others are scored; `status` is then
    `partial`. resume: go on with what an interrupted run of the same evaluation left in `output`; episodes that
    failed are tried again. Scores are kept in `output` for good, so that any evaluation can be resumed.
    Raises EvaluationError when no episode could be scored (the failures are on disk), ConfigError when `output` is
    of another evaluation than the one to be resumed, StorageError, also when another process evaluates into `output`.
    """
    evaluation = Evaluation(policy, dataset, plan, output)
    setup = EngineSetup.warm_up(engine)
    provenance = describe_provenance(policy, dataset, plan.episodes, setup)
    perform = in_this_process(evaluation, engine)
    return run(evaluation, provenance, setup.cold_forward_s, perform, progress, resume=resume)


def run(
    evaluation: Evaluation,
    provenance: Provenance,
    cold_forward_s: float,
    perform: Perform,
    progress: Progress,
    *,
    resume: bool = False,
) -> EvalResults:
    """Have all that is not yet finished performed, and write the results. Raises as `evaluate` does."""
    with claimed(evaluation.output):
        return _run(evaluation, provenance, cold_forward_s, perform, progress, resume=resume)


def _run(
    evaluation: Evaluation,
    provenance: Provenance,
    cold_forward_s: float,
    perform: Perform,
    progress: Progress,
    *,
    resume: bool,
) -> EvalResults:
    plan, output = evaluation.plan, evaluation.output
    kept: dict[Task, EpisodeScore] = {}
    if resume and was_begun(evaluation, provenance):
        kept = finished_tasks(evaluation)
        if len(kept) == len(all_tasks(plan)):
            with suppress(ConfigError):  # not there yet, or damaged: summed up again
                return load_results(output)
        clear_figures(output)
    else:
        begin(evaluation, provenance)
    stages = Stages(kept, perform, progress)
    scores = stages.recorded(plan.episodes)
    if not scores:
        save_failures(stages.failures, output)
        raise _nothing_scored(stages.failures, output)
    # Also of the processes whose scores were kept: their wall times are among the figures.
    workers = max(provenance.workers, *(score.workers for score in scores))
    provenance = provenance.model_copy(update={"workers": workers})
    robustness, reasons = _robustness(evaluation, stages, scores)
    safety_replay, why_not = pool_safety(scores, GuardedArm.of(evaluation.policy, evaluation.dataset, plan))
    results = summarise(
        scores,
        stages.failures,
        cold_forward_s,
        spec=evaluation.policy.spec,
        dataset=evaluation.dataset,
        action_mode=plan.action_mode,
        provenance=provenance,
        robustness=robustness,
        safety_replay=safety_replay,
    )
    results = results.model_copy(update={"reasons": results.reasons | reasons | why_not})
    save_failures([*stages.failures, *stops(scores), *worst_cases(results)], output)
    save_results(results, output)
    return results


def _robustness(
    evaluation: Evaluation, stages: Stages, scores: Sequence[EpisodeScore]
) -> tuple[dict[str, PerturbedResult], dict[str, str]]:
    """Perturbation -> its figures, over the episodes with a score without it; and why one has none."""
    spread = Spread.of(evaluation.dataset)
    results, reasons = {}, {}
    for perturbation in evaluation.plan.perturbations:
        perturbed = stages.perturbed(perturbation, scores)
        if perturbed:
            results[perturbation.name] = compare_perturbed(perturbed, scores, spread)
        else:
            reasons[f"robustness.{perturbation.name}"] = f"no episode could be scored {stages.failures[-1].message}"
    return results, reasons


def _nothing_scored(failures: Sequence[Failure], output: Path) -> EvaluationError:
    """Say what is wrong, once where it is the same everywhere: then it is the policy, or the dataset as a whole."""
    same = len({failure.message for failure in failures}) == 1
    why = f"{'all for the same reason' if same else 'the first'}: {failures[0].message}"
    return EvaluationError(
        f"none of the {len(failures)} episodes could be scored, {why}",
        hint=f"all of them are listed in {output / FAILURES_FILE}",
    )
