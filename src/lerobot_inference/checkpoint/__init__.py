"""A trained policy on disk: verify it, read its config, weights and statistics. Never imports torch."""

from __future__ import annotations

from pathlib import Path

from lerobot_inference.checkpoint.access import access_errors
from lerobot_inference.checkpoint.bundle import MANIFEST_FILE, Bundle, BundleContract, BundleManifest
from lerobot_inference.checkpoint.checkpoint import Checkpoint
from lerobot_inference.checkpoint.config import ActConfig
from lerobot_inference.checkpoint.normalization import FeatureNormalization, Normalization, NormalizationMode
from lerobot_inference.checkpoint.signature import check_signature
from lerobot_inference.sources import Folder, Kind, Manifest, Source, fetch
from lerobot_inference.types import Progress, silent

__all__ = [
    "ActConfig",
    "Bundle",
    "BundleContract",
    "BundleManifest",
    "Checkpoint",
    "FeatureNormalization",
    "Normalization",
    "NormalizationMode",
    "Policy",
    "fetch_policy",
    "open_policy",
]

type Policy = Checkpoint | Bundle
"""What an engine runs: as it was trained, or as it was exported."""


def open_policy(folder: Path) -> Policy:
    """Open and verify a bundle (a folder with a manifest.json) or else a checkpoint.

    Where LEROBOT_INFERENCE_PUBLIC_KEY names a key, only a bundle that its owner signed is opened.
    Raises CheckpointError naming the file and what is wrong with it; also as `check_signature` does.
    """
    with access_errors(folder):
        check_signature(folder)
        is_bundle = (folder / MANIFEST_FILE).exists()
    return Bundle.open(folder) if is_bundle else Checkpoint.open(folder)


def fetch_policy(
    source: Folder | Source, output: Path, *, require_pinned: bool = False, progress: Progress = silent
) -> Manifest:
    """Fetch a checkpoint or a bundle as `fetch` does. A bundle must be one that `open_policy` would open.

    Raises as both do; what was in `output` before stays there then.
    """
    return fetch(source, Kind.POLICY, output, check=_check_bundle, require_pinned=require_pinned, progress=progress)


def _check_bundle(folder: Path) -> None:
    if (folder / MANIFEST_FILE).exists():
        open_policy(folder)
