"""The figures of eval_results.json by their paths: which there are, what they say, and which way is better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from lerobot_inference.evaluation.results import EvalResults, Interval

PER_JOINT = "per_joint_"
"""Begins the name of every list that holds one figure a joint."""

LARGER_IS_BETTER = frozenset(
    {
        "skill",
        "per_joint_skill",
        "direction_cosine",
        "spectral_arc_length",
        "aggregate_throughput_hz",
        "end_to_end_fps",
        "episodes_evaluated",
    }
)
"""Last keys of the paths whose figure should be large; of every other figure a smaller one is better."""

WALL_TIMES = frozenset({"timing", "aggregate_throughput_hz", "aggregate_avg_inference_ms"})
"""First keys of the paths that lead to a measured wall time."""


@dataclass(frozen=True)
class Found:
    """What is at a path. figures: joint -> value, or "" -> the only one; without those that are null.

    missing: why there are no figures; empty where there are.
    """

    figures: Mapping[str, float]
    missing: str = ""


def is_figure(path: str) -> bool:
    """Whether a dotted path leads to a figure or an interval of eval_results.json, or to a list with one a joint."""
    return _leads_to_figure(EvalResults, _keys(path))


def look_up(results: EvalResults, path: str) -> Found:
    """The figure, or one for each joint, at a path that `is_figure`; of an interval its better end.

    So a rule on an interval fails only where the figure is worse than the limit beyond doubt.
    """
    value: Any = results
    walked: list[str] = []
    for key in _keys(path):
        walked.append(key)
        value = value.get(key) if isinstance(value, dict) else getattr(value, key)
        if value is None:
            return Found({}, results.reasons.get(".".join(walked), "missing from these results"))
    if not isinstance(value, list):
        return Found({"": _figure(value, path)})
    names = results.joint_names
    if len(value) != len(names):
        return Found({}, f"damaged: {len(value)} figures for {len(names)} joints")
    labels = (f"{name} [{index}]" if names.count(name) > 1 else name for index, name in enumerate(names))
    known = {label: _figure(each, path) for label, each in zip(labels, value, strict=True) if each is not None}
    return Found(known, "" if known else "null for every joint")


def larger_is_better(path: str) -> bool:
    """Which way a figure gets better, by `LARGER_IS_BETTER`."""
    return path.rpartition(".")[2] in LARGER_IS_BETTER


def is_wall_time(path: str) -> bool:
    """Whether a figure depends on how busy the machine was, by `WALL_TIMES`."""
    return path.partition(".")[0] in WALL_TIMES


def _figure(value: float | tuple[float, float], path: str) -> float:
    if not isinstance(value, tuple):
        return float(value)
    return max(value) if larger_is_better(path) else min(value)


def _keys(path: str) -> list[str]:
    """The keys of a dotted path; a dot before a digit is part of a number: robustness.exposure:0.7.mse_ratio."""
    return re.split(r"\.(?!\d)", path)


def _leads_to_figure(annotation: object, path: list[str], name: str = "") -> bool:
    """Whether `path` leads from a type of the schema, that of field `name`, to a number by way of models and dicts."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _leads_to_figure(arguments[0], path, name)
    if origin in (Union, UnionType):
        return any(_leads_to_figure(option, path, name) for option in arguments)
    if not path:
        if origin is list and name.startswith(PER_JOINT):
            return _leads_to_figure(arguments[0], [])
        return annotation in (int, float) or annotation is Interval
    key, *rest = path
    if origin is dict:
        keys, values = arguments
        return (keys is str or key in get_args(keys)) and _leads_to_figure(values, rest, key)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(key)
        return field is not None and _leads_to_figure(field.annotation, rest, key)
    return False
