"""Rules about an evaluation's figures: what a rules file may say, and each rule applied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.figures import Found, is_figure, is_wall_time, larger_is_better, look_up
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.records import Figure, Record, first_problem

RuleKind = Literal["max", "min", "max_regression"]
Limit = Annotated[Figure, Field(ge=0)]


class GateRules(Record):
    """What a policy must reach: limits on figures of eval_results.json, each named by its path in that file.

    A path joins the keys with dots: `aggregate_mae`, `protocols.as_deployed.skill`, `timing.policy_step.p99_ms`. Where
    it leads to a list with one figure a joint (`protocols.as_deployed.per_joint_skill`), every joint must pass. Of an
    interval (`protocols.as_deployed.intervals.per_joint_skill`) the better end counts: it fails only beyond doubt.

    max: path -> the largest value that passes; min: path -> the smallest. max_regression: path -> how much worse than
    the champion's a figure may be, as a fraction of the champion's.
    """

    max: dict[str, Figure] = Field(default_factory=dict)
    min: dict[str, Figure] = Field(default_factory=dict)
    max_regression: dict[str, Limit] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_known_rules(self) -> GateRules:
        rules = list(self.each())
        if not rules:
            raise ValueError("there are no rules; a gate that lets everything pass is not a gate")
        for kind, metric, _ in rules:
            if not is_figure(metric):
                raise ValueError(f"{kind}.{metric} is not a figure of eval_results.json")
        return self

    def each(self) -> Iterator[tuple[RuleKind, str, float]]:
        """(kind, metric, limit) of every rule."""
        yield from (("max", metric, limit) for metric, limit in self.max.items())
        yield from (("min", metric, limit) for metric, limit in self.min.items())
        yield from (("max_regression", metric, limit) for metric, limit in self.max_regression.items())


class RuleOutcome(Record):
    """One rule, applied.

    value: the figure, of the worst joint where there is one a joint; for max_regression how much worse than the
    champion's it is, as a fraction of that (negative: better). null: there is no figure, and the rule failed, or there
    is no champion to compare with, and the rule was not applied; `reason` says which.
    """

    rule: RuleKind
    metric: str
    limit: Figure
    value: Figure | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class _Check:
    """One figure under a rule. badness: larger is worse. says: figure and limit, for a person."""

    value: float
    badness: float
    passed: bool
    says: str


def default_rules() -> GateRules:
    """The rules of `pipelines/gate.yaml`, for when no file is given. Radians per step; skill has no unit."""
    return GateRules(
        max={"aggregate_mae": 0.01, "safety_replay.stopped_episodes": 0},
        min={
            "episodes_evaluated": 5,
            "protocols.as_deployed.skill": 0.1,
            "protocols.as_deployed.intervals.per_joint_skill": 0,
        },
        max_regression={"aggregate_mae": 0.1},
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
            hint="a rules file has `max:`, `min:` and `max_regression:`, each mapping a figure of eval_results.json "
            "to its limit",
        ) from error


def apply_rule(
    kind: RuleKind, metric: str, limit: float, results: EvalResults, champion: EvalResults | str
) -> RuleOutcome:
    """Apply one rule. champion: its results, or why a max_regression can't be applied."""
    found = look_up(results, metric)
    if is_wall_time(metric) and results.provenance.workers > 1:
        found = Found({}, "not to be trusted: measured while workers shared the machine; evaluate with --workers 1")
    if kind != "max_regression" or isinstance(champion, str):
        base = Found({}, champion if isinstance(champion, str) else "")
    else:
        base = _champion_figures(metric, results, champion)
    return check_rule(kind, metric, limit, found, base)


def check_rule(kind: RuleKind, metric: str, limit: float, found: Found, champion: Found | None = None) -> RuleOutcome:
    """Hold each figure against the limit, which itself passes. Missing figures and NaN fail every rule.

    champion: its figures, for max_regression; without any, that rule is not applied and passes.
    """

    def decide(passed: bool, reason: str, value: float | None = None) -> RuleOutcome:
        shown = value if value is not None and math.isfinite(value) else None
        return RuleOutcome(rule=kind, metric=metric, limit=limit, value=shown, passed=passed, reason=reason)

    if not found.figures:
        return decide(False, f"{metric} is {found.missing}")
    if unknown := [joint for joint, value in found.figures.items() if math.isnan(value)]:
        return decide(False, f"{metric} is NaN{f' of {", ".join(unknown)}' if any(unknown) else ''}")
    theirs = champion or Found({}, "there is no champion yet")
    if kind == "max_regression" and not theirs.figures:
        return decide(True, f"not applied: {theirs.missing}")
    if kind == "max_regression":
        checks = {
            joint: _check_regression(metric, limit, value, theirs.figures[joint])
            for joint, value in found.figures.items()
            if joint in theirs.figures
        }
    else:
        checks = {joint: _check_limit(kind, limit, value) for joint, value in found.figures.items()}
    worst = max(checks, key=lambda joint: checks[joint].badness)
    failed = [joint for joint, check in checks.items() if not check.passed]
    shown = ", ".join(f"{joint} {checks[joint].says}".strip() for joint in failed or [worst])
    return decide(not failed, f"{metric}{':' if worst else ''} {shown}", checks[worst].value)


def _check_limit(kind: Literal["max", "min"], limit: float, value: float) -> _Check:
    passed = math.isfinite(value) and (value <= limit if kind == "max" else value >= limit)
    relation = {("max", True): "<=", ("max", False): ">", ("min", True): ">=", ("min", False): "<"}[kind, passed]
    return _Check(value, value if kind == "max" else -value, passed, f"{value:.4g} {relation} {limit:.4g}")


def _check_regression(metric: str, limit: float, value: float, champion: float) -> _Check:
    """How much worse, as a fraction of the champion's figure; infinitely, where that is 0 and ours is worse."""
    worse = champion - value if larger_is_better(metric) else value - champion
    change = worse / abs(champion) if champion else math.copysign(math.inf, worse) if worse else 0.0
    how = f"{abs(change):.1%} {'worse' if change > 0 else 'better'} than" if change else "equal to"
    says = f"{value:.4g} is {how} the champion's {champion:.4g}, at most {limit:.1%} worse allowed"
    return _Check(change, change, change <= limit, says)


def _champion_figures(metric: str, results: EvalResults, champion: EvalResults) -> Found:
    """The champion's figures, or why they say nothing about which of two comparable policies is better."""
    ours, theirs = ([score.episode for score in scored.per_episode] for scored in (results, champion))
    if ours != theirs:
        return Found({}, "the champion was scored on other episodes")
    if is_wall_time(metric):
        if champion.provenance.workers > 1:
            return Found({}, "the champion's was measured while workers shared the machine")
        for key in ("machine", "processor", "engine", "device", "precision", "threads"):
            if getattr(results.provenance, key) != getattr(champion.provenance, key):
                return Found({}, f"the champion's was measured with another {key}")
    found = look_up(champion, metric)
    return found if found.figures else Found({}, f"the champion's is {found.missing}")
