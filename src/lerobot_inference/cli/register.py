"""`lerobot-inference register`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.errors import GateRejectedError
from lerobot_inference.evaluation.gate import GateVerdict, default_rules, load_rules
from lerobot_inference.registry import Candidate, Registration
from lerobot_inference.registry import register as register_candidate
from lerobot_inference.tracking import DEFAULT_EXPERIMENT

COLOURS = {"promote": "green", "keep": "yellow", "reject": "red"}


def register(
    policy: Annotated[Path, typer.Option(help="Folder of the checkpoint that was evaluated.")],
    results: Annotated[Path, typer.Option(help="Results folder that `evaluate` wrote.")] = Path("results"),
    report: Annotated[Path, typer.Option(help="Folder that `plot` wrote.")] = Path("report"),
    gate: Annotated[Path | None, typer.Option(help="Rules file; built-in rules when not given.")] = None,
    model_name: Annotated[str, typer.Option(help="Name in the registry.")] = "lerobot-act",
    experiment_name: Annotated[str, typer.Option(help="MLflow experiment.")] = DEFAULT_EXPERIMENT,
    fail_on_reject: Annotated[bool, typer.Option("--fail-on-reject", help="Exit 5 when the gate rejects.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for registration.json.")] = Path("registration"),
    json: Annotated[bool, typer.Option("--json", help="Print registration.json.")] = False,
) -> None:
    """Log the evaluation to MLflow, judge it and register the policy; a promoted one becomes champion."""
    rules = load_rules(gate) if gate else default_rules()
    candidate = Candidate.open(policy, results, report)
    with progress_display() as progress:
        registration = register_candidate(candidate, rules, model_name, experiment_name, output, progress)
    if json:
        print_json(registration)
    else:
        _print(registration)
    if fail_on_reject and registration.gate.verdict == "reject":
        raise GateRejectedError(f"the gate rejected the policy: {registration.gate.reason}")


def _print(registration: Registration) -> None:
    verdict = registration.gate.verdict
    console.print(rules_table(registration.gate))
    console.print(verdict_line(registration.gate), soft_wrap=True)
    name = f"{registration.model_name} version {registration.version}"
    champion = ", now champion" if verdict == "promote" else ""
    console.print(f"registered: {name}{champion}", soft_wrap=True)
    uri = registration.tracking_uri
    opener = uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
    console.print(f"open MLflow: {opener}", soft_wrap=True)


def verdict_line(gate: GateVerdict) -> Text:
    """The verdict, in its colour, and why."""
    return Text.assemble("verdict: ", (gate.verdict, f"bold {COLOURS[gate.verdict]}"), f": {gate.reason}")


def rules_table(gate: GateVerdict) -> Table:
    """One row for each rule."""
    table = Table(title="Gate", title_justify="left")
    for heading in ("rule", "limit", "value", "result", "reason"):
        table.add_column(heading, justify="right" if heading in ("limit", "value") else "left", overflow="fold")
    for outcome in gate.rules:
        table.add_row(
            f"{outcome.rule} {outcome.metric}",
            f"{outcome.limit:.4g}",
            "none" if outcome.value is None else f"{outcome.value:.4g}",
            Text("pass", "green") if outcome.passed else Text("fail", "red"),
            "" if outcome.passed else outcome.reason,
        )
    return table
