"""`lerobot-inference register`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.cli.gate import (
    ChampionResultsOption,
    FailOnRejectOption,
    ModelNameOption,
    RulesOption,
    fail_if_rejected,
    print_verdict,
)
from lerobot_inference.evaluation.rules import default_rules, load_rules
from lerobot_inference.registry import DEFAULT_MODEL_NAME, Candidate, Registration
from lerobot_inference.registry import register as register_candidate
from lerobot_inference.tracking import DEFAULT_EXPERIMENT


def register(
    policy: Annotated[Path, typer.Option(help="Folder of the checkpoint that was evaluated.")],
    results: Annotated[Path, typer.Option(help="Results folder that `evaluate` wrote.")] = Path("results"),
    report: Annotated[Path, typer.Option(help="Folder that `plot` wrote.")] = Path("report"),
    gate: RulesOption = None,
    model_name: ModelNameOption = DEFAULT_MODEL_NAME,
    champion_results: ChampionResultsOption = None,
    experiment_name: Annotated[str, typer.Option(help="MLflow experiment.")] = DEFAULT_EXPERIMENT,
    fail_on_reject: FailOnRejectOption = False,
    output: Annotated[Path, typer.Option(help="Folder for registration.json.")] = Path("registration"),
    json: Annotated[bool, typer.Option("--json", help="Print registration.json.")] = False,
) -> None:
    """Log the evaluation to MLflow, judge it and register the policy; a promoted one becomes champion."""
    rules = load_rules(gate) if gate else default_rules()
    candidate = Candidate.open(policy, results, report)
    with progress_display() as progress:
        registration = register_candidate(
            candidate, rules, model_name, experiment_name, output, progress, champion_results
        )
    if json:
        print_json(registration)
    else:
        _print(registration)
    fail_if_rejected(registration.gate, fail_on_reject)


def _print(registration: Registration) -> None:
    print_verdict(registration.gate)
    name = f"{registration.model_name} version {registration.version}"
    champion = ", now champion" if registration.gate.verdict == "promote" else ""
    console.print(f"registered: {name}{champion}", soft_wrap=True)
    uri = registration.tracking_uri
    opener = uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
    console.print(f"open MLflow: {opener}", soft_wrap=True)
