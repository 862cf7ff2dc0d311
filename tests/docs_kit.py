"""The commands that the documentation shows, and the site that it becomes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md")) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
PROGRAMS = (
    "lerobot-inference",
    "make",
    "ros2",
    "docker",
    ".venv/bin/",
    ".venv-ros2/bin/",
    "python ",
    "scripts/",
    "export ",
)
"""What a command in an indented block begins with; every line of a fenced one is a command."""


@dataclass(frozen=True)
class Command:
    """One command line of a page, as a shell would split it."""

    page: Path
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text}"


def build_site(folder: Path) -> Path:
    """Build it as `make docs` does, where a warning is an error."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def fenced(page: Path) -> list[str]:
    """The blocks of a page that are marked as bash."""
    return re.findall(r"^```bash\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[Command]:
    """Every command line of a page's blocks; a line that ends in a backslash goes on in the next."""
    text = page.read_text(encoding="utf-8")
    indented = "\n".join(line[4:] for line in text.replace("\\\n", "\\\n    ").splitlines() if line.startswith("    "))
    shown = [line for line in _lines(indented) if line.startswith(PROGRAMS)]
    return [Command(page, line) for line in [*(line for block in fenced(page) for line in _lines(block)), *shown]]


def spans(page: Path) -> list[str]:
    """What a page has between backticks, outside of blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def _lines(block: str) -> list[str]:
    joined = re.sub(r"\s*\\\n\s*", " ", block)
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
