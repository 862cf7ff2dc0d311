"""Build the image of every step, or of those named. `make images` runs it.

Into each folder under environments/ and edge/ it puts what the image is built from and git doesn't keep: this package
as a wheel, and the exact versions and hashes of all it needs there, for the edge image with each of its engines. With
--contexts it stops at that: Azure ML builds the images itself from these folders.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from lerobot_inference.cli import run
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.images import connect, image_id

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / "environments"
EDGE = ROOT / "edge"
ENGINES = ("openvino", "onnxruntime", "onnxruntime-cuda")  # what the edge image's ENGINE can be
UV = os.environ.get("UV", "uv")  # `uv run` says where it is


def build(
    steps: Annotated[
        list[str] | None, typer.Argument(help="Folders under environments/, edge or sim; all when none is given.")
    ] = None,
    contexts: Annotated[
        bool, typer.Option("--contexts", help="Write what the images are built from, no more.")
    ] = False,
) -> None:
    """Write the build contexts, then build the images."""
    # The simulated cell's image is made from the edge's.
    found = [*sorted(ENVIRONMENTS.glob("*/environment.yaml")), EDGE / "environment.yaml", EDGE / "sim/environment.yaml"]
    known = {path.parent.name: path for path in found}
    chosen = [Environment.read(known[step]) for step in steps or known]
    with TemporaryDirectory() as folder:
        call_uv("build", "--quiet", "--wheel", "--out-dir", folder)
        (wheel,) = Path(folder).glob("*.whl")
        for environment in chosen:
            write_context(environment, wheel)
    if not contexts:
        client = connect()
        for environment in chosen:
            image_id(client, environment, print)


def write_context(environment: Environment, wheel: Path) -> None:
    """Put the wheel and the locked requirements beside the Dockerfile, in place of earlier ones."""
    folder = environment.path.parent
    for earlier in folder.glob("*.whl"):
        earlier.unlink()
    shutil.copyfile(wheel, folder / wheel.name)
    if folder != EDGE:
        lock(environment.extras, folder / "requirements.txt")
        return
    for engine in ENGINES:
        lock((engine, *environment.extras), folder / f"requirements-{engine}.txt")


def lock(extras: tuple[str, ...], path: Path) -> None:
    """Write the versions and hashes of what the extras bring, on every platform."""
    named = [word for extra in extras for word in ("--extra", extra)]
    options = ["--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet"]
    call_uv("export", *options, *named, "--output-file", str(path))


def call_uv(*arguments: str) -> None:
    """Call uv in the repository."""
    subprocess.run([UV, *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    run(build)
