"""Score a policy on recorded episodes and write the results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.control import make_schedule
from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import DatasetError, EngineError, EvaluationError
from lerobot_inference.evaluation.baselines import BASELINES, BaselineInput
from lerobot_inference.evaluation.fit import check_fit, find_action_mode, select_episodes
from lerobot_inference.evaluation.metrics import ErrorSum
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.provenance import describe_provenance
from lerobot_inference.evaluation.replay import (
    AsDeployed,
    EveryFrame,
    Stopwatch,
    replay_as_deployed,
    replay_every_frame,
)
from lerobot_inference.evaluation.results import EvalResults, Failure
from lerobot_inference.evaluation.results_folder import clear_results, save_failures, save_results
from lerobot_inference.evaluation.summary import EpisodeScore, summarise
from lerobot_inference.types import ActionMode, Progress, silent


@dataclass(frozen=True)
class EvaluationPlan:
    """What to score: which episodes, as which action mode, and whether from every frame (each stride-th) too."""

    episodes: list[int]
    action_mode: ActionMode
    every_frame: bool = True
    stride: int = 1
    batch_size: int = 8

    @classmethod
    def make(
        cls,
        checkpoint: Checkpoint,
        dataset: Dataset,
        *,
        episodes: str = "all",
        action_mode: ActionMode | None = None,
        every_frame: bool = True,
        stride: int = 1,
        batch_size: int = 8,
    ) -> EvaluationPlan:
        """Check that policy and dataset fit; episodes: see `select_episodes`; action_mode: None infers it.

        Raises DatasetError when they don't, UsageError for episodes that are not understood.
        """
        check_fit(checkpoint, dataset)
        chosen = select_episodes(episodes, dataset.episode_indices)
        mode = action_mode or find_action_mode(dataset, chosen)
        return cls(chosen, mode, every_frame, stride, batch_size)


def evaluate(
    checkpoint: Checkpoint,
    dataset: Dataset,
    engine: Engine,
    output: Path,
    plan: EvaluationPlan,
    progress: Progress = silent,
) -> EvalResults:
    """Replay the chosen episodes and write `output` (CONTRACTS: results folder).

    An episode that fails is recorded in failure_cases.jsonl and the others are scored; `status` is then
    `partial`. Raises EvaluationError when no episode could be scored (the failures are on disk), StorageError.
    """
    episodes = plan.episodes
    provenance = describe_provenance(checkpoint, dataset, episodes, engine.name, engine.device)
    cold_forward_s = engine.warm_up()
    clear_results(output)
    scores, failures, stopwatch = [], [], Stopwatch()
    for done, index in enumerate(episodes):
        progress("evaluate", done, len(episodes))
        try:
            score, predictions = _score_episode(dataset.episode(index), dataset, engine, plan, stopwatch)
        except (DatasetError, EngineError) as error:
            failures.append(Failure(episode=index, kind=type(error).__name__, message=error.message))
            continue
        predictions.save(predictions_path(output, index))
        scores.append(score)
    progress("evaluate", len(episodes), len(episodes))
    save_failures(failures, output)
    if not scores:
        raise EvaluationError(
            f"none of the {len(episodes)} episodes could be scored; the first: {failures[0].message}",
            hint=f"all of them are listed in {output / 'failure_cases.jsonl'}",
        )
    results = summarise(
        scores,
        failures,
        stopwatch,
        cold_forward_s,
        spec=checkpoint.spec,
        dataset=dataset,
        action_mode=plan.action_mode,
        provenance=provenance,
    )
    save_results(results, output)
    return results


def _score_episode(
    episode: Episode,
    dataset: Dataset,
    engine: Engine,
    plan: EvaluationPlan,
    stopwatch: Stopwatch,
) -> tuple[EpisodeScore, EpisodePredictions]:
    steps = range(episode.scored_length)
    if not steps:
        raise DatasetError(f"episode {episode.index} has no recorded action to compare with")
    recorded = BaselineInput.of(episode, steps, dataset, plan.action_mode)
    truth = recorded.actions
    deployed = replay_as_deployed(episode, steps, engine, make_schedule(engine.spec), stopwatch)
    every: EveryFrame | None = None
    if plan.every_frame:
        every = replay_every_frame(episode, steps[:: plan.stride], engine, recorded, plan.batch_size)
    score = EpisodeScore(
        episode=episode.index,
        as_deployed=ErrorSum.of(deployed.predicted, truth),
        baselines=_score_baselines(recorded, deployed),
        inference_s=float(deployed.inference_times.sum()),
        forwards=len(deployed.chunk_starts),
        every_frame=every,
    )
    predictions = EpisodePredictions.of(episode, steps, deployed, every.horizon_mae if every else None)
    return score, predictions


def _score_baselines(episode: BaselineInput, deployed: AsDeployed) -> dict[str, ErrorSum]:
    """Ask each baseline at the frames at which the network was asked, and hold its answer in between."""
    asked_at = deployed.asked_at()
    return {name: ErrorSum.of(baseline(episode)[asked_at], episode.actions) for name, baseline in BASELINES.items()}
