"""Write what each image holds, as SPDX, to dist/sbom/. `make sbom` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lerobot_inference.cli import run
from lerobot_inference.errors import ServiceError
from lerobot_inference.jobs.environment import Environment

ROOT = Path(__file__).resolve().parents[1]
SBOMS = ROOT / "dist" / "sbom"


def sbom() -> None:
    """Read every image that is built."""
    SBOMS.mkdir(parents=True, exist_ok=True)
    for path in [*sorted(ROOT.glob("environments/*/environment.yaml")), *ROOT.glob("edge/environment.yaml")]:
        write_sbom(Environment.read(path).image, SBOMS / f"{path.parent.name}.spdx.json")


def write_sbom(image: str, output: Path) -> None:
    """Write the SPDX document of a local image. Raises ServiceError with what syft said."""
    syft = Path(sys.executable).with_name("syft")
    call = [str(syft), "scan", f"docker:{image}", "--quiet", "--output", f"spdx-json={output}"]
    done = subprocess.run(
        call, env=os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ServiceError(f"{image} can't be read: {done.stderr.strip()}", hint="build it first: make images")
    print(output)


if __name__ == "__main__":
    run(sbom)
