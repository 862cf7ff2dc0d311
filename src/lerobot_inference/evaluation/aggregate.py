"""Put the pieces of an evaluation together: the results folder that one machine would have written."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lerobot_inference.checkpoint import Policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import ConfigError, UsageError
from lerobot_inference.evaluation.evaluate import run
from lerobot_inference.evaluation.pieces import PieceRecord, load_failure
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.predictions import predictions_path
from lerobot_inference.evaluation.provenance import describe_provenance
from lerobot_inference.evaluation.results import PIECE_FILE, PLAN_FILE, EvalResults
from lerobot_inference.evaluation.resume import EvaluationRecord
from lerobot_inference.evaluation.task import Outcome, Task
from lerobot_inference.files import atomic_write
from lerobot_inference.records import load_record
from lerobot_inference.types import Progress, silent

MISSING_PIECE = "missing_piece"
ONE_EVALUATION = "give the folder that holds the pieces of one evaluation, and the policy and dataset it was made with"


def aggregate(policy: Policy, dataset: Dataset, pieces: Path, output: Path, progress: Progress = silent) -> EvalResults:
    """Collect what lies in the folders of `pieces` into `output`, and sum it up as `evaluate` does.

    All but wall times, `created`, the command line and the number of workers is as if one process had done it all. An
    episode that no piece has is recorded in failure_cases.jsonl, and `status` is then `partial`.
    Raises ConfigError when there is no piece, or one is of another evaluation, policy or dataset; EvaluationError when
    no episode was scored; UsageError for an output in a piece; StorageError.
    """
    found = [_Piece.load(path.parent) for path in sorted(pieces.glob(f"*/{PIECE_FILE}"))]
    if not found:
        raise ConfigError(f"{pieces} holds no piece of an evaluation", hint=ONE_EVALUATION)
    if any(output.resolve().is_relative_to(piece.folder.resolve()) for piece in found):
        raise UsageError(f"--output {output} is a piece itself, or in one", hint="choose another folder")
    first = found[0]
    plan, setup = first.plan.plan, replace(first.piece.setup, workers=_side_by_side(found), processor=_processor(found))
    provenance = describe_provenance(policy, dataset, plan.episodes, setup).model_copy(
        update={"versions": first.plan.versions, "machine": first.plan.machine}
    )
    expected = EvaluationRecord.of(plan, provenance)
    for piece in found:
        piece.plan.require_same(expected, piece.folder / PLAN_FILE, ONE_EVALUATION)
    evaluation = Evaluation(policy, dataset, plan, output)
    return run(evaluation, provenance, setup.cold_forward_s, _Collection(found, output), progress)


@dataclass(frozen=True)
class _Piece:
    folder: Path
    plan: EvaluationRecord
    piece: PieceRecord

    @classmethod
    def load(cls, folder: Path) -> _Piece:
        piece = load_record(PieceRecord, folder / PIECE_FILE, absent=ONE_EVALUATION, damaged=ONE_EVALUATION)
        return cls(folder, EvaluationRecord.load(folder / PLAN_FILE, ONE_EVALUATION), piece)


def _side_by_side(pieces: Sequence[_Piece]) -> int:
    """The most engines that one machine had."""
    processes = {(each.piece.host, each.piece.process): each.piece.setup.workers for each in pieces}
    of_host: dict[str, int] = defaultdict(int)
    for (host, _), workers in processes.items():
        of_host[host] += workers
    return max(of_host.values())


def _processor(pieces: Sequence[_Piece]) -> str:
    """That of them all, or nothing."""
    found = {each.piece.setup.processor for each in pieces}
    return found.pop() if len(found) == 1 else ""


@dataclass(frozen=True)
class _Collection:
    """A Perform that looks for each outcome in the pieces."""

    pieces: Sequence[_Piece]
    output: Path

    def __call__(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        return (self._collect(task) for task in tasks)

    def _collect(self, task: Task) -> Outcome:
        """A score in any piece, and its files into the results folder; else why there is none."""
        outcome = task.failure(MISSING_PIECE, "no piece has it: what evaluated it ended before it was done")
        for piece in self.pieces:
            try:
                if task.score_path(piece.folder).exists():
                    score = task.load(piece.folder)
                    self._copy(task, piece.folder)
                    return score
            except ConfigError as error:
                outcome = task.failure(MISSING_PIECE, error.message)
            outcome = load_failure(task, piece.folder) or outcome
        return outcome

    def _copy(self, task: Task, piece: Path) -> None:
        paths = [(task.score_path(piece), task.score_path(self.output))]
        if not task.perturbation:
            paths.insert(0, (predictions_path(piece, task.episode), predictions_path(self.output, task.episode)))
        for source, target in paths:
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)
