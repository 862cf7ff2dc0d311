"""Build the image of every step, or of those named. `make images` runs it.

Into each folder under environments/ it puts what the image is built from and git doesn't keep: this package as a
wheel, and the exact versions and hashes of all it needs there. With --contexts it stops at that: Azure ML builds the
images itself from these folders.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.images import connect, image_id

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / "environments"
UV = os.environ.get("UV", "uv")  # `uv run` says where it is


def main() -> None:
    """Write the contexts, then build."""
    steps = sorted(path.parent.name for path in ENVIRONMENTS.glob("*/environment.yaml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", help=f"of {', '.join(steps)}; all of them when none is named")
    parser.add_argument("--contexts", action="store_true", help="only write what the images are built from")
    arguments = parser.parse_args()
    chosen = [Environment.read(ENVIRONMENTS / step / "environment.yaml") for step in arguments.steps or steps]
    with TemporaryDirectory() as folder:
        run("build", "--quiet", "--wheel", "--out-dir", folder)
        (wheel,) = Path(folder).glob("*.whl")
        for environment in chosen:
            write_context(environment, wheel)
    if not arguments.contexts:
        client = connect()
        for environment in chosen:
            image_id(client, environment, print)


def write_context(environment: Environment, wheel: Path) -> None:
    """Put the wheel and the locked requirements beside the Dockerfile, in place of earlier ones."""
    folder = environment.path.parent
    for earlier in folder.glob("*.whl"):
        earlier.unlink()
    shutil.copyfile(wheel, folder / wheel.name)
    extras = [word for extra in environment.extras for word in ("--extra", extra)]
    requirements = ["--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet", *extras]
    run("export", *requirements, "--output-file", str(folder / "requirements.txt"))


def run(*arguments: str) -> None:
    """Call uv in the repository."""
    subprocess.run([UV, *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
