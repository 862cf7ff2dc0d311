"""The node in its container starts on no bundle that the configured key's owner didn't sign."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_kit import write_bundle
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from docker import DockerClient
from docker.types import Mount

from lerobot_inference.checkpoint.signature import PUBLIC_KEY_VARIABLE
from lerobot_inference.errors import InputError
from lerobot_inference.jobs.containers import HARDENING
from lerobot_inference.jobs.environment import Environment

pytestmark = pytest.mark.container

EDGE = Environment.read(Path(__file__).parents[2] / "edge" / "environment.yaml")


def start(engine: DockerClient, folder: Path) -> tuple[int, str]:
    """Exit code and log of a node that is given the folder's bundle and public key."""
    container = engine.containers.create(
        EDGE.image,
        ["--ros-args", "-p", "policy_repo:=/given/bundle", "-p", "enable_control:=false"],
        environment={PUBLIC_KEY_VARIABLE: "/given/public.pem"},
        mounts=[Mount("/given", str(folder), type="bind", read_only=True)],
        network_mode="none",
        **HARDENING,
    )
    try:
        container.start()
        return int(container.wait(timeout=120)["StatusCode"]), container.logs().decode()
    finally:
        container.remove(force=True)


def test_the_node_refuses_a_bundle_without_a_signature_and_one_of_another_key(
    engine: DockerClient, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    bundle = write_bundle(tmp_path / "bundle")
    tmp_path.chmod(0o755)

    code, log = start(engine, tmp_path)
    assert code == InputError.exit_code, log
    assert "/given/bundle/manifest.json.sig: No such file" in log

    manifest, signature = bundle / "manifest.json", bundle / "manifest.json.sig"
    signature.write_bytes(Ed25519PrivateKey.generate().sign(manifest.read_bytes()))
    code, log = start(engine, tmp_path)
    assert code == InputError.exit_code, log
    assert "/given/bundle/manifest.json: isn't what the owner of /given/public.pem signed" in log

    signature.write_bytes(key.sign(manifest.read_bytes()))
    _, log = start(engine, tmp_path)  # which ends all the same: this bundle's network is a few bytes
    assert "signed" not in log
