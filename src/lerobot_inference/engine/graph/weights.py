"""The checkpoint's tensors by name, each checked as it is taken."""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from lerobot_inference.errors import CheckpointError

type Array = NDArray[np.floating[Any]]
"""float64 where a value was or will be folded with another, else as precise as the checkpoint has it."""

PREFIX = "model."
TRAINING_ONLY = ("model.vae_encoder",)
READABLE = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


class Weights:
    """Reads one tensor at a time. A context manager; close it to end reading.

    Vectors come as float64: what is computed with one is then rounded once, when the graph takes it. The rest, which
    mostly goes into the graph as it is, comes as float32, or float64 where it is stored so.

    Raises CheckpointError for a tensor that is missing, of another shape than config.json implies, or left over.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._tensors = cast(Any, safe_open(file, framework="numpy"))
        self._left: set[str] = {name for name in self._tensors.keys() if not name.startswith(TRAINING_ONLY)}  # noqa: SIM118
        # safetensors has checked the file. Its own arrays for numpy are copies; these are views of what it maps too.
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            self._header = json.loads(opened.read(length))
            self._bytes = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        self._start = 8 + length

    def __enter__(self) -> Weights:
        self._tensors.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tensors.__exit__(kind, error, trace)

    def __contains__(self, name: str) -> bool:
        return PREFIX + name in self._left

    def take(self, name: str, *shape: int | None) -> Array:
        """The tensor `name` of the given shape (None: any length)."""
        full = PREFIX + name
        if full not in self._left:
            raise CheckpointError(f"{self._file}: {full} is missing; config.json's network has it")
        part = self._tensors.get_slice(full)
        found, dtype = tuple(part.get_shape()), part.get_dtype()
        fits = len(found) == len(shape) and all(want in (None, have) for have, want in zip(found, shape, strict=True))
        if not fits or dtype not in READABLE:
            expected = ", ".join("any" if length is None else str(length) for length in shape)
            raise CheckpointError(
                f"{self._file}: {full} is {dtype} of shape {found}; config.json says ({expected}), floating point",
                hint="config.json and model.safetensors are from different policies; fetch both again",
            )
        self._left.remove(full)
        precise = np.float64 if dtype == "F64" or len(shape) == 1 else np.float32
        offset = self._start + self._header[full]["data_offsets"][0]
        stored = np.frombuffer(self._bytes, READABLE[dtype], math.prod(found), offset).reshape(found)
        values: Array = stored.astype(precise, copy=False)
        # A sum of squares reads them in half the time; it overflows only beyond 1e19.
        if not np.isfinite(np.vdot(values, values)) and not np.isfinite(values).all():
            raise CheckpointError(f"{self._file}: {full} holds a NaN or an infinity; the training diverged")
        return values

    def require_all_taken(self) -> None:
        """Raise CheckpointError when a tensor has no place in the network that config.json describes."""
        if self._left:
            raise CheckpointError(
                f"{self._file}: {sorted(self._left)[0]} and {len(self._left) - 1} more have no place in the network "
                "that config.json describes",
                hint="config.json and model.safetensors are from different policies; fetch both again",
            )
