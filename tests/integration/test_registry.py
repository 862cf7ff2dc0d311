from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from PIL import Image
from results_factory import write_results
from typer.testing import CliRunner

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.cli.register import register as register_command
from lerobot_inference.errors import CheckpointError, ConfigError, GateRejectedError, ServiceError, UsageError
from lerobot_inference.evaluation.gate import GateVerdict
from lerobot_inference.evaluation.rules import GateRules, default_rules
from lerobot_inference.files import sha256_file
from lerobot_inference.registry import Candidate, Registration, register
from lerobot_inference.registry.mlflow import MlflowRegistry
from lerobot_inference.registry.register import verify_registered
from lerobot_inference.tracking import DEFAULT_EXPERIMENT, connect, open_run
from lerobot_inference.tracking.run import shortened

LENGTHS = (12, 10, 14, 8, 11)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One working directory, so that the sqlite store is made once."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(autouse=True)
def _in_workplace(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def evaluated(
    checkpoint_factory: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Candidate]:
    """Candidates by the error of their evaluation, always on the same recordings, and the seed of their weights."""
    policies = {0: checkpoint_factory()}
    report = write_report(tmp_path_factory.mktemp("report"))
    made: dict[tuple[float, int], Candidate] = {}

    def make(error: float, seed: int = 0) -> Candidate:
        if (error, seed) not in made:
            if seed not in policies:
                policies[seed] = checkpoint_factory(seed=seed)
            folder = tmp_path_factory.mktemp("evaluated")
            hashes = Checkpoint.open(policies[seed]).file_hashes
            write_results(folder, lengths=LENGTHS, error=error, policy_files=hashes)
            made[error, seed] = Candidate.open(policies[seed], folder, report)
        return made[error, seed]

    return make


def write_report(folder: Path, page: bool = True) -> Path:
    """What `plot` leaves, as far as the registry looks at it."""
    (folder / "plots").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "plots" / "aggregate_summary.png")
    if page:
        (folder / "report.html").write_text("<!doctype html><title>report</title>")
    return folder


def champion(model: str) -> str | None:
    found = MlflowRegistry(connect()).champion(model)
    return found.version if found else None


def at(uri: str) -> Path:
    return Path(urlsplit(uri).path)


def test_a_good_first_policy_is_registered_with_its_files_and_becomes_champion(
    evaluated: Callable[..., Candidate], tmp_path: Path
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
    intervals = results.as_deployed.intervals
    assert intervals is not None
    expected = {
        "framework": "lerobot",
        "policy_type": "act",
        "job_name": results.job_name,
        "source": "demo/act-ur10e-cell",
        "policy_revision": "a" * 40,
        "dataset": "demo/ur10e-cell",
        "dataset_revision": "none",
        "episodes": "5",
        "mse": repr(results.aggregate_mse),
        "mae": repr(results.aggregate_mae),
        "mae_interval": f"{intervals.mae[0]!r} to {intervals.mae[1]!r}",
        "skill": repr(results.as_deployed.skill),
        "verdict": "promote",
        "verdict_reason": registration.gate.reason,
        "run_id": registration.run_id,
        "sha256.model.safetensors": sha256_file(candidate.checkpoint.weights),
    }
    assert expected.items() <= version.tags.items()
    assert at(version.tags["report"]).read_text().startswith("<!doctype html>")
    artifacts = at(version.tags["report"]).parent
    assert GateVerdict.load(artifacts) == registration.gate

    fetched = MlflowRegistry(connect()).fetch("first", registration.version, tmp_path)
    assert Checkpoint.open(fetched).file_hashes == candidate.checkpoint.file_hashes


def test_without_a_page_the_report_is_where_the_plots_are(evaluated: Callable[..., Candidate], tmp_path: Path) -> None:
    candidate = replace(evaluated(0.0015), report=write_report(tmp_path / "report", page=False))
    registration = register(candidate, default_rules(), "plots", DEFAULT_EXPERIMENT, tmp_path)
    tags = connect().client.get_model_version("plots", registration.version).tags
    assert (at(tags["report"]) / "aggregate_summary.png").is_file()


def test_a_first_policy_that_fails_the_gate_is_registered_but_no_champion(
    evaluated: Callable[..., Candidate], tmp_path: Path
) -> None:
    rules = GateRules(max={"aggregate_mae": 1e-9})
    registration = register(evaluated(0.0015), rules, "rejected", DEFAULT_EXPERIMENT, tmp_path)
    assert registration.gate.verdict == "reject"
    assert champion("rejected") is None
    tags = connect().client.get_model_version("rejected", registration.version).tags
    assert tags["verdict"] == "reject"
    assert tags["verdict_reason"].startswith("aggregate_mae ")


def test_a_reason_longer_than_a_tag_may_be_is_cut_with_an_ellipsis() -> None:
    assert shortened("short", 1000) == "short"
    assert shortened("x" * 1000, 1000) == "x" * 1000
    assert shortened("x" * 1001, 1000) == "x" * 999 + "…"


# The champion's own evaluation


def test_a_champion_whose_run_lost_its_results_is_kept_until_its_results_are_given(
    evaluated: Callable[..., Candidate], tmp_path: Path
) -> None:
    def again(champion_results: Path | None = None) -> GateVerdict:
        candidate = evaluated(0.0005, seed=2)
        return register(
            candidate, default_rules(), "lost", DEFAULT_EXPERIMENT, tmp_path, champion_results=champion_results
        ).gate

    first = register(evaluated(0.0015), default_rules(), "lost", DEFAULT_EXPERIMENT, tmp_path)
    artifacts = at(connect().client.get_run(first.run_id).info.artifact_uri)
    (artifacts / "eval_results.json").unlink()
    kept = again()
    assert kept.verdict == "keep"
    assert "its run holds no eval_results.json" in kept.reason
    assert "--champion-results" in kept.reason
    assert champion("lost") == first.version

    promoted = again(evaluated(0.0015).results_folder)
    assert promoted.verdict == "promote"
    assert promoted.comparison is not None


def test_a_champion_of_an_older_schema_or_with_results_of_other_files_is_kept_and_it_is_said(
    evaluated: Callable[..., Candidate], tmp_path: Path
) -> None:
    first = register(evaluated(0.0015), default_rules(), "older", DEFAULT_EXPERIMENT, tmp_path)
    path = at(connect().client.get_run(first.run_id).info.artifact_uri) / "eval_results.json"
    text = path.read_text()
    for old, new, said in (
        ('"schema_version": 2', '"schema_version": 1', "can't be read by this version: schema_version: "),
        (first.files["model.safetensors"], "0" * 64, "is of other files than those registered"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        verdict = register(evaluated(0.0005, seed=2), default_rules(), "older", DEFAULT_EXPERIMENT, tmp_path).gate
        assert verdict.verdict == "keep"
        assert said in verdict.reason


def test_a_champion_that_something_else_registered_is_kept(evaluated: Callable[..., Candidate], tmp_path: Path) -> None:
    store = connect()
    registry = MlflowRegistry(store)
    with open_run(store, "foreign", "run") as run:
        store.client.log_text(run.id, "weights", "model/model.txt")
        registry.promote("foreign", registry.add("foreign", f"{run.artifact_uri}/model", run.id, {}), None)
    verdict = register(evaluated(0.0015), default_rules(), "foreign", DEFAULT_EXPERIMENT, tmp_path).gate
    assert verdict.verdict == "keep"
    assert "it wasn't registered by lerobot-inference register" in verdict.reason
    assert champion("foreign") == "1"


def test_results_that_are_not_the_champions_are_refused_and_nothing_is_registered(
    evaluated: Callable[..., Candidate], tmp_path: Path
) -> None:
    first, other = evaluated(0.0015), evaluated(0.0005, seed=2)
    with pytest.raises(ConfigError, match="model guarded has no champion that these results could be of"):
        register(other, default_rules(), "guarded", "guarded", tmp_path, champion_results=first.results_folder)
    register(first, default_rules(), "guarded", "guarded", tmp_path)
    with pytest.raises(ConfigError, match=r"not of the champion, version 1 of guarded: model\.safetensors has sha256"):
        register(other, default_rules(), "guarded", "guarded", tmp_path, champion_results=other.results_folder)
    client = connect().client
    assert len(client.search_model_versions("name='guarded'")) == 1
    experiment = client.get_experiment_by_name("guarded")
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FINISHED"]


# What was registered is there


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_registered_file_that_is_changed_or_gone_is_found_out(
    evaluated: Callable[..., Candidate], tmp_path: Path, damage: str
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
        verify_registered(MlflowRegistry(store), model, registration.version, candidate.checkpoint.file_hashes, {})


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_tag_that_is_changed_or_gone_is_found_out(
    evaluated: Callable[..., Candidate], tmp_path: Path, damage: str
) -> None:
    candidate, model = evaluated(0.0015), f"tag-{damage}"
    version = register(candidate, default_rules(), model, DEFAULT_EXPERIMENT, tmp_path).version
    store = connect()
    if damage == "gone":
        store.client.delete_model_version_tag(model, version, "mae")
    else:
        store.client.set_model_version_tag(model, version, "mae", "0.1")
    with pytest.raises(ServiceError, match="its tag mae is"):
        verify_registered(MlflowRegistry(store), model, version, {}, {"mae": repr(candidate.results.aggregate_mae)})


def test_a_registration_that_did_nothing_is_an_error(evaluated: Callable[..., Candidate], tmp_path: Path) -> None:
    register(evaluated(0.0015), default_rules(), "nothing", DEFAULT_EXPERIMENT, tmp_path)
    with pytest.raises(ServiceError, match="version=2"):
        verify_registered(MlflowRegistry(connect()), "nothing", "2", {}, {})


def test_a_champion_that_moves_while_the_policy_is_uploaded_is_not_replaced_unjudged(
    evaluated: Callable[..., Candidate], tmp_path: Path
) -> None:
    def meanwhile(what: str, *_: int) -> None:
        if "upload" in what:
            register(evaluated(0.0005, seed=2), default_rules(), "race", DEFAULT_EXPERIMENT, tmp_path)

    with pytest.raises(ServiceError, match="before its promotion the champion is 1, expected none") as caught:
        register(evaluated(0.0015), default_rules(), "race", DEFAULT_EXPERIMENT, tmp_path, meanwhile)
    assert caught.value.hint is not None
    assert "register again" in caught.value.hint
    assert champion("race") == "1"


# What does not belong together


def test_results_of_another_policy_are_refused(
    checkpoint_factory: Callable[..., Path], evaluated: Callable[..., Candidate]
) -> None:
    candidate = evaluated(0.0015)
    with pytest.raises(ConfigError, match=r"these results are of another policy: model\.safetensors"):
        Candidate.open(checkpoint_factory(seed=1), candidate.results_folder, candidate.report)


def test_a_policy_whose_statistics_changed_after_the_evaluation_is_refused(
    checkpoint: Path, evaluated: Callable[..., Candidate], tmp_path: Path
) -> None:
    candidate = evaluated(0.0015)
    policy = Path(shutil.copytree(checkpoint, tmp_path / "policy"))
    config = policy / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(ConfigError, match=r"another policy: config\.json"):
        Candidate.open(policy, candidate.results_folder, candidate.report)


def test_a_missing_policy_or_report_is_named(
    checkpoint: Path, evaluated: Callable[..., Candidate], tmp_path: Path
) -> None:
    folder = evaluated(0.0015).results_folder
    with pytest.raises(CheckpointError, match="no such folder"):
        Candidate.open(tmp_path / "nowhere", folder, folder)
    with pytest.raises(ConfigError, match="no plots"):
        Candidate.open(checkpoint, folder, tmp_path)


def test_a_model_name_that_no_registry_takes_is_refused(evaluated: Callable[..., Candidate], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="org/name"):
        register(evaluated(0.0015), default_rules(), "org/name", DEFAULT_EXPERIMENT, tmp_path)


def test_the_command_line_registers_and_says_how_to_look(evaluated: Callable[..., Candidate], tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(register_command)
    candidate = evaluated(0.0015)
    folders = {
        "--policy": candidate.checkpoint.folder,
        "--results": candidate.results_folder,
        "--report": candidate.report,
        "--output": tmp_path,
    }
    common = [*(str(part) for pair in folders.items() for part in pair), "--model-name", "from-cli"]
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
