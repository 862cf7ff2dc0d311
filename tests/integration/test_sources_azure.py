"""Policies and datasets from Azure: blob storage, datastores and assets, over TLS and with the unpatched SDKs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure_loopback.assets import Assets
from azure_loopback.reading import ReadStorage
from azure_loopback.server import Cloud, Response, serve
from azure_loopback.workspace import ACCOUNT, CONTAINER, DATASTORE, GROUP, NAME, SUBSCRIPTION, WORKSPACE_ID, Workspace

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.cli import main
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import UsageError
from lerobot_inference.files import sha256_file
from lerobot_inference.sources import parse_source, read_manifest
from lerobot_inference.sources.blob import PIECE_BYTES

HOST = f"https://{ACCOUNT}.blob.core.windows.net"
CELL = f"{HOST}/{CONTAINER}/a/cell"
ARM = f"{HOST}/{CONTAINER}/models/arm"
PLACE = f"{ACCOUNT}/{CONTAINER}"
LONG = f"azureml:/{WORKSPACE_ID}/datastores/{DATASTORE}/paths"
READS = rf"/{CONTAINER}/.+"
SIGNED = f"{CELL}?sv=2024-11-04&sig=SecretSignature"
IDENTIFIED = {"AZURE_SUBSCRIPTION_ID": SUBSCRIPTION, "AZURE_RESOURCE_GROUP": GROUP, "AZUREML_WORKSPACE_NAME": NAME}

type Download = Callable[..., tuple[int, str, str]]


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture
def storage(checkpoint: Path, dataset_folder: Path) -> ReadStorage:
    """A policy in models/arm, a dataset in a/cell, and beside them what must not come along."""
    storage = ReadStorage()
    for folder, prefix in ((checkpoint, "models/arm"), (dataset_folder, "a/cell"), (dataset_folder, "a/cell-2")):
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        storage.put(ACCOUNT, CONTAINER, {f"{prefix}/{name}": content for name, content in files.items()})
    storage.put(ACCOUNT, CONTAINER, {"models/arm/optimizer.pt": b"\x80\x04pickle", "models/arm/download.json": b"{}"})
    for folder_name in ("a", "a/cell", "a/cell/meta", "a/cell/videos", "a/cell/videos/observation.images.color"):
        storage.add_folder(f"{PLACE}/{folder_name}")
    return storage


@pytest.fixture
def assets(workspace: Workspace) -> Assets:
    """Two versions of a model, the newer one on another account, and a dataset."""
    assets = Assets(workspace)
    assets.add_model("arm", "1", f"{LONG}/models/arm")
    assets.add_model("arm", "2", "wasbs://models@otherstore.blob.core.windows.net/arm")
    assets.add_data("cell", "4", f"{LONG}/a/cell/meta/info.json", "uri_file")
    assets.add_data("cell", "5", f"{LONG}/a/cell/")
    return assets


@pytest.fixture
def cloud(
    assets: Assets, workspace: Workspace, storage: ReadStorage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    with serve(assets, workspace, storage) as cloud:
        for name, value in (cloud.environment | IDENTIFIED).items():
            monkeypatch.setenv(name, value)
        yield cloud
        assert cloud.unknown == []


@pytest.fixture
def download(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Download:
    """Runs the command line; exit code, what it printed and what it said besides. The cloud forgets earlier calls."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        cloud.requests.clear()
        with pytest.raises(SystemExit) as ended:
            main(["download", *map(str, arguments)])
        printed, said = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, printed, said

    return run


def test_a_folder_on_blob_storage_arrives_verified_usable_and_without_its_neighbour(
    download: Download, cloud: Cloud, tmp_path: Path
) -> None:
    code, printed, said = download("--dataset", f"{CELL}/", "--output-dataset", tmp_path / "cell", "--json")
    assert code == 0, said
    manifest = json.loads(printed)["dataset"]
    assert manifest["source"] == CELL
    assert len(manifest["revision"]) == 64
    assert all(sha256_file(tmp_path / "cell" / name) == sha256 for name, sha256 in manifest["files"].items())
    assert Dataset.open(tmp_path / "cell").episode(2).length == 20
    assert not [request.path for request in cloud.requests if "cell-2" in request.path]
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]
    tokens = {request.headers["authorization"].split()[1] for request in cloud.requests}
    held = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert not [token for token in tokens if token in held + printed + said]


def test_a_second_download_transfers_nothing_and_one_of_a_named_revision_asks_nothing(
    download: Download, cloud: Cloud, tmp_path: Path
) -> None:
    arguments = ("--policy", ARM, "--output-policy", tmp_path / "arm")
    assert download(*arguments)[0] == 0
    first = read_manifest(tmp_path / "arm")
    assert first is not None
    assert download(*arguments)[0] == 0
    assert cloud.requests
    assert not cloud.called("GET", READS)
    assert download(*arguments, "--policy-revision", first.revision, "--require-pinned")[0] == 0
    assert not cloud.requests


def test_pickles_and_earlier_manifests_stay_where_they_are(download: Download, tmp_path: Path) -> None:
    assert download("--policy", ARM, "--output-policy", tmp_path / "arm")[0] == 0
    manifest = read_manifest(tmp_path / "arm")
    assert manifest is not None
    assert "config.json" in manifest.files
    assert not {"optimizer.pt", "download.json"} & set(manifest.files)


def test_blobs_that_were_written_since_are_another_revision(
    download: Download, storage: ReadStorage, tmp_path: Path
) -> None:
    arguments = ("--policy", ARM, "--output-policy", tmp_path / "arm")
    assert download(*arguments)[0] == 0
    before = read_manifest(tmp_path / "arm")
    assert before is not None
    storage.put(ACCOUNT, CONTAINER, {"models/arm/README.md": b"another"})
    code, _, said = download(*arguments, "--policy-revision", before.revision, "--output-policy", tmp_path / "again")
    assert code == 3
    assert f"{ARM}: holds other files than revision {before.revision}; now it is " in said
    assert download(*arguments)[0] == 0
    assert (tmp_path / "arm" / "README.md").read_text() == "another"


def test_a_large_blob_is_gone_on_with_where_the_last_try_stopped(
    download: Download, storage: ReadStorage, tmp_path: Path
) -> None:
    content = bytes(range(256)) * (2 * PIECE_BYTES // 256) + b"end"
    storage.put(ACCOUNT, CONTAINER, {"big/model.safetensors": content})
    arguments = ("--policy", f"{HOST}/{CONTAINER}/big", "--output-policy", tmp_path / "big")
    key = f"{PLACE}/big/model.safetensors"
    storage.busy_from[key] = PIECE_BYTES
    code, _, said = download(*arguments)
    assert code == 6
    assert "model.safetensors: Azure blob storage could not be reached: it answered 503" in said
    assert "what was downloaded is kept" in said
    assert not (tmp_path / "big").exists()
    storage.busy_from.clear()
    storage.sent.clear()
    assert download(*arguments)[0] == 0
    assert storage.sent[key] == [(PIECE_BYTES, PIECE_BYTES), (2 * PIECE_BYTES, 3)]
    assert (tmp_path / "big" / "model.safetensors").read_bytes() == content


def test_a_connection_that_breaks_and_a_busy_service_are_tried_again(
    download: Download, cloud: Cloud, storage: ReadStorage, tmp_path: Path
) -> None:
    storage.cut[f"{PLACE}/models/arm/model.safetensors"] = [1000]
    cloud.fail("GET", rf"/{CONTAINER}", 503)
    cloud.fail("GET", rf"/{CONTAINER}/models/arm/config.json", 500)
    assert download("--policy", ARM, "--output-policy", tmp_path / "arm")[0] == 0
    assert Checkpoint.open(tmp_path / "arm").spec.action_dim == 6
    assert storage.sent[f"{PLACE}/models/arm/model.safetensors"][:2] == [(0, 1000), (0, PIECE_BYTES)]


def test_bytes_that_do_not_have_the_md5_of_the_blob_are_refused(
    download: Download, storage: ReadStorage, tmp_path: Path
) -> None:
    storage.corrupt = f"{PLACE}/models/arm/config.json"
    code, _, said = download("--policy", ARM, "--output-policy", tmp_path / "arm")
    assert code == 3
    assert f"{ARM}: config.json: its bytes are not those that were announced" in said
    assert not (tmp_path / "arm").exists()


def test_blobs_without_md5_are_held_to_their_size_and_their_sha256_is_recorded(
    download: Download, storage: ReadStorage, tmp_path: Path
) -> None:
    storage.without_md5 = set(storage.blobs)
    assert download("--policy", ARM, "--output-policy", tmp_path / "arm")[0] == 0
    manifest = read_manifest(tmp_path / "arm")
    assert manifest is not None
    assert manifest.files["config.json"] == sha256_file(tmp_path / "arm" / "config.json")


def test_a_blob_that_is_written_over_while_it_is_downloaded_is_refused(
    download: Download, storage: ReadStorage, tmp_path: Path
) -> None:
    storage.written_over = f"{PLACE}/models/arm/model.safetensors"
    code, _, said = download("--policy", ARM, "--output-policy", tmp_path / "arm")
    assert code == 3
    assert "model.safetensors: was written over while it was downloaded" in said
    assert not (tmp_path / "arm").exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(
    download: Download, cloud: Cloud, storage: ReadStorage, tmp_path: Path
) -> None:
    storage.put(ACCOUNT, CONTAINER, {"models/arm/../../outside.json": b"{}"})
    code, _, said = download("--policy", ARM, "--output-policy", tmp_path / "here" / "arm")
    assert code == 3
    assert f"{ARM}: refused, it lists a file named '../../outside.json'" in said
    assert not cloud.called("GET", READS)
    assert not list(tmp_path.iterdir())


def test_a_signature_is_refused_and_never_shown(download: Download, cloud: Cloud, tmp_path: Path) -> None:
    code, printed, said = download("--dataset", SIGNED, "--output-dataset", tmp_path / "cell")
    assert code == 2
    assert f"{CELL}: the address must hold no signature" in said
    assert "SecretSignature" not in printed + said
    assert not cloud.requests
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        f"http://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/a",
        f"https://{ACCOUNT}.blob.core.windows.net.example.com/{CONTAINER}/a",
        f"https://{ACCOUNT}.blob.example.com/{CONTAINER}/a",
        f"https://user:secret@{ACCOUNT}.blob.core.windows.net/{CONTAINER}/a",
        f"https://{ACCOUNT}.blob.core.windows.net:444/{CONTAINER}/a",
        f"https://{ACCOUNT}.blob.core.windows.net",
        f"{HOST}/{CONTAINER}/a/../b",
        f"{HOST}/{CONTAINER}/a/%2e%2e/b",
        f"{HOST}/{CONTAINER}/a%2F..%2Fb",
        "azureml:arm",
        "azureml:arm@newest",
        "azureml:../arm:1",
        "azureml://registries/lab/models/arm/versions/1",
        "azureml://datastores/store",
        "azureml://datastores/store/paths/cell?sig=secret",
        f"{ACCOUNT}.blob.core.windows.net/{CONTAINER}/a?sig=secret",
        "ftp://user:secret@example.com/a",
    ],
)
def test_addresses_that_are_not_ours_to_ask_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_source(text)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("answer", "reason", "code", "message"),
    [
        (403, "AuthorizationPermissionMismatch", 6, "Azure refuses"),
        (404, "ContainerNotFound", 3, "not found on Azure blob storage"),
        (409, "BlobArchived", 6, "Azure answers 409"),
    ],
)
def test_storage_that_refuses_is_one_clear_line(
    download: Download, cloud: Cloud, tmp_path: Path, answer: int, reason: str, code: int, message: str
) -> None:
    cloud.fail("GET", rf"/{CONTAINER}", Response(answer, headers={"x-ms-error-code": reason}))
    found, _, said = download("--policy", ARM, "--output-policy", tmp_path / "arm")
    lines = [line for line in said.splitlines() if not line.startswith("download ")]
    assert (found, len(lines)) == (code, 2)
    assert lines[0].startswith(f"error: {ARM}: ")
    assert message in lines[0]


def test_nobody_logged_in_is_said_with_what_to_do(
    download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZ_LOGGED_OUT", "1")
    code, _, said = download("--policy", ARM, "--output-policy", tmp_path / "arm")
    assert code == 6
    assert "there is no login to Azure" in said
    assert "az login" in said


# Azure ML


def test_a_model_and_a_dataset_come_by_name_and_version(download: Download, tmp_path: Path) -> None:
    code, printed, said = download(
        *("--policy", "azureml:arm:1", "--output-policy", tmp_path / "arm"),
        *("--dataset", "azureml:cell:5", "--output-dataset", tmp_path / "cell"),
        *("--require-pinned", "--json"),
    )
    assert code == 0, said
    manifests = json.loads(printed)
    assert (manifests["policy"]["source"], manifests["dataset"]["source"]) == ("azureml:arm:1", "azureml:cell:5")
    assert Checkpoint.open(tmp_path / "arm").spec.action_dim == 6
    assert Dataset.open(tmp_path / "cell").episode(0).length == 40


def test_the_latest_is_recorded_by_its_version_and_not_for_those_who_require_a_pinned_one(
    download: Download, storage: ReadStorage, checkpoint: Path, tmp_path: Path
) -> None:
    storage.put("otherstore", "models", {"arm/config.json": (checkpoint / "config.json").read_bytes()})
    arguments = ("--policy", "azureml:arm@latest", "--output-policy", tmp_path / "arm")
    assert download(*arguments)[0] == 0
    manifest = read_manifest(tmp_path / "arm")
    assert manifest is not None
    assert (manifest.source, list(manifest.files)) == ("azureml:arm:2", ["config.json"])
    code, _, said = download(*arguments, "--require-pinned")
    assert code == 2
    assert "azureml:arm@latest is not pinned" in said


def test_the_same_name_and_version_in_another_workspace_is_not_taken_for_the_same(
    download: Download, assets: Assets, storage: ReadStorage, tmp_path: Path
) -> None:
    arguments = ("--policy", "azureml:arm:1", "--output-policy", tmp_path / "arm")
    assert download(*arguments)[0] == 0
    storage.sent.clear()
    assert download(*arguments)[0] == 0
    assert not storage.sent
    storage.put(ACCOUNT, CONTAINER, {"theirs/config.json": b"{}"})
    assets.add_model("arm", "1", f"{LONG}/theirs")
    assert download(*arguments)[0] == 0
    assert (tmp_path / "arm" / "config.json").read_text() == "{}"


def test_a_folder_of_a_datastore_comes_by_its_path(download: Download, tmp_path: Path) -> None:
    for path in (f"azureml://datastores/{DATASTORE}/paths/a/cell", f"{LONG}/a/cell"):
        output = tmp_path / "cell"
        code, _, said = download("--dataset", path, "--output-dataset", output)
        assert code == 0, said
        manifest = read_manifest(output)
        assert manifest is not None
        assert manifest.source == path
        shutil.rmtree(output)
    code, _, said = download("--dataset", path, "--output-dataset", output, "--require-pinned")
    assert code == 2


@pytest.mark.parametrize(
    ("option", "text", "code", "message"),
    [
        ("policy", "azureml:arm:9", 3, "there is no such model in workspace evaluation"),
        ("policy", "azureml:leg@latest", 3, "there is no such model in workspace evaluation"),
        ("dataset", "azureml:arm:1", 3, "there is no such data asset in workspace evaluation"),
        ("dataset", "azureml:arm@latest", 3, "there is no such data asset in workspace evaluation"),
        ("dataset", "azureml:cell:4", 3, "is of type uri_file"),
        ("policy", "azureml:cell:5", 3, "there is no such model"),
        ("policy", "azureml://datastores/attic/paths/arm", 3, "there is no such datastore"),
        ("policy", f"azureml://datastores/{DATASTORE}/paths/nothing", 3, "holds none of the files of a policy"),
    ],
)
def test_what_the_workspace_does_not_have_is_said_in_one_line(
    download: Download, tmp_path: Path, option: str, text: str, code: int, message: str
) -> None:
    found, _, said = download(f"--{option}", text, f"--output-{option}", tmp_path / "output")
    assert found == code, said
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_an_asset_needs_to_know_which_workspace(
    download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in IDENTIFIED:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    code, _, said = download("--policy", "azureml:arm:1", "--output-policy", tmp_path / "arm")
    assert code == 2
    assert "which Azure ML workspace?" in said
