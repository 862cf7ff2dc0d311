"""Write the results folder, and read it back trusting nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results import (
    FAILURES_FILE,
    PIECE_FILE,
    PLAN_FILE,
    PREDICTIONS_FOLDER,
    PROVENANCE_FILE,
    RECORDINGS_FOLDER,
    RESULTS_FILE,
    SCORES_FOLDER,
    EpisodeResult,
    EvalResults,
    Failure,
)
from lerobot_inference.files import atomic_write, storage_errors
from lerobot_inference.records import load_record, save_record

RUN_AGAIN = "run evaluate again to write it"


def save_results(results: EvalResults, folder: Path) -> None:
    """Write provenance.json, then eval_results.json: where the latter is, the folder is complete.

    Raises StorageError.
    """
    save_record(results.provenance, folder / PROVENANCE_FILE)
    save_record(results, folder / RESULTS_FILE)


def save_failures(failures: Sequence[Failure], folder: Path) -> None:
    """Write failure_cases.jsonl, one line a failure; empty when nothing failed. Raises StorageError."""
    with atomic_write(folder / FAILURES_FILE) as temporary:
        temporary.write_text("".join(f"{failure.model_dump_json()}\n" for failure in failures), encoding="utf-8")


def load_results(folder: Path) -> EvalResults:
    """Read eval_results.json. Raises ConfigError naming the file and the first field that is wrong."""
    path = folder / RESULTS_FILE
    absent = "give the folder that `lerobot-inference evaluate` wrote"
    results = load_record(EvalResults, path, absent=absent, damaged=RUN_AGAIN)
    _check_consistent(results, path)
    return results


def load_predictions(folder: Path, results: EvalResults, episode: EpisodeResult) -> EpisodePredictions:
    """Read one episode's predictions, all arrays as long as `episode` says and finite.

    Raises ConfigError naming the file and array.
    """
    path = predictions_path(folder, episode.episode)
    data = EpisodePredictions.load(path)
    steps, joints = episode.steps, len(results.joint_names)
    expected = {
        "predicted": (steps, joints),
        "ground_truth": (steps, joints),
        "states": (steps, *data.states.shape[1:2]),
        "inference_times": (steps,),
        "timestamps": (steps,),
        "frames": (steps,),
        "chunk_starts": data.chunk_starts.shape[:1],
        "horizon_mae": data.horizon_mae.shape[:1],
        "safety": (steps,) if len(data.safety) else (0,),
    }
    for name, shape in expected.items():
        array = getattr(data, name)
        if array.shape != shape:
            raise ConfigError(f"{path}: {name} has shape {array.shape}, expected {shape}", hint=RUN_AGAIN)
        if not np.isfinite(array).all():
            raise ConfigError(f"{path}: {name} holds a NaN or an infinity", hint=RUN_AGAIN)
    starts = data.chunk_starts
    if not len(starts) or starts[0] != 0 or starts[-1] >= steps or np.any(np.diff(starts) <= 0):
        raise ConfigError(f"{path}: chunk_starts must rise from 0 and stay below {steps} steps", hint=RUN_AGAIN)
    return data


def _check_consistent(results: EvalResults, path: Path) -> None:
    """Raise ConfigError when parts of the file contradict each other."""
    joints = len(results.joint_names)
    if "as_deployed" not in results.protocols:
        raise ConfigError(f"{path}: protocols.as_deployed is missing", hint=RUN_AGAIN)
    if len(results.per_episode) != results.episodes_evaluated or not results.per_episode:
        raise ConfigError(
            f"{path}: episodes_evaluated is {results.episodes_evaluated}, per_episode lists {len(results.per_episode)}",
            hint=RUN_AGAIN,
        )
    for field, figures in _per_joint(results):
        if len(figures) != joints:
            raise ConfigError(f"{path}: {field} has {len(figures)} figures for {joints} joints", hint=RUN_AGAIN)


def _per_joint(value: object, path: str = "") -> Iterator[tuple[str, Sequence[object]]]:
    """The path of each list that holds one figure a joint, and the list."""
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, BaseModel):
        parts = ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for name, part in parts:
        where = f"{path}.{name}".removeprefix(".")
        if isinstance(part, list) and str(name).startswith("per_joint_"):
            yield where, part
        else:
            yield from _per_joint(part, where)


def clear_results(folder: Path) -> None:
    """Remove what an earlier evaluation wrote, and nothing else, so that a failed run can't be mistaken for it.

    plan.json goes last: as long as it is there, what is left of the scores is of that plan. Raises StorageError.
    """
    clear_figures(folder)
    with storage_errors(folder):
        for name in (PREDICTIONS_FOLDER, SCORES_FOLDER):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        for name in (PIECE_FILE, PLAN_FILE):
            (folder / name).unlink(missing_ok=True)


def clear_figures(folder: Path) -> None:
    """Remove what was summed up from scores, and leave those. Raises StorageError."""
    with storage_errors(folder):
        for name in (RESULTS_FILE, PROVENANCE_FILE, FAILURES_FILE):
            (folder / name).unlink(missing_ok=True)
        if (folder / RECORDINGS_FOLDER).is_dir():
            shutil.rmtree(folder / RECORDINGS_FOLDER)
