"""A bundle comes whole, or what was there stays: from the Hub on loopback, and from a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bundle_kit import OTHER_KEY, pem, sign, write_signed_bundle
from hub_server import COMMIT, Hub, serve

from lerobot_inference.checkpoint import Bundle, open_policy
from lerobot_inference.checkpoint.bundle import CONTENT, MANIFEST_FILE, SIGNATURE_FILE
from lerobot_inference.errors import CheckpointError
from lerobot_inference.sources.kind import BUNDLE

NAME = "robots/reach"
LOAD = "import sys; from lerobot_inference.ros2.policy import load_policy; load_policy(sys.argv[1], sys.argv[2])"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A signed bundle as a repository has it, with more beside it; the key is configured."""
    folder = write_signed_bundle(tmp_path / "bundle", monkeypatch)
    for name in ("LICENSE", ".gitattributes", "notes.json", "other.onnx", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def hub(bundle: Path) -> Iterator[Hub]:
    with serve({NAME: bundle}) as server:
        yield server


def ended(program: list[str], hub: Hub, **variables: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as HF_ENDPOINT is read when huggingface_hub is imported."""
    call = [sys.executable, *program]
    given = os.environ | hub.variables | variables
    return subprocess.run(call, env=given, capture_output=True, text=True, timeout=120, check=False)


def download(source: str | Path, output: Path, hub: Hub) -> subprocess.CompletedProcess[str]:
    call = ["-m", "lerobot_inference", "download", "--policy", str(source), "--output-policy", str(output)]
    return ended(call, hub)


def test_what_is_fetched_is_what_a_bundle_holds() -> None:
    assert sorted(BUNDLE) == sorted((MANIFEST_FILE, SIGNATURE_FILE, *CONTENT))


def test_a_signed_bundle_comes_whole_and_alone_from_the_hub(hub: Hub, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    result = download(NAME, fetched, hub)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in fetched.iterdir()} == {*BUNDLE, "download.json"}
    assert isinstance(open_policy(fetched), Bundle)


def test_a_bundle_in_a_folder_is_copied_whole_and_alone(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    assert download(bundle, copied, hub).returncode == 0
    assert {path.name for path in copied.iterdir()} == {*BUNDLE, "download.json"}
    assert isinstance(open_policy(copied), Bundle)
    assert download(copied, tmp_path / "again", hub).returncode == 0
    assert isinstance(open_policy(tmp_path / "again"), Bundle)


def break_weights(bundle: Path) -> None:
    (bundle / "policy.weights").write_bytes(bytes(range(1, 101)))


def lose_graph(bundle: Path) -> None:
    (bundle / "policy.onnx").unlink()


def lose_signature(bundle: Path) -> None:
    (bundle / SIGNATURE_FILE).unlink()


def sign_with_another_key(bundle: Path) -> None:
    sign(bundle, OTHER_KEY)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (break_weights, "policy.weights: was changed after the export"),
        (lose_graph, "policy.onnx: file not found, though manifest.json lists it"),
        (lose_signature, "manifest.json.sig: No such file"),
        (sign_with_another_key, "manifest.json: isn't what the owner of"),
    ],
)
def test_a_bundle_that_would_not_be_opened_leaves_the_one_that_is_there(
    hub: Hub, bundle: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    (tmp_path / "here").mkdir()
    fetched = tmp_path / "here" / "policy"
    assert download(NAME, fetched, hub).returncode == 0
    spoil(bundle)
    hub.commit = "f" * 40
    result = download(NAME, fetched, hub)
    assert result.returncode == CheckpointError.exit_code
    assert f"error: {NAME}/{message}" in result.stderr
    assert "Traceback" not in result.stderr
    assert isinstance(open_policy(fetched), Bundle)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["policy"]

    result = download(bundle, fetched, hub)
    assert result.returncode == CheckpointError.exit_code
    assert f"{bundle}/{message}" in result.stderr.replace("\n", "")
    assert isinstance(open_policy(fetched), Bundle)


def test_a_copy_that_is_kept_is_held_to_the_key_of_today(hub: Hub, tmp_path: Path) -> None:
    assert download(NAME, tmp_path / "policy", hub).returncode == 0
    (tmp_path / "public.pem").write_bytes(pem(OTHER_KEY))
    result = download(NAME, tmp_path / "policy", hub)
    assert result.returncode == CheckpointError.exit_code
    assert f"{tmp_path}/policy/manifest.json: isn't what the owner of" in result.stderr.replace("\n", "")


def test_a_checkpoint_is_fetched_all_the_same_and_then_not_opened(
    checkpoint: Path, bundle: Path, tmp_path: Path
) -> None:
    assert bundle.exists()
    with serve({NAME: checkpoint}) as hub:
        assert download(NAME, tmp_path / "policy", hub).returncode == 0
    with pytest.raises(CheckpointError, match=r"manifest\.json: No such file"):
        open_policy(tmp_path / "policy")


def test_the_node_fetches_a_bundle_in_the_same_way(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    kept = {"LEROBOT_INFERENCE_CACHE": str(tmp_path / "cache")}
    result = ended(["-c", LOAD, NAME, COMMIT], hub, **kept)
    assert result.returncode == 0, result.stderr
    hub.requests.clear()
    assert ended(["-c", LOAD, NAME, COMMIT], hub, **kept).returncode == 0
    assert not hub.requests
    sign_with_another_key(bundle)
    result = ended(["-c", LOAD, NAME, ""], hub, LEROBOT_INFERENCE_CACHE=str(tmp_path / "other"))
    assert f"{NAME}/manifest.json: isn't what the owner of" in result.stderr
    assert not any((tmp_path / "other").iterdir())
