"""Where a public key is configured, only what its owner signed is opened."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_kit import OTHER_KEY, one_byte_changed, sign, write_bundle, write_signed_bundle
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lerobot_inference.checkpoint import Bundle, open_policy
from lerobot_inference.checkpoint.bundle import SIGNATURE_FILE
from lerobot_inference.checkpoint.signature import PUBLIC_KEY_VARIABLE
from lerobot_inference.errors import LerobotInferenceError

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "images.md").read_text()


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A signed bundle, and the key configured."""
    return write_signed_bundle(tmp_path / "bundle", monkeypatch)


def refused(folder: Path, match: str) -> None:
    with pytest.raises(LerobotInferenceError, match=match) as caught:
        open_policy(folder)
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_a_signed_bundle_is_opened_with_and_without_a_key(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_policy(bundle), Bundle)
    monkeypatch.delenv(PUBLIC_KEY_VARIABLE)
    assert isinstance(open_policy(bundle), Bundle)


def test_an_empty_variable_is_no_key(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    monkeypatch.setenv(PUBLIC_KEY_VARIABLE, "")
    assert isinstance(open_policy(bundle), Bundle)


def test_a_bundle_without_a_signature_is_refused(bundle: Path) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    refused(bundle, r"manifest\.json\.sig: No such file")


def test_another_key_is_refused(bundle: Path) -> None:
    sign(bundle, OTHER_KEY)
    refused(bundle, r"manifest\.json: isn't what the owner of .*public\.pem signed")


def test_a_checkpoint_is_refused_since_nobody_signed_it(bundle: Path, checkpoint: Path) -> None:
    assert bundle.exists()
    refused(checkpoint, r"manifest\.json: No such file")


def test_the_signature_of_another_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other")
    path = other / "manifest.json"
    path.write_text(path.read_text() + "\n")
    shutil.copy(bundle / SIGNATURE_FILE, other)
    refused(other, r"manifest\.json: isn't what the owner of")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_single_changed_byte_is_refused_be_it_the_signatures_own(bundle: Path, data: st.DataObject) -> None:
    with one_byte_changed(bundle, data) as path:
        refused(bundle, "manifest.json: isn't what" if "manifest" in path.name else path.name)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, r"public\.pem: No such file"),
        (b"", r"public\.pem: not a public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", r"public\.pem: not a public key in PEM"),
        (
            generate_private_key(SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            r"public\.pem: a key of another kind",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_named(bundle: Path, content: bytes | None, match: str) -> None:
    path = bundle.parent / "public.pem"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    refused(bundle, match)


def test_without_the_library_a_configured_key_refuses_and_says_what_to_install(bundle: Path) -> None:
    hidden = (
        "import sys; sys.modules['cryptography'] = None; from lerobot_inference.cli import main; main(sys.argv[1:])"
    )
    call = [sys.executable, "-c", hidden, "sim", "rollout", "--policy", str(bundle), "--json"]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "pip install 'lerobot-inference[signing]'" in ended.stderr


def test_the_command_line_refuses_what_nobody_signed(bundle: Path) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    call = [sys.executable, "-m", "lerobot_inference", "sim", "rollout", "--policy", str(bundle), "--json"]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert SIGNATURE_FILE in ended.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl 3")
def test_the_pages_commands_make_a_key_and_a_signature_that_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "bundle")
    (block,) = re.findall(r"^```bash\n(openssl .*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for command in block.replace("\\\n", " ").splitlines():
        subprocess.run(shlex.split(command), check=True, capture_output=True, timeout=60)
    monkeypatch.setenv(PUBLIC_KEY_VARIABLE, "public.pem")
    assert isinstance(open_policy(Path("bundle")), Bundle)
