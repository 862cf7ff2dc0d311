from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from results_factory import write_results
from typer.testing import CliRunner

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.cli.plot import plot
from lerobot_inference.cli.register import register as register_command
from lerobot_inference.errors import CheckpointError, ConfigError, GateRejectedError, ServiceError, UsageError
from lerobot_inference.evaluation.gate import GateRules, default_rules
from lerobot_inference.files import sha256_file
from lerobot_inference.registry import Candidate, Registration, register
from lerobot_inference.registry.mlflow import MlflowRegistry
from lerobot_inference.registry.register import verify_registered
from lerobot_inference.report import render_plots
from lerobot_inference.tracking import DEFAULT_EXPERIMENT, connect


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One working directory, so that the sqlite store is made once."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(autouse=True)
def _in_workplace(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def evaluated(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Candidate]:
    """Candidates of one policy whose evaluations had a larger or smaller error."""
    hashes = Checkpoint.open(checkpoint).file_hashes
    made: dict[float, Candidate] = {}

    def make(error: float) -> Candidate:
        if error not in made:
            folder = tmp_path_factory.mktemp("evaluated")
            write_results(folder, lengths=(30,), error=error, policy_files=hashes)
            render_plots(folder, folder)
            made[error] = Candidate.open(checkpoint, folder, folder)
        return made[error]

    return make


def champion(model: str) -> str | None:
    found = MlflowRegistry(connect()).champion(model)
    return found[0] if found else None


def test_a_good_first_policy_is_registered_with_its_files_and_becomes_champion(
    evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    candidate = evaluated(0.0015)
    registration = register(candidate, default_rules(), "first", DEFAULT_EXPERIMENT, tmp_path)

    assert registration.gate.verdict == "promote"
    assert registration.champion_before is None
    assert champion("first") == registration.version
    written = Registration.model_validate_json((tmp_path / "registration.json").read_bytes())
    assert written == registration

    client = connect().client
    version = client.get_model_version("first", registration.version)
    assert version.run_id == registration.run_id
    assert client.get_run(registration.run_id).info.status == "FINISHED"
    results = candidate.results
    expected = {
        "framework": "lerobot",
        "policy_type": "act",
        "job_name": results.job_name,
        "source": "demo/act-ur10e-cell",
        "policy_revision": "a" * 40,
        "dataset_revision": "none",
        "mse": repr(results.aggregate_mse),
        "mae": repr(results.aggregate_mae),
        "skill": repr(results.as_deployed.skill),
        "verdict": "promote",
        "sha256.model.safetensors": sha256_file(candidate.checkpoint.weights),
    }
    assert expected.items() <= version.tags.items()
    report = Path(urlsplit(version.tags["report"]).path)
    assert (report / "aggregate_summary.png").is_file()

    fetched = MlflowRegistry(connect()).fetch("first", registration.version, tmp_path)
    assert Checkpoint.open(fetched).file_hashes == candidate.checkpoint.file_hashes


def test_only_a_better_candidate_moves_the_champion_and_all_are_registered(
    evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    strict = GateRules(max={"aggregate_mae": 1e-9})
    told = [
        (register(evaluated(error), rules, "contest", DEFAULT_EXPERIMENT, tmp_path), champion("contest"))
        for error, rules in [
            (0.0015, default_rules()),
            (0.0015, default_rules()),
            (0.003, default_rules()),
            (0.0005, strict),
            (0.0005, default_rules()),
        ]
    ]
    assert [registration.gate.verdict for registration, _ in told] == ["promote", "keep", "keep", "reject", "promote"]
    assert [registration.version for registration, _ in told] == ["1", "2", "3", "4", "5"]
    assert [after for _, after in told] == ["1", "1", "1", "1", "5"]
    assert [registration.champion_before for registration, _ in told] == [None, "1", "1", "1", "1"]


def test_a_first_policy_that_fails_the_gate_is_registered_but_no_champion(
    evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    rules = GateRules(max={"aggregate_mae": 1e-9})
    registration = register(evaluated(0.0015), rules, "rejected", DEFAULT_EXPERIMENT, tmp_path)
    assert registration.gate.verdict == "reject"
    assert champion("rejected") is None
    tags = connect().client.get_model_version("rejected", registration.version).tags
    assert tags["verdict"] == "reject"
    assert tags["verdict_reason"].startswith("aggregate_mae ")


def test_a_champion_without_its_error_is_an_error_and_the_run_ends_failed(
    evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    register(evaluated(0.0015), default_rules(), "untagged", "untagged", tmp_path)
    store = connect()
    store.client.delete_model_version_tag("untagged", "1", "mae")
    with pytest.raises(ConfigError, match="untagged version 1: tag mae is None"):
        register(evaluated(0.0005), default_rules(), "untagged", "untagged", tmp_path)
    experiment = store.client.get_experiment_by_name("untagged")
    assert experiment is not None
    runs = store.client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_registered_file_that_is_changed_or_gone_is_found_out(
    evaluated: Callable[[float], Candidate], tmp_path: Path, damage: str
) -> None:
    candidate, model = evaluated(0.0015), f"damaged-{damage}"
    registration = register(candidate, default_rules(), model, DEFAULT_EXPERIMENT, tmp_path)
    store = connect()
    folder = Path(urlsplit(store.client.get_run(registration.run_id).info.artifact_uri).path)
    weights = folder / "model" / "model.safetensors"
    if damage == "gone":
        weights.unlink()
    else:
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    with pytest.raises(ServiceError, match=r"model\.safetensors"):
        verify_registered(MlflowRegistry(store), model, registration.version, candidate.checkpoint.file_hashes)


def test_results_of_another_policy_are_refused(
    checkpoint_factory: Callable[..., Path], evaluated: Callable[[float], Candidate]
) -> None:
    folder = evaluated(0.0015).results_folder
    with pytest.raises(ConfigError, match=r"these results are of another policy: model\.safetensors"):
        Candidate.open(checkpoint_factory(seed=1), folder, folder)


def test_a_policy_whose_statistics_changed_after_the_evaluation_is_refused(
    checkpoint: Path, evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    folder = evaluated(0.0015).results_folder
    policy = Path(shutil.copytree(checkpoint, tmp_path / "policy"))
    config = policy / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(ConfigError, match=r"another policy: config\.json"):
        Candidate.open(policy, folder, folder)


def test_a_missing_policy_or_report_is_named(
    checkpoint: Path, evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    folder = evaluated(0.0015).results_folder
    with pytest.raises(CheckpointError, match="no such folder"):
        Candidate.open(tmp_path / "nowhere", folder, folder)
    with pytest.raises(ConfigError, match="no plots"):
        Candidate.open(checkpoint, folder, tmp_path)


def test_a_model_name_that_no_registry_takes_is_refused(
    evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="org/name"):
        register(evaluated(0.0015), default_rules(), "org/name", DEFAULT_EXPERIMENT, tmp_path)


def test_the_command_line_plots_registers_and_says_how_to_look(
    checkpoint: Path, evaluated: Callable[[float], Candidate], tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(plot)
    app.command()(register_command)
    results, report = evaluated(0.0015).results_folder, tmp_path / "report"

    plotted = CliRunner().invoke(app, ["plot", "--results", str(results), "--output", str(report)])
    assert plotted.exit_code == 0
    assert "5 plots" in plotted.stdout

    options = ["--policy", checkpoint, "--results", results, "--report", report, "--output", tmp_path]
    common = ["register", *map(str, options), "--model-name", "from-cli"]
    told = CliRunner().invoke(app, common)
    assert told.exit_code == 0
    assert "verdict: promote" in told.stdout
    assert "from-cli version 1, now champion" in told.stdout
    assert "mlflow ui --backend-store-uri sqlite:///" in told.stdout

    rules = tmp_path / "gate.yaml"
    rules.write_text("max: {aggregate_mae: 1.0e-9}")
    strict = CliRunner().invoke(app, [*common, "--gate", str(rules), "--fail-on-reject", "--json"])
    assert isinstance(strict.exception, GateRejectedError)
    assert strict.exception.exit_code == 5
    assert Registration.model_validate_json(strict.stdout).gate.verdict == "reject"
