"""Where a checkpoint or a dataset comes from: a folder, the Hub, Azure ML or blob storage, one file each.

Always as a verified, pinned copy.
"""

from lerobot_inference.sources.fetch import fetch
from lerobot_inference.sources.folder import Folder
from lerobot_inference.sources.kind import Kind
from lerobot_inference.sources.manifest import MANIFEST_FILE, Manifest, read_manifest, read_origin
from lerobot_inference.sources.snapshot import Source
from lerobot_inference.sources.source import parse_source

__all__ = [
    "MANIFEST_FILE",
    "Folder",
    "Kind",
    "Manifest",
    "Source",
    "fetch",
    "parse_source",
    "read_manifest",
    "read_origin",
]
