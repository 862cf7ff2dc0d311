"""All that the results need of one episode, in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.evaluation.arrays import Arrays, load_arrays, not_arrays, save_arrays
from lerobot_inference.evaluation.metrics import ProtocolScore
from lerobot_inference.evaluation.replay import Stopwatch
from lerobot_inference.evaluation.safety_replay import SafetyScore


@dataclass(frozen=True)
class EpisodeScore:
    """One episode's sums. every_frame: None where that was not asked for. times: of its as-deployed run.

    safety: None where the commands can't be replayed, and for a run under a perturbation. workers: processes that
    shared the machine meanwhile.
    """

    episode: int
    as_deployed: ProtocolScore
    every_frame: ProtocolScore | None
    times: Stopwatch
    safety: SafetyScore | None = None
    workers: int = 1

    def save(self, path: Path) -> None:
        """Write one .npz, atomically: a number or array is named by its way through the fields. Raises StorageError."""
        save_arrays(path, dict(_flatten("score", self)))

    @classmethod
    def load(cls, path: Path) -> EpisodeScore:
        """Read what `save` wrote, to the last bit. Raises ConfigError when it is missing, damaged or lacks an array."""
        arrays = load_arrays(path, "an episode's score")
        try:
            score: EpisodeScore = _build(cls, "score", arrays)
        except KeyError as error:
            raise not_arrays(path, "an episode's score", error) from error
        return score


def _flatten(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:  # noqa: ANN401
    """Yield (name/field/field, array) for all that is in nested dataclasses and dicts; None is left out."""
    if value is None:
        return
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flatten(f"{name}/{key}", part)
    else:
        yield name, np.asarray(value, None if isinstance(value, np.ndarray | int | str) else np.float64)


def _build(kind: Any, name: str, arrays: Arrays) -> Any:  # noqa: ANN401
    """Put together again what `_flatten` took apart: a value of type `kind`. Raises KeyError when a part is missing."""
    if NoneType in get_args(kind):
        if not any(key.startswith(f"{name}/") for key in arrays):
            return None
        kind = get_args(kind)[0]
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{field: _build(part, f"{name}/{field}", arrays) for field, part in get_type_hints(kind).items()})
    if get_origin(kind) is dict:
        keys = dict.fromkeys(key[len(name) + 1 :].split("/")[0] for key in arrays if key.startswith(f"{name}/"))
        return {key: _build(get_args(kind)[1], f"{name}/{key}", arrays) for key in keys}
    if kind in (int, float, str) or get_origin(kind) is list:
        return arrays[name].tolist()
    return arrays[name]
