"""Some episodes of an evaluation, scored on one of several machines: what `aggregate` puts together again.

<pieces>/<piece>/plan.json          EvaluationRecord: the same in all pieces of an evaluation
<pieces>/<piece>/piece.json         PieceRecord; where it is, the folder is a piece
<pieces>/<piece>/predictions/       as in a results folder
<pieces>/<piece>/scores/            as in a results folder, and
<pieces>/<piece>/scores/ep003.json  Failure: why an episode has no score
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.provenance import EngineSetup
from lerobot_inference.evaluation.results import PIECE_FILE, Failure, Provenance
from lerobot_inference.evaluation.resume import begin, finished_tasks, was_begun
from lerobot_inference.evaluation.stages import Perform, Stages
from lerobot_inference.evaluation.task import Outcome, Task
from lerobot_inference.files import claimed
from lerobot_inference.records import Record, load_record, save_record
from lerobot_inference.types import Progress, silent


class PieceRecord(Record):
    """piece.json: who evaluated a piece. host: a digest of the machine's name; process: its number there."""

    schema_version: Literal[1] = 1
    host: str
    process: int
    setup: EngineSetup


def evaluate_piece(
    evaluation: Evaluation,
    episodes: Sequence[int],
    setup: EngineSetup,
    provenance: Provenance,
    perform: Perform,
    progress: Progress = silent,
    *,
    resume: bool = False,
) -> list[Failure]:
    """Score these of the plan's episodes into `evaluation.output`; return what failed, which is kept there too.

    resume: go on with what is there of the same piece. Raises ConfigError when that is of another evaluation,
    StorageError, also when another process evaluates into it.
    """
    output = evaluation.output

    def perform_and_keep(tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task, outcome in zip(tasks, perform(tasks), strict=True):
            if isinstance(outcome, Failure):
                save_record(outcome, _failure_path(task, output))
            yield outcome

    with claimed(output):
        kept = {}
        if resume and was_begun(evaluation, provenance):
            kept = finished_tasks(evaluation)
        else:
            begin(evaluation, provenance)
        host = hashlib.sha256(platform.node().encode()).hexdigest()[:12]
        save_record(PieceRecord(host=host, process=os.getpid(), setup=setup), output / PIECE_FILE)
        stages = Stages(kept, perform_and_keep, progress)
        scores = stages.recorded(episodes)
        for perturbation in evaluation.plan.perturbations:
            stages.perturbed(perturbation, scores)
        return stages.failures


def load_failure(task: Task, piece: Path) -> Failure | None:
    """Why a piece has no score for a task, where it says so. Raises ConfigError when that is damaged."""
    path = _failure_path(task, piece)
    if not path.exists():
        return None
    again = "evaluate that piece again"
    return load_record(Failure, path, absent=again, damaged=again)


def _failure_path(task: Task, piece: Path) -> Path:
    """Beside where the score would be."""
    return task.score_path(piece).with_suffix(".json")
