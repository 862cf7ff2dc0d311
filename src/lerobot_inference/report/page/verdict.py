"""The gate's verdict in words for the page."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot_inference.evaluation.comparison import Comparison
from lerobot_inference.evaluation.gate import GateVerdict
from lerobot_inference.evaluation.rules import RuleOutcome
from lerobot_inference.report.page.table import NONE, Cell, Table, mrad
from lerobot_inference.report.text import significant

CONSEQUENCES = {
    "promote": "may become the champion",
    "keep": "the champion stays",
    "reject": "must not be deployed",
}


@dataclass(frozen=True)
class VerdictView:
    """What the page's first section says. comparison: one line about the champion. differences: joint by joint."""

    verdict: str
    consequence: str
    reason: str
    rules: Table
    comparison: str
    differences: Table | None


def describe_verdict(verdict: GateVerdict) -> VerdictView:
    """Rules and comparison as tables."""
    return VerdictView(
        verdict=verdict.verdict,
        consequence=CONSEQUENCES[verdict.verdict],
        reason=verdict.reason,
        rules=Table(
            "Rules of the gate",
            ("rule", "limit", "value", "result", "reason"),
            [_rule(outcome) for outcome in verdict.rules],
        ),
        comparison=_compared(verdict),
        differences=_differences(verdict.comparison) if verdict.comparison else None,
    )


def _rule(outcome: RuleOutcome) -> tuple[Cell, ...]:
    value = NONE if outcome.value is None else Cell(f"{outcome.value:.4g}")
    applied = outcome.value is not None or not outcome.passed
    result = ("pass" if applied else "not applied") if outcome.passed else "fail"
    return (
        Cell(f"{outcome.rule.replace('_', ' ')} {outcome.metric}"),
        Cell(f"{outcome.limit:.4g}"),
        value,
        Cell(result, mark=result.replace(" ", "-")),
        Cell(outcome.reason, prose=True),
    )


def _compared(verdict: GateVerdict) -> str:
    comparison = verdict.comparison
    if verdict.champion is None:
        return "There is no champion to compare with."
    if comparison is None:
        return f"Not compared with the champion, version {verdict.champion}; the reason above says why."
    difference = mrad(comparison.mae, comparison.mae_interval, signed=True)
    return (
        f"Champion, version {verdict.champion}, over the same {len(comparison.episodes)} episodes and "
        f"{comparison.steps} steps: MAE {mrad(comparison.candidate_mae).text} mrad against its "
        f"{mrad(comparison.champion_mae).text} mrad, a difference of {difference.text} mrad, "
        f"95 % {difference.interval}."
    )


def _differences(comparison: Comparison) -> Table:
    return Table(
        "Candidate minus champion, joint by joint; below 0 is an improvement",
        ("joint", "MAE (mrad)", "p", "p, Holm"),
        [
            (
                Cell(joint.joint),
                mrad(joint.mae, joint.interval, signed=True),
                Cell(significant(joint.p)),
                Cell(significant(joint.p_holm)),
            )
            for joint in comparison.joints
        ],
        note="95 % intervals resample episodes. p: two-sided sign-flip test over episodes; Holm: corrected for the "
        "number of joints.",
    )
