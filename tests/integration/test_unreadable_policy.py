"""A policy with a file that the user who runs this may not read: every command says which file and which user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from bundle_kit import write_bundle

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.cli import main
from lerobot_inference.errors import CheckpointError

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, which pytest's own is not."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def nobody() -> Iterator[int]:
    """Go on as somebody who is not root, who may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield os.geteuid()
    os.seteuid(before)


@pytest.fixture
def policy(folder: Path, checkpoint: Path) -> Path:
    copied = Path(shutil.copytree(checkpoint, folder / "policy"))
    for path in copied.iterdir():
        path.chmod(0o644)
    copied.chmod(0o755)
    return copied


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "policy_preprocessor.json",
        "policy_preprocessor_step_3_normalizer_processor.safetensors",
    ],
)
def test_each_file_of_a_checkpoint_is_named_with_the_user(
    policy: Path, name: str, request: pytest.FixtureRequest
) -> None:
    (policy / name).chmod(0)
    user = request.getfixturevalue("nobody")
    with pytest.raises(CheckpointError) as caught:
        open_policy(policy)
    assert caught.value.message == f"{policy / name}: user {user}, who runs this, may not read it"
    assert "chmod -R a+rX" in str(caught.value.hint)


def test_a_folder_that_may_not_be_entered_is_named(policy: Path, request: pytest.FixtureRequest) -> None:
    policy.chmod(0)
    user = request.getfixturevalue("nobody")
    with pytest.raises(CheckpointError, match=f"^{policy}.*: user {user}, who runs this, may not read it$"):
        open_policy(policy)
    os.seteuid(os.getuid())
    policy.chmod(0o755)


@pytest.mark.parametrize("name", ["manifest.json", "contract.json", "policy.weights"])
def test_each_file_of_a_bundle_is_named_with_the_user(folder: Path, name: str, request: pytest.FixtureRequest) -> None:
    bundle = write_bundle(folder / "bundle")
    (bundle / name).chmod(0)
    user = request.getfixturevalue("nobody")
    with pytest.raises(CheckpointError, match=f"^{bundle / name}: user {user}, who runs this, may not read it$"):
        open_policy(bundle)


@pytest.mark.parametrize("command", ["evaluate", "export", "split"])
def test_a_command_ends_with_the_exit_code_of_a_bad_checkpoint(
    command: str, policy: Path, dataset_folder: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    (policy / "model.safetensors").chmod(0)
    request.getfixturevalue("nobody")
    with pytest.raises(SystemExit) as ended:
        main(
            [command, "--policy", str(policy), "--dataset", str(dataset_folder), "--output", str(policy.parent / "out")]
        )
    assert ended.value.code == CheckpointError.exit_code
    assert "model.safetensors: user" in capsys.readouterr().err
    assert not (policy.parent / "out").exists()
