"""The gate: rules about an evaluation's figures in, a verdict with a reason for each rule out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.records import Figure, Record, first_problem

Side = Literal["max", "min"]


class GateRules(Record):
    """What a policy must reach: limits on figures of eval_results.json, each named by its path in that file.

    max: path -> the largest value that passes; min: path -> the smallest. A path joins the keys with dots:
    `aggregate_mae`, `protocols.as_deployed.skill`, `timing.policy_step.p99_ms`.
    """

    max: dict[str, Figure] = Field(default_factory=dict)
    min: dict[str, Figure] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_known_rules(self) -> GateRules:
        if not self.max and not self.min:
            raise ValueError("there are no rules; a gate that lets everything pass is not a gate")
        for side, metric, _ in self.each():
            if not _is_figure(EvalResults, metric.split(".")):
                raise ValueError(f"{side}.{metric} is not a figure of eval_results.json")
        return self

    def each(self) -> Iterator[tuple[Side, str, float]]:
        """(side, metric, limit) of every rule."""
        yield from (("max", metric, limit) for metric, limit in self.max.items())
        yield from (("min", metric, limit) for metric, limit in self.min.items())


class RuleOutcome(Record):
    """One rule, applied. value: the figure; null when it is missing, null or NaN, and `reason` says which."""

    rule: Side
    metric: str
    limit: Figure
    value: Figure | None
    passed: bool
    reason: str


class GateVerdict(Record):
    """What follows from the rules.

    reject: a rule failed. promote: all passed, and there is no champion or its MAE is larger. keep: all passed,
    and the champion stays.
    """

    verdict: Literal["promote", "keep", "reject"]
    reason: str
    rules: list[RuleOutcome]


def default_rules() -> GateRules:
    """The rules of `pipelines/gate.yaml`, for when no file is given. Radians per step; skill has no unit."""
    return GateRules(
        max={"aggregate_mae": 0.01},
        min={"episodes_evaluated": 1, "protocols.as_deployed.skill": 0.1},
    )


def load_rules(path: Path) -> GateRules:
    """Read a rules file. Raises ConfigError naming the file and the key."""
    try:
        return GateRules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {first_problem(error)}",
            hint="a rules file has `max:` and `min:`, each mapping a figure of eval_results.json to its limit",
        ) from error


def judge(results: EvalResults, rules: GateRules, champion_mae: float | None) -> GateVerdict:
    """Apply every rule, then compare with the champion (None: there is none yet)."""
    outcomes = [check_rule(side, metric, limit, *_look_up(results, metric)) for side, metric, limit in rules.each()]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        reasons = "; ".join(outcome.reason for outcome in failed)
        return GateVerdict(verdict="reject", reason=reasons, rules=outcomes)
    if champion_mae is None:
        return GateVerdict(verdict="promote", reason="every rule passed; there is no champion yet", rules=outcomes)
    mae = results.aggregate_mae
    if mae < champion_mae:
        reason = f"every rule passed; MAE {mae:.4g} beats the champion's {champion_mae:.4g}"
        return GateVerdict(verdict="promote", reason=reason, rules=outcomes)
    reason = f"every rule passed; MAE {mae:.4g} is no better than the champion's {champion_mae:.4g}"
    return GateVerdict(verdict="keep", reason=reason, rules=outcomes)


def check_rule(side: Side, metric: str, limit: float, value: float | None, why_missing: str = "missing") -> RuleOutcome:
    """Apply one rule; the limit itself passes. A missing value fails with `why_missing`, NaN always fails."""
    if value is None or math.isnan(value):
        reason = f"{metric} is {'NaN' if value is not None else why_missing}"
        return RuleOutcome(rule=side, metric=metric, limit=limit, value=None, passed=False, reason=reason)
    passed = value <= limit if side == "max" else value >= limit
    relation = {("max", True): "<=", ("max", False): ">", ("min", True): ">=", ("min", False): "<"}[side, passed]
    shown = value if math.isfinite(value) else None
    reason = f"{metric} {value:.4g} {relation} {limit:.4g}"
    return RuleOutcome(
        rule=side, metric=metric, limit=limit, value=shown, passed=passed and shown is not None, reason=reason
    )


def _look_up(results: EvalResults, metric: str) -> tuple[float | None, str]:
    """The figure at a dotted path, or None and why it isn't there."""
    value: Any = results
    path = []
    for key in metric.split("."):
        path.append(key)
        value = value.get(key) if isinstance(value, dict) else getattr(value, key)
        if value is None:
            return None, results.reasons.get(".".join(path), "missing from these results")
    return float(value), ""


def _is_figure(annotation: object, path: list[str]) -> bool:
    """Whether `path` leads from a type of the results schema to a number, by way of models and dicts."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_figure(arguments[0], path)
    if origin in (Union, UnionType):
        return any(_is_figure(option, path) for option in arguments)
    if not path:
        return annotation in (int, float)
    key, *rest = path
    if origin is dict:
        keys, values = arguments
        return (keys is str or key in get_args(keys)) and _is_figure(values, rest)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(key)
        return field is not None and _is_figure(field.annotation, rest)
    return False
