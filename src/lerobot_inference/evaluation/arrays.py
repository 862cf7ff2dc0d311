"""Named arrays in one .npz file: written whole or not at all, and read back trusting nothing."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.errors import ConfigError
from lerobot_inference.files import atomic_write

type Arrays = Mapping[str, NDArray[Any]]

# What numpy, zipfile and zlib raise for bytes that are not what they wrote.
DAMAGED = (OSError, ValueError, EOFError, RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write them, compressed. Raises StorageError, leaving nothing behind."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_arrays(path: Path, what: str) -> Arrays:
    """Read them all. Raises ConfigError saying that `path` is not `what`, where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except DAMAGED as error:
        raise not_arrays(path, what, error) from error


def not_arrays(path: Path, what: str, error: Exception) -> ConfigError:
    """The ConfigError for a file that can't be read, or lacks an array (a KeyError)."""
    return ConfigError(f"{path}: not {what}: {error}", hint="run evaluate again to write it")
