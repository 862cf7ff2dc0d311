"""The policy that the node runs: a folder as it is, anything else as a verified copy in the user's cache."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.checkpoint import Bundle, Policy, fetch_policy, open_policy
from lerobot_inference.checkpoint.access import access_errors
from lerobot_inference.sources import Folder, parse_source

CACHE_VARIABLE = "LEROBOT_INFERENCE_CACHE"


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy whose files are all there. sha256: of its weights."""

    policy: Policy
    source: str
    revision: str | None
    sha256: str


def load_policy(text: str, revision: str) -> LoadedPolicy:
    """Open a bundle or checkpoint, fetching it where `text` is no folder. revision: empty for none.

    Raises UsageError, InputError, ServiceError, StorageError as `fetch_policy` and `open_policy` do.
    """
    with access_errors(Path(text)):
        source = parse_source(text, revision or None)
    if isinstance(source, Folder):
        return _opened(source.path, None, None)
    folder = cache() / re.sub(r"[^A-Za-z0-9._-]+", "--", f"{text}@{revision or 'default'}")
    manifest = fetch_policy(source, folder)
    return _opened(folder, manifest.source, manifest.revision)


def cache() -> Path:
    """Where fetched policies are kept: LEROBOT_INFERENCE_CACHE, else below the user's own cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "lerobot-inference"


def _opened(folder: Path, source: str | None, revision: str | None) -> LoadedPolicy:
    policy = open_policy(folder)
    if isinstance(policy, Bundle):
        manifest = policy.manifest
        return LoadedPolicy(
            policy, manifest.policy_source, manifest.policy_revision, policy.file_hashes["policy.weights"]
        )
    return LoadedPolicy(policy, source or str(folder), revision, policy.file_hashes["model.safetensors"])
