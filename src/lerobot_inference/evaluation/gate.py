"""The gate: an evaluation, rules and the champion in; a verdict with a reason for each rule out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lerobot_inference.evaluation.comparison import Comparison, compare, why_not_comparable
from lerobot_inference.evaluation.results import FAILURES_FILE, EvalResults
from lerobot_inference.evaluation.rules import GateRules, RuleOutcome, apply_rule
from lerobot_inference.records import Record, load_record

VERDICT_FILE = "verdict.json"
EVALUATE_CHAMPION = "evaluate the champion on this dataset and give its results with --champion-results"


class GateVerdict(Record):
    """verdict.json: what follows from the rules and the comparison.

    reject: a rule failed, the skill isn't above 0, or an episode couldn't be scored. promote: all passed, and there is
    no champion, or the 95 % interval of the difference of both policies' MAE lies below 0. keep: all passed, and the
    champion stays.
    champion: its version in the registry; null when there is none. comparison: null when the two can't be compared.
    """

    verdict: Literal["promote", "keep", "reject"]
    reason: str
    rules: list[RuleOutcome]
    champion: str | None = None
    comparison: Comparison | None = None

    @classmethod
    def load(cls, folder: Path) -> GateVerdict:
        """Read verdict.json. Raises ConfigError naming the file and the first field that is wrong."""
        absent, damaged = "give the folder that `lerobot-inference gate` wrote", "run gate again to write it"
        return load_record(cls, folder / VERDICT_FILE, absent=absent, damaged=damaged)


@dataclass(frozen=True)
class Champion:
    """The registry's champion, as far as a candidate is compared with it.

    files: name -> sha256 of its registered files. results: its evaluation, or why there is none to compare with.
    """

    version: str
    files: Mapping[str, str]
    results: EvalResults | str


def judge(results: EvalResults, rules: GateRules, champion: Champion | None = None) -> GateVerdict:
    """Apply every rule, then compare with the champion (None: there is none yet)."""
    against = _against(results, champion)
    outcomes = [apply_rule(*rule, results, against) for rule in rules.each()]
    comparison = None if isinstance(against, str) else compare(results, against)
    verdict, reason = _decide(results, outcomes, champion, against, comparison)
    return GateVerdict(
        verdict=verdict,
        reason=reason,
        rules=outcomes,
        champion=champion.version if champion else None,
        comparison=comparison,
    )


def _against(results: EvalResults, champion: Champion | None) -> EvalResults | str:
    """The results to compare with, or why there are none."""
    if champion is None:
        return "there is no champion yet"
    if isinstance(champion.results, str):
        return champion.results
    return why_not_comparable(results, champion.results) or champion.results


def _never_good(results: EvalResults) -> dict[str, None]:
    """Why a policy is rejected by whatever rules: the keys. Ordered, as those of failed rules are."""
    reasons, skill = [], results.as_deployed.skill
    if skill is not None and not skill > 0:
        baseline = results.as_deployed.best_baseline.replace("_", " ")
        reasons.append(f"skill {skill:.4g} is not above 0: no better than {baseline}, which needs no policy")
    if results.status == "partial":
        which = ", ".join(map(str, results.failed_episodes)) or "some under a perturbation"
        reasons.append(
            f"episodes could not be scored, {which}: {FAILURES_FILE} says why, and if it isn't the policy, "
            "evaluate without them (--episodes)"
        )
    return dict.fromkeys(reasons)


def _decide(
    results: EvalResults,
    outcomes: list[RuleOutcome],
    champion: Champion | None,
    against: EvalResults | str,
    comparison: Comparison | None,
) -> tuple[Literal["promote", "keep", "reject"], str]:
    failed = dict.fromkeys(outcome.reason for outcome in outcomes if not outcome.passed) | _never_good(results)
    if failed:
        return "reject", "; ".join(failed)
    if champion is None:
        return "promote", f"every rule passed; {against}"
    name = f"the champion, version {champion.version}"
    if champion.files == results.provenance.policy_files:
        return "keep", f"every rule passed; same files as {name}"
    if comparison is None:
        return "keep", f"every rule passed; can't be compared with {name}: {against}; {EVALUATE_CHAMPION}"
    low, high = (f"{1000 * end:+.4g}" for end in comparison.mae_interval)
    figures = (
        f"MAE {1000 * comparison.candidate_mae:.4g} mrad, {name}, {1000 * comparison.champion_mae:.4g} mrad "
        f"over {len(comparison.episodes)} episodes; difference {1000 * comparison.mae:+.4g} mrad, 95 % {low} to {high}"
    )
    if comparison.mae_interval[1] < 0:
        return "promote", f"every rule passed and the error is smaller: {figures}"
    return "keep", f"every rule passed, but the error isn't clearly smaller: {figures}"
