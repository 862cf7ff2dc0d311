"""A release, in a copy of this repository: what it refuses, what it writes, and that it leaves nothing half done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from lerobot_inference.files import sha256_file

ROOT = Path(__file__).parents[2]
UV = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
NO_ENGINE = "unix:///nonexistent/docker.sock"
OLD = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NEW = "999.0.0"
CHANGELOG = f"""# Changelog

## Unreleased

## {NEW} - 2026-11-26

### Added

- Something.

## 0.0.1

- The first.
"""


def git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """This tree as it is, uncommitted changes included, in a repository of its own."""
    root = tmp_path / "clone"
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    git(root, "init", "--quiet")
    for name, value in (("user.name", "a"), ("user.email", "a@example.com"), ("commit.gpgsign", "false")):
        git(root, "config", name, value)
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "docs: changelog")
    return root


def release(root: Path, version: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/release.py", version],
        cwd=root,
        env=os.environ | {"UV": UV, "DOCKER_HOST": NO_ENGINE, "UV_OFFLINE": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def untouched(root: Path, head: str) -> bool:
    """No file, commit or tag is there that wasn't."""
    same = git(root, "rev-parse", "HEAD") == head and not git(root, "status", "--porcelain")
    return same and not git(root, "tag") and not (root / "dist" / "release").exists()


def test_the_version_is_the_same_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from release import ONCE, current_version, versions

    found = list(versions())
    assert len(found) > len(ONCE) + 20
    assert {(path, version) for path, version in found if version != current_version()} == set()


def test_a_dirty_tree_an_older_version_and_an_unsaid_one_are_refused(clone: Path) -> None:
    head = git(clone, "rev-parse", "HEAD")
    for version, said in (
        ("0.0.0", f"version 0.0.0 is not newer than {OLD}"),
        ("0.2", "version '0.2' is not understood"),
        ("0.2.0rc1", "version '0.2.0rc1' is not understood"),
        ("998.0.0", "CHANGELOG.md: no section `## 998.0.0`"),
    ):
        done = release(clone, version)
        assert done.returncode in (2, 3)
        assert said in done.stderr
        assert untouched(clone, head)
    (clone / "notes.txt").write_text("not yet")
    done = release(clone, NEW)
    assert done.returncode == 2
    assert "the tree is not clean: ?? notes.txt" in done.stderr


def test_a_version_that_was_tagged_is_not_released_again(clone: Path) -> None:
    git(clone, "tag", f"v{NEW}")
    done = release(clone, NEW)
    assert done.returncode == 2
    assert f"version {NEW} is not newer than {NEW}" in done.stderr


def test_a_build_that_fails_leaves_the_files_as_they_were(clone: Path) -> None:
    head = git(clone, "rev-parse", "HEAD")
    done = release(clone, NEW, UV="false")
    assert done.returncode == 2
    assert "failed: nothing is released" in done.stderr
    assert untouched(clone, head)


def test_a_release_is_one_number_everywhere_files_with_checksums_and_a_tag(clone: Path) -> None:
    done = release(clone, NEW)
    if "hatchling" in done.stderr and "cache" in done.stderr:
        pytest.skip("uv's cache doesn't hold what builds a wheel, and a test doesn't fetch it")
    assert done.returncode == 0, done.stderr
    assert f"no images are built: no Docker engine answers at {NO_ENGINE}" in done.stdout
    assert f"git push origin HEAD v{NEW}" in done.stdout

    output = clone / "dist" / "release"
    sums = dict(reversed(line.split("  ")) for line in (output / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {f"lerobot_inference-{NEW}-py3-none-any.whl", f"lerobot_inference-{NEW}.tar.gz"}
    assert all(sha256_file(output / name) == expected for name, expected in sums.items())
    with ZipFile(output / f"lerobot_inference-{NEW}-py3-none-any.whl") as wheel:
        assert f"Version: {NEW}\n" in wheel.read(f"lerobot_inference-{NEW}.dist-info/METADATA").decode()

    with tarfile.open(output / f"lerobot_inference-{NEW}.tar.gz") as sources:
        held = {name.split("/")[1] for name in sources.getnames()}
    assert held - {".gitignore", "PKG-INFO"} == {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "src"}

    assert not git(clone, "status", "--porcelain")
    assert git(clone, "rev-parse", f"v{NEW}^0") == git(clone, "rev-parse", "HEAD")
    assert (
        git(clone, "tag", "--list", "--format=%(contents)") == f"lerobot-inference {NEW}\n\n### Added\n\n- Something."
    )
    changed = git(clone, "show", "--format=", "--unified=0", "HEAD")
    told = [line for line in changed.splitlines() if re.match(r"[+-][^+-]", line)]
    assert [line for line in told if line[0] == "+" and NEW not in line] == []
    assert len(told) > 40
