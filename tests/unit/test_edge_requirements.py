"""What the edge image is built from is there as wheels, with each engine, for both kinds of processor."""

from __future__ import annotations

import os
import runpy
import shutil
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from lerobot_inference.jobs.environment import Environment

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "build_images.py"))
SIM = Environment.read(ROOT / "edge" / "sim" / "environment.yaml").extras
EDGE = Environment.read(ROOT / "edge" / "environment.yaml").extras
PYTHON = (3, 12)
OLDEST_GLIBC, GLIBC = 5, 36  # 2.36 is that of the builder, Debian 12; ROS's own base has a newer one


def tags(processor: str) -> set[Tag]:
    """Those of the wheels that pip installs there."""
    platforms = [f"manylinux_2_{minor}_{processor}" for minor in range(OLDEST_GLIBC, GLIBC + 1)]
    platforms += [f"manylinux{year}_{processor}" for year in (1, 2010, 2014)]
    return {*cpython_tags(PYTHON, platforms=platforms), *compatible_tags(PYTHON, "cp312", platforms)}


def wheels() -> dict[tuple[str, str], list[frozenset[Tag]]]:
    """(name, version) -> the tags of each of its wheels, as uv.lock has them."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {
        (package["name"], package["version"]): [
            parse_wheel_filename(wheel["url"].rsplit("/", 1)[1])[3] for wheel in package.get("wheels", [])
        ]
        for package in packages
    }


def locked(extras: tuple[str, ...], path: Path, processor: str) -> list[Requirement]:
    """What applies there of the file that the image is built from."""
    lock = SCRIPT["lock"]
    lock.__globals__["UV"] = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    lock(extras, path)
    lines = [line.rstrip(" \\") for line in path.read_text().splitlines() if "==" in line and not line.startswith(" ")]
    there = {"platform_machine": processor, "sys_platform": "linux", "python_full_version": "3.12.3"}
    found = [Requirement(line) for line in lines]
    return [requirement for requirement in found if not requirement.marker or requirement.marker.evaluate(there)]


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    "extras", [*((engine, *EDGE) for engine in SCRIPT["ENGINES"]), SIM], ids=lambda extras: extras[0]
)
def test_every_package_has_a_wheel_for_the_processor(extras: tuple[str, ...], processor: str, tmp_path: Path) -> None:
    fitting, known = tags(processor), wheels()
    requirements = locked(extras, tmp_path / "requirements.txt", processor)
    assert "numpy" in {requirement.name for requirement in requirements}
    for requirement in requirements:
        version = str(requirement.specifier).removeprefix("==")
        assert any(fitting & wheel for wheel in known[requirement.name, version]), f"{requirement} on {processor}"


def test_the_edge_image_takes_the_engines_that_are_locked_for_it() -> None:
    dockerfile = (ROOT / "edge" / "Dockerfile").read_text()
    assert f"ARG ENGINE={SCRIPT['ENGINES'][0]}\n" in dockerfile
    assert '"requirements-${ENGINE}.txt"' in dockerfile
