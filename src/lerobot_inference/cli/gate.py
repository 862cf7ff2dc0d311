"""`lerobot-inference gate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from lerobot_inference.cli.console import console, print_json
from lerobot_inference.errors import GateRejectedError
from lerobot_inference.evaluation.comparison import Comparison
from lerobot_inference.evaluation.gate import GateVerdict
from lerobot_inference.evaluation.rules import RuleOutcome, default_rules, load_rules
from lerobot_inference.registry import DEFAULT_MODEL_NAME
from lerobot_inference.registry import gate as judge_results

COLOURS = {"promote": "green", "keep": "yellow", "reject": "red"}

RulesOption = Annotated[Path | None, typer.Option(help="Rules file; built-in rules when not given.")]
ModelNameOption = Annotated[str, typer.Option(help="Name in the registry, whose champion it is compared with.")]
ChampionResultsOption = Annotated[
    Path | None,
    typer.Option(help="Results of the champion on these episodes; those it was registered with when not given."),
]
FailOnRejectOption = Annotated[bool, typer.Option("--fail-on-reject", help="Exit 5 when the gate rejects.")]


def gate(
    results: Annotated[Path, typer.Option(help="Results folder that `evaluate` wrote.")] = Path("results"),
    gate: RulesOption = None,
    model_name: ModelNameOption = DEFAULT_MODEL_NAME,
    champion_results: ChampionResultsOption = None,
    fail_on_reject: FailOnRejectOption = False,
    output: Annotated[Path, typer.Option(help="Folder for verdict.json.")] = Path("verdict"),
    json: Annotated[bool, typer.Option("--json", help="Print verdict.json.")] = False,
) -> None:
    """Judge an evaluation by rules and against the champion, and register nothing."""
    rules = load_rules(gate) if gate else default_rules()
    verdict = judge_results(results, rules, model_name, champion_results, output)
    if json:
        print_json(verdict)
    else:
        print_verdict(verdict)
    fail_if_rejected(verdict, fail_on_reject)


def print_verdict(verdict: GateVerdict) -> None:
    """Rules, comparison and verdict, for a person."""
    console.print(rules_table(verdict))
    if verdict.comparison:
        console.print(comparison_table(verdict.comparison))
    console.print(verdict_line(verdict), soft_wrap=True)


def fail_if_rejected(verdict: GateVerdict, asked: bool) -> None:
    """Raise GateRejectedError for a rejected policy, where that was asked for."""
    if asked and verdict.verdict == "reject":
        raise GateRejectedError(f"the gate rejected the policy: {verdict.reason}")


def verdict_line(gate: GateVerdict) -> Text:
    """The verdict, in its colour, and why."""
    return Text.assemble("verdict: ", (gate.verdict, f"bold {COLOURS[gate.verdict]}"), f": {gate.reason}")


def rules_table(gate: GateVerdict) -> Table:
    """One row for each rule."""
    table = Table(title="Gate", title_justify="left")
    for heading in ("rule", "limit", "value", "result", "reason"):
        table.add_column(heading, justify="right" if heading in ("limit", "value") else "left", overflow="fold")
    for outcome in gate.rules:
        result, reason = _result(outcome)
        table.add_row(
            f"{outcome.rule} {outcome.metric}",
            f"{outcome.limit:.4g}",
            "none" if outcome.value is None else f"{outcome.value:.4g}",
            result,
            reason,
        )
    return table


def comparison_table(comparison: Comparison) -> Table:
    """The MAE of candidate minus champion, over all joints and for each, in milliradians."""
    title = f"Candidate minus champion, MAE over {len(comparison.episodes)} shared episodes"
    table = Table(title=title, title_justify="left")
    table.add_column("joint")
    for heading in ("difference (mrad)", "95 % interval (mrad)", "p", "p (Holm)"):
        table.add_column(heading, justify="right")
    table.add_row("all joints", _mrad(comparison.mae), _interval(comparison.mae_interval), "", "", style="bold")
    for joint in comparison.joints:
        figures = (_mrad(joint.mae), _interval(joint.interval), f"{joint.p:.2g}", f"{joint.p_holm:.2g}")
        table.add_row(joint.joint, *figures)
    return table


def _result(outcome: RuleOutcome) -> tuple[Text, str]:
    if not outcome.passed:
        return Text("fail", "red"), outcome.reason
    if outcome.value is None:
        return Text("-", "dim"), outcome.reason
    return Text("pass", "green"), ""


def _mrad(radians: float) -> str:
    return f"{1000 * radians:+.3f}"


def _interval(ends: tuple[float, float]) -> str:
    return f"{_mrad(ends[0])} to {_mrad(ends[1])}"
