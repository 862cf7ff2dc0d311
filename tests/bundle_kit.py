"""A small bundle for tests of what opening one checks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import strategies as st

from lerobot_inference.checkpoint import BundleContract, BundleManifest
from lerobot_inference.checkpoint.bundle import SIGNATURE_FILE, BundleFile, CameraContract, StateEnvelope
from lerobot_inference.checkpoint.signature import PUBLIC_KEY_VARIABLE
from lerobot_inference.records import save_record
from lerobot_inference.types import ActionMode, Precision

COLOR = "observation.images.color"
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(2))
CONTRACT = BundleContract(
    joint_names=["pan", "lift"],
    signs=[1, -1],
    action_mode=ActionMode.DELTA,
    cameras={COLOR: CameraContract(height=48, width=64)},
    fps=30.0,
    state_dim=2,
    environment_dim=0,
    action_dim=2,
    chunk_size=8,
    n_action_steps=4,
    temporal_ensemble_coeff=None,
    state_envelope=StateEnvelope(min=[-1.0, -1.0], max=[1.0, 1.0], mean=[0.0, 0.0], std=[0.5, 0.5]),
)


def manifest_of(folder: Path, **fields: Any) -> BundleManifest:
    given = {
        "policy_source": "org/policy",
        "policy_revision": "a" * 40,
        "policy_files": {"model.safetensors": "0" * 64},
        "dataset_source": "org/cell",
        "dataset_revision": None,
        "files": {path.name: BundleFile.of(path) for path in sorted(folder.iterdir())},
        "engine": "onnxruntime",
        "precision": Precision.F32,
        "opset": 20,
        "versions": {"python": "3.12.0"},
        "reasons": {"parity": "not asked for"},
    }
    return BundleManifest(**given | fields)


def write_bundle(folder: Path) -> Path:
    """A bundle as far as opening it goes: the network is any bytes, since opening never reads it."""
    folder.mkdir()
    save_record(CONTRACT, folder / "contract.json")
    (folder / "policy.onnx").write_bytes(bytes(range(200)))
    (folder / "policy.weights").write_bytes(bytes(range(100)))
    (folder / "statistics.safetensors").write_bytes(b"statistics")
    (folder / "README.md").write_text("# A policy\n")
    manifest_of(folder).save(folder)
    return folder


def write_signed_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that its owner signed, with the key beside it, and configured."""
    key = folder.with_name("public.pem")
    key.write_bytes(pem())
    monkeypatch.setenv(PUBLIC_KEY_VARIABLE, str(key))
    write_bundle(folder)
    sign(folder)
    return folder


@contextmanager
def one_byte_changed(bundle: Path, data: st.DataObject) -> Iterator[Path]:
    """Change a byte of one of the bundle's files, give that file, and change it back."""
    path = data.draw(st.sampled_from(sorted(bundle.iterdir())))
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    flipped = original[position] ^ data.draw(st.integers(1, 255))
    try:
        path.write_bytes(original[:position] + bytes([flipped]) + original[position + 1 :])
        yield path
    finally:
        path.write_bytes(original)


def pem(key: Ed25519PrivateKey = KEY) -> bytes:
    """The public half, as a robot has it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign(folder: Path, key: Ed25519PrivateKey = KEY) -> None:
    (folder / SIGNATURE_FILE).write_bytes(key.sign((folder / "manifest.json").read_bytes()))
