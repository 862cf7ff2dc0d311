"""Hand a workflow to OSMO's own program."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lerobot_inference.errors import ServiceError, UsageError
from lerobot_inference.files import storage_errors

PROGRAM = "osmo"
INSTALLER = "https://raw.githubusercontent.com/NVIDIA/OSMO/refs/heads/main/install.sh"


def find_program(program: str = PROGRAM) -> str:
    """Where OSMO's program is. Raises UsageError when it isn't installed."""
    found = shutil.which(program)
    if found is None:
        raise UsageError(
            f"{program} is not installed, or not on the PATH",
            hint=f"install it with: curl -fsSL {INSTALLER} | bash; PyPI's package `osmo` is something else",
        )
    return found


def submit(text: str, name: str, arguments: Sequence[str], program: str = PROGRAM) -> None:
    """Call `osmo workflow submit FILE ARGUMENTS`, which prints where the workflow can be seen.

    Raises UsageError when the program isn't there or can't be run, ServiceError when it fails, which it has then said
    on the terminal, StorageError.
    """
    found = find_program(program)
    with storage_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="osmo-") as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            exit_code = subprocess.run([found, "workflow", "submit", str(file), *arguments], check=False).returncode
        except OSError as error:
            raise UsageError(f"{found} can't be run: {error.strerror}", hint="install it again") from error
    if exit_code:
        raise ServiceError(
            f"{program} workflow submit ended with exit code {exit_code}",
            hint=f"what it said stands above; `{program} login URL` logs in, `{program} pool list` shows the pools",
        )
