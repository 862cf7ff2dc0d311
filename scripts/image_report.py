"""Measure every image and write the table of docs/explanation/images.md. `make image-report` runs it.

Of the edge image, start and memory are those of the node itself: see node_start.py.

What an image ships is written to dist/images/: each Python package with its version and licence.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot_inference.cli import run
from lerobot_inference.files import atomic_write
from lerobot_inference.jobs.containers import HARDENING
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.images import connect

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "images.md"
SHIPPED = ROOT / "dist" / "images"
BUDGETS = {"download": 350, "plot": 350, "register": 350, "evaluate": 600, "edge": 450}
"""MB over the base."""
MB = 10**6
STARTS = 3

# Inside the image. `doctor` loads the engines that are there.
PROBE = """\
import importlib.metadata, json, resource, subprocess, sys
subprocess.run([sys.executable, "-m", "lerobot_inference", "doctor"], check=True, stdout=subprocess.DEVNULL)
def licence(about):
    classifiers = [line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    text = (about["License"] or "see its files").split("\\n")[0]
    return about["License-Expression"] or ", ".join(classifiers) or text
packages = {d.metadata["Name"]: [d.version, licence(d.metadata)] for d in importlib.metadata.distributions()}
print(json.dumps({"peak_kb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, "packages": packages}))
"""


@dataclass(frozen=True)
class Measured:
    """One image. own_mb, layers: over its base. start_s, peak_mb: from asking the engine to the end of `doctor`."""

    name: str
    own_mb: float
    total_mb: float
    layers: int
    packages: dict[str, list[str]]
    start_s: float
    peak_mb: float

    @classmethod
    def of(cls, client: DockerClient, environment: Environment) -> Measured:
        """Measure an image that is built. Raises DockerException."""
        image, base = client.images.get(environment.image), client.images.get(base_of(environment))
        probed, starts = {}, []
        for _ in range(STARTS):
            begun = time.perf_counter()
            probed = probe(client, environment.image)
            starts.append(time.perf_counter() - begun)
        return cls(
            name=environment.path.parent.name,
            own_mb=(image.attrs["Size"] - base.attrs["Size"]) / MB,
            total_mb=image.attrs["Size"] / MB,
            layers=len(image.attrs["RootFS"]["Layers"]) - len(base.attrs["RootFS"]["Layers"]),
            packages=probed["packages"],
            start_s=min(starts),
            peak_mb=probed["peak_kb"] * 1024 / MB,
        )

    @property
    def row(self) -> str:
        """Its line of the table."""
        budget = BUDGETS.get(self.name)
        kept = "" if budget is None else f"{budget}{'' if self.own_mb <= budget else ', not kept'}"
        figures = [f"{self.own_mb:.0f}", kept, f"{self.total_mb:.0f}", f"{self.layers}", f"{len(self.packages)}"]
        return " | ".join([f"| {self.name}", *figures, f"{self.start_s:.1f}", f"{self.peak_mb:.0f} |"])


HEADER = """\
| image | own layers, MB | budget, MB | with the base, MB | layers | Python packages | cold start, s | peak memory, MB |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def base_of(environment: Environment) -> str:
    """The image that a Dockerfile starts from."""
    text = (environment.path.parent / environment.dockerfile).read_text(encoding="utf-8")
    return str(re.findall(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)[0])


def probe(client: DockerClient, image: str) -> dict[str, Any]:
    """What PROBE prints in a hardened container."""
    own = client.images.get(image).attrs["Config"]["Entrypoint"] or []
    python = own[: own.index("python3") + 1] if "python3" in own else ["python3"]  # ROS is set up before it
    printed = client.containers.run(
        image,
        ["-c", PROBE],
        entrypoint=python,
        network_mode="none",
        remove=True,
        environment={"HOME": "/tmp"},  # noqa: S108, inside the container
        **HARDENING,
    )
    found: dict[str, Any] = json.loads(printed)
    return found


def write_licences(measured: Measured) -> None:
    """dist/images/NAME.tsv: package, version, licence."""
    lines = [
        "\t".join([name, *about]) for name, about in sorted(measured.packages.items(), key=lambda item: item[0].lower())
    ]
    SHIPPED.mkdir(parents=True, exist_ok=True)
    (SHIPPED / f"{measured.name}.tsv").write_text(
        "\n".join(["package\tversion\tlicence", *lines, ""]), encoding="utf-8"
    )


def report() -> None:
    """Measure the images that are built, print the table, and write it into the page."""
    from node_start import measure  # beside this file, which tests read without its folder

    client = connect()
    steps = map(Environment.read, sorted(ROOT.glob("environments/*/environment.yaml")))
    edge, sim = (Environment.read(ROOT / folder / "environment.yaml") for folder in ("edge", "edge/sim"))
    node = measure(client, edge.image, sim.image, STARTS)
    rows = []
    for environment in (*steps, edge):
        measured = Measured.of(client, environment)
        if environment is edge:
            measured = replace(measured, start_s=node.status_s, peak_mb=node.peak_mb)
        write_licences(measured)
        print(measured.row, flush=True)
        rows.append(measured.row)
    rows += ["", f"Beside the simulated cell `edge` had its first chunk {node.chunk_s:.1f} s after it was asked for."]
    print(rows[-1])
    start, end = "<!-- image-report -->\n", "<!-- end -->"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(start)
    after = rest.partition(end)[2]
    with atomic_write(PAGE) as temporary:
        temporary.write_text(f"{before}{start}{HEADER}" + "\n".join(rows) + f"\n{end}{after}", encoding="utf-8")
    print(f"written to {PAGE}; licences in {SHIPPED}")


if __name__ == "__main__":
    run(report)
