"""Hand a workflow to OSMO's own program."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lerobot_inference.errors import ServiceError, UsageError

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

    Raises UsageError when the program isn't installed, ServiceError when it fails; what it says is on the terminal.
    """
    found = find_program(program)
    with tempfile.TemporaryDirectory(prefix="osmo-") as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        exit_code = subprocess.run([found, "workflow", "submit", str(file), *arguments], check=False).returncode
    if exit_code:
        raise ServiceError(
            f"{program} workflow submit ended with exit code {exit_code}",
            hint=f"what it said stands above; `{program} login URL` logs in, `{program} pool list` shows the pools",
        )
