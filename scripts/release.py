"""Release a version: its number everywhere, wheel and sdist with checksums, the images, a tag. `make release` runs it.

The version comes from pyproject.toml. Where another file must carry it literally, this script writes it there, and a
test holds it equal. Images are built where a Docker engine answers. Nothing is pushed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.cli import run
from lerobot_inference.cli.console import console
from lerobot_inference.errors import ConfigError, ServiceError, UsageError
from lerobot_inference.files import atomic_folder, sha256_file
from lerobot_inference.jobs.images import connect

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "dist" / "release"
CHANGELOG = "CHANGELOG.md"
UV = os.environ.get("UV", "uv")  # `uv run` says where it is
NUMBER = r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}"
YAML = r'^version: "(.+)"$'
ONCE = {
    "pyproject.toml": r'^version = "(.+)"$',
    "uv.lock": r'^name = "lerobot-inference"\nversion = "(.+)"$',
    "components/*/component.yaml": YAML,
    "environments/*/environment.yaml": YAML,
    "edge/environment.yaml": YAML,
    "edge/sim/environment.yaml": YAML,
    "edge/package.xml": r"^  <version>(.+)</version>$",
    "edge/setup.py": r'^    version="(.+)",$',
}
"""Files -> the line of each in which the version stands."""
NAMED = rf"\blerobot[-_]inference-(?:[a-z{{}}_-]+:)?({NUMBER})\b"
"""An image of ours or a wheel, by name and version, in any file of the repository but the changelog."""


def release(version: Annotated[str, typer.Argument(help="The new version, such as 0.2.0.")]) -> None:
    """Check, write the version, build into dist/release/, commit and tag; what fails leaves the files as they were."""
    notes = check(version)
    changed = write_version(version)
    try:
        with atomic_folder(OUTPUT) as folder:
            build(folder)
            build_images()
            if changed:
                git("commit", "--quiet", "--message", f"build: release {version}", "--", *changed)
            git("tag", "--annotate", "--cleanup=whitespace", "--file=-", f"v{version}", given=notes)
    except BaseException:
        git("checkout", "--quiet", "HEAD", "--", *changed)
        raise
    console.print(f"{OUTPUT}: {', '.join(sorted(path.name for path in OUTPUT.iterdir()))}", soft_wrap=True)
    console.print(f"tagged v{version}, here only; push it with: git push origin HEAD v{version}", soft_wrap=True)


def check(version: str) -> str:
    """What the tag is to say. Raises UsageError or ConfigError for what speaks against the release."""
    if not re.fullmatch(NUMBER, version):
        raise UsageError(f"version {version!r} is not understood", hint="write three numbers, such as 0.2.0")
    if changes := git("status", "--porcelain"):
        raise UsageError(
            f"the tree is not clean: {changes.splitlines()[0]}",
            hint="commit what belongs to the release, move the rest",
        )
    released = re.findall(rf"^v({NUMBER})$", git("tag", "--list"), re.MULTILINE)
    newest = max([*released, current_version()], key=numbers)
    if version in released or numbers(version) < numbers(newest):
        raise UsageError(f"version {version} is not newer than {newest}", hint="CONTRIBUTING.md says how to choose it")
    return f"lerobot-inference {version}\n\n{changes_of(version)}"


def changes_of(version: str) -> str:
    """The version's section of the changelog. Raises ConfigError where there is none, or nothing in it."""
    text = (ROOT / CHANGELOG).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(version)}(?: [^\n]*)?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        raise ConfigError(
            f"{CHANGELOG}: no section `## {version}`, or nothing in it",
            hint=f"write `## {version} - DATE` below `## Unreleased`, above what this version brings",
        )
    return found[1].strip()


def current_version() -> str:
    """The one in pyproject.toml."""
    return next(found for path, found in versions() if path == "pyproject.toml")


def versions() -> Iterator[tuple[str, str]]:
    """(file, version) wherever the version stands. Raises ConfigError for a file of ONCE without it."""
    for path, pattern, once in places():
        found = re.findall(pattern, read(path), re.MULTILINE)
        if once and len(found) != 1:
            raise ConfigError(f"{path}: the version stands there {len(found)} times, expected once, as {pattern}")
        yield from ((path, each) for each in found)


def write_version(version: str) -> list[str]:
    """Write it wherever the version stands; the files that changed. Raises as `versions` does, with none written."""
    tuple(versions())
    changed = []
    for path, pattern, _ in places():
        before = read(path)
        after = re.sub(pattern, lambda found: found[0].replace(found[1], version), before, flags=re.MULTILINE)
        if after != before:
            (ROOT / path).write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


def places() -> Iterator[tuple[str, str, bool]]:
    """(file, pattern whose group is the version, whether it must be there once)."""
    files = git("ls-files").splitlines()
    for glob, pattern in ONCE.items():
        yield from ((path, pattern, True) for path in files if fnmatchcase(path, glob))
    yield from ((path, NAMED, False) for path in files if path != CHANGELOG and (ROOT / path).is_file())


def read(path: str) -> str:
    """A file of the repository; a picture is no text and names nothing."""
    return (ROOT / path).read_bytes().decode("utf-8", errors="ignore")


def numbers(version: str) -> tuple[int, ...]:
    """To compare it by."""
    return tuple(map(int, version.split(".")))


def build(folder: Path) -> None:
    """Wheel and sdist, and SHA256SUMS for `sha256sum --check`."""
    call(UV, "build", "--quiet", "--out-dir", str(folder))
    files = sorted(folder.glob("lerobot_inference-*"))
    sums = "".join(f"{sha256_file(path)}  {path.name}\n" for path in files)
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")


def build_images() -> None:
    """The images, where there is a Docker engine; `make publish` pushes them."""
    try:
        connect()
    except ServiceError as error:
        console.print(f"no images are built: {error.message}", soft_wrap=True)
        return
    call(sys.executable, "scripts/build_images.py")


def call(*command: str) -> None:
    """Run it in the repository. Raises UsageError when it fails; it has said why."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise UsageError(f"{shlex.join(command)} failed: nothing is released")


def git(*arguments: str, given: str | None = None) -> str:
    """What git says. Raises UsageError with its words when it refuses."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"git {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    run(release)
