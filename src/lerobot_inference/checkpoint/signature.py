"""Who wrote a bundle: an Ed25519 signature over its manifest, which holds the sha256 of every other file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_inference.checkpoint.bundle import MANIFEST_FILE, SIGNATURE_FILE
from lerobot_inference.errors import CheckpointError, ConfigError, require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PUBLIC_KEY_VARIABLE = "LEROBOT_INFERENCE_PUBLIC_KEY"
"""Names a PEM file with an Ed25519 public key. Where it is set, nothing is opened that the key's owner didn't sign."""

SIGN = "openssl pkeyutl -sign -rawin -inkey private.pem -in {manifest} -out {signature}"


def check_signature(folder: Path) -> None:
    """Where a public key is configured, verify that its owner signed the folder's manifest.

    Raises CheckpointError for a folder without manifest or signature, or with that of another key or another manifest;
    ConfigError for a key that can't be used; UsageError without what verifies it.
    """
    configured = os.environ.get(PUBLIC_KEY_VARIABLE)
    if not configured:
        return
    require("cryptography", "signing")
    from cryptography.exceptions import InvalidSignature

    key_file, manifest, signature = Path(configured), folder / MANIFEST_FILE, folder / SIGNATURE_FILE
    key = _read_key(key_file)
    hint = (
        f"{PUBLIC_KEY_VARIABLE} is set, so only bundles that its owner signed are opened: export the policy, then "
        f"{SIGN.format(manifest=manifest, signature=signature)}"
    )
    try:
        signed = manifest.read_bytes()
        key.verify(signature.read_bytes(), signed)
    except OSError as error:
        raise CheckpointError(f"{error.filename}: {error.strerror}", hint=hint) from error
    except InvalidSignature as error:
        raise CheckpointError(f"{manifest}: isn't what the owner of {key_file} signed", hint=hint) from error


def _read_key(path: Path) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    hint = f"{PUBLIC_KEY_VARIABLE} names the file that `openssl pkey -in private.pem -pubout` writes"
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: not a public key in PEM: {error}", hint=hint) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: a key of another kind than Ed25519", hint=hint)
    return key
