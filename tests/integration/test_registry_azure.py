"""The same decisions on MLflow's registry and on Azure ML's, which knows no aliases.

Azure ML is played by MLflow's own server without what Azure ML lacks, behind azureml-mlflow's own stores: what differs
from a workspace is the address and that nobody logs in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow_server import mlflow_server
from PIL import Image
from results_factory import write_results

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.errors import ServiceError
from lerobot_inference.evaluation.rules import GateRules, default_rules
from lerobot_inference.registry import Candidate, Registration, register
from lerobot_inference.registry.base import ModelRegistry
from lerobot_inference.registry.mlflow import AzureMlRegistry, MlflowRegistry, open_registry
from lerobot_inference.tracking import Store, connect, open_run

LENGTHS = (12, 10, 14, 8, 11)
STRICT = GateRules(max={"aggregate_mae": 1e-9})

type Register = Callable[..., Registration]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One working directory, so that the sqlite store is made once."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that answers what Azure ML's does."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, str(folder / "artifacts"), "azure") as address:  # no file://, which its client refuses
        yield address


@pytest.fixture(params=["mlflow", "azureml"])
def store(request: pytest.FixtureRequest, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if request.param == "azureml":
        use_azure(request.getfixturevalue("server"), monkeypatch)
    return connect()


@pytest.fixture
def azure_store(server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    use_azure(server, monkeypatch)
    return connect()


def use_azure(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let azureml:// lead to the server at `address`, by way of azureml-mlflow's own stores."""
    from azureml.mlflow._store.model_registry.model_registry import AzureMLflowModelRegistry
    from azureml.mlflow._store.tracking.store import AzureMLRestStore
    from mlflow.tracking._model_registry.utils import _get_store_registry
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry
    from mlflow.utils.rest_utils import MlflowHostCreds

    def credentials() -> MlflowHostCreds:
        return MlflowHostCreds(address)

    def tracking(**_: Any) -> AzureMLRestStore:
        return AzureMLRestStore(None, host_creds=credentials)

    def models(**_: Any) -> AzureMLflowModelRegistry:
        return AzureMLflowModelRegistry(None, host_creds=credentials)

    monkeypatch.setitem(_tracking_store_registry._registry, "azureml", tracking)
    monkeypatch.setitem(_get_store_registry()._registry, "azureml", models)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"azureml://{urlsplit(address).netloc}/mlflow/v1.0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="module")
def candidate(
    checkpoint_factory: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int, float], Candidate]:
    """Candidates by the seed of their weights and the error of their evaluation on the same recordings."""
    report = write_report(tmp_path_factory.mktemp("report"))
    policies: dict[int, Path] = {}

    def make(seed: int, error: float) -> Candidate:
        if seed not in policies:
            policies[seed] = checkpoint_factory(seed=seed)
        policy = policies[seed]
        folder = tmp_path_factory.mktemp("evaluated")
        write_results(folder, lengths=LENGTHS, error=error, policy_files=Checkpoint.open(policy).file_hashes)
        return Candidate.open(policy, folder, report)

    return make


@pytest.fixture
def registered(candidate: Callable[[int, float], Candidate], tmp_path: Path) -> Register:
    """Registers a candidate in the store at hand."""

    def run(model: str, seed: int, error: float, rules: GateRules | None = None) -> Registration:
        return register(candidate(seed, error), rules or default_rules(), model, "decisions", tmp_path)

    return run


def write_report(folder: Path) -> Path:
    """What `plot` leaves, as far as the registry looks at it."""
    (folder / "plots").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "plots" / "aggregate_summary.png")
    (folder / "report.html").write_text("<!doctype html><title>report</title>")
    return folder


def champion(registry: ModelRegistry, model: str) -> str | None:
    found = registry.champion(model)
    return found.version if found else None


def test_the_registry_follows_from_the_address(store: Store) -> None:
    azure = store.uri.startswith("azureml://")
    assert isinstance(open_registry(store), AzureMlRegistry if azure else MlflowRegistry)


def test_only_a_clearly_better_candidate_moves_the_champion_and_all_are_registered(
    store: Store, registered: Register
) -> None:
    registry = open_registry(store)
    told = [
        (registered("contest", seed, error, rules), champion(registry, "contest"))
        for seed, error, rules in [
            (0, 0.0015, STRICT),
            (0, 0.0015, None),
            (0, 0.0015, None),
            (1, 0.003, None),
            (2, 0.0005, STRICT),
            (2, 0.0005, None),
        ]
    ]
    assert [registration.gate.verdict for registration, _ in told] == [
        *("reject", "promote", "keep", "reject", "reject", "promote")
    ]
    assert [registration.version for registration, _ in told] == ["1", "2", "3", "4", "5", "6"]
    assert [after for _, after in told] == [None, "2", "2", "2", "2", "6"]
    assert [registration.champion_before for registration, _ in told] == [None, None, "2", "2", "2", "2"]
    rerun, worse, better = told[2][0].gate, told[3][0].gate, told[5][0].gate
    assert "same files as the champion, version 2" in rerun.reason
    assert "worse than the champion's" in worse.reason
    assert better.comparison is not None
    assert better.comparison.mae_interval[1] < 0


def test_a_registered_version_can_be_found_and_fetched_with_its_tags(
    store: Store, registered: Register, tmp_path: Path
) -> None:
    registration, registry = registered("found", 0, 0.0015), open_registry(store)
    version = registry.get("found", registration.version)
    assert version.run_id == registration.run_id
    assert version.tags["verdict"] == "promote"
    assert Checkpoint.open(registry.fetch("found", registration.version, tmp_path)).file_hashes == registration.files


def test_a_model_that_nobody_registered_has_no_champion(store: Store) -> None:
    assert open_registry(store).champion("nobody") is None


def test_a_version_that_is_not_there_is_an_error(store: Store, registered: Register) -> None:
    registered("short", 0, 0.0015)
    with pytest.raises(ServiceError):
        open_registry(store).get("short", "2")


# Azure ML alone


def test_the_server_without_aliases_refuses_them(azure_store: Store, tmp_path: Path) -> None:
    add(azure_store, "aliased", tmp_path)
    with pytest.raises(ServiceError, match="Azure ML has no /api/2.0/mlflow/registered-models/alias"):
        MlflowRegistry(azure_store).promote("aliased", "1", None)


def test_a_promotion_retires_the_champion_before_it(azure_store: Store, tmp_path: Path) -> None:
    registry = AzureMlRegistry(azure_store)
    for before, version in ((None, "1"), ("1", "2")):
        assert add(azure_store, "succession", tmp_path) == version
        registry.promote("succession", version, before)
    assert [registry.get("succession", version).tags["stage"] for version in ("1", "2")] == ["retired", "champion"]
    assert champion(registry, "succession") == "2"
    registry.promote("succession", "1", "2")
    assert champion(registry, "succession") == "1"


def test_of_two_champions_that_a_crash_left_the_newer_one_counts_until_the_next_promotion(
    azure_store: Store, tmp_path: Path
) -> None:
    registry = AzureMlRegistry(azure_store)
    versions = [add(azure_store, "crash", tmp_path) for _ in range(11)]
    for version in ("9", "10"):  # as text, 9 is the larger
        azure_store.client.set_model_version_tag("crash", version, "stage", "champion")
    assert champion(registry, "crash") == "10"
    registry.promote("crash", "11", "10")
    stages = {version: registry.get("crash", version).tags.get("stage") for version in versions}
    assert {version: stage for version, stage in stages.items() if stage} == {
        "9": "retired",
        "10": "retired",
        "11": "champion",
    }


def add(store: Store, model: str, folder: Path) -> str:
    """Register a run's artifacts under a name, whatever they are."""
    with open_run(store, "plain", "run") as run:
        store.client.log_text(run.id, "weights", "model/model.txt")
        return open_registry(store).add(model, f"{run.artifact_uri}/model", run.id, {"folder": folder.name})
