"""A file of a policy that the user who runs this may not read: the same words for it, whichever reader met it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lerobot_inference.errors import CheckpointError


@contextmanager
def access_errors(folder: Path) -> Iterator[None]:
    """Turn "permission denied" about a file of `folder` into a CheckpointError that says who may not read it."""
    try:
        yield
    except (PermissionError, CheckpointError) as error:
        denied = error.__cause__ if isinstance(error, CheckpointError) else error
        if not isinstance(denied, PermissionError):
            raise
        user = f"user {os.geteuid()}" if hasattr(os, "geteuid") else "the user"
        raise CheckpointError(
            f"{denied.filename or folder}: {user}, who runs this, may not read it",
            hint="let everybody read it (chmod -R a+rX), or run as its owner (docker run --user)",
        ) from error
