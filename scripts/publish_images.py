"""Push the image of every step and write the Azure ML files that name it by digest. `make publish` runs it.

dist/azureml/ holds pipelines/, components/ and environments/ as they are here, except that each environment is an image
in the registry, pinned by digest, in place of a folder to build one from. Azure ML, OSMO and this machine then run the
very same bytes. Log in to the registry first (`docker login`, `az acr login`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from lerobot_inference.cli import run
from lerobot_inference.cli.console import console
from lerobot_inference.errors import ServiceError
from lerobot_inference.files import atomic_folder
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.images import connect, image_id

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("pipelines", "components")


def publish(
    registry: Annotated[
        str, typer.Argument(help="Where to, such as myregistry.azurecr.io or registry.example.com/team.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the files that name the images by digest.")] = ROOT
    / "dist"
    / "azureml",
) -> None:
    """Build, push, and write the files that name what was pushed."""
    client = connect()
    pinned: dict[Path, str] = {}
    for path in sorted((ROOT / "environments").glob("*/environment.yaml")):
        environment = Environment.read(path)
        image_id(client, environment, console.print)
        pinned[path.relative_to(ROOT)] = push(client, environment.image, registry)
        console.print(pinned[path.relative_to(ROOT)], soft_wrap=True)
    with atomic_folder(output) as folder:
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name)
        for path, image in pinned.items():
            write_environment(ROOT / path, folder / path, image)
    console.print(f"submit with: az ml job create --file {output}/pipelines/evaluate.yaml", soft_wrap=True)


def push(client: DockerClient, image: str, registry: str) -> str:
    """Push a local image under the registry's name for it; return that name with its digest. Raises ServiceError."""
    name, _, version = image.rpartition(":")
    repository = f"{registry}/{name}"
    client.images.get(image).tag(repository, version)
    digest = None
    for event in client.images.push(repository, version, stream=True, decode=True):
        if "error" in event:
            raise ServiceError(
                f"{repository}:{version} can't be pushed: {event['error']}",
                hint=f"log in first: docker login {registry}",
            )
        digest = event.get("aux", {}).get("Digest", digest)
    if digest is None:
        raise ServiceError(f"{registry} took {repository}:{version} without saying its digest")
    return f"{repository}@{digest}"


def write_environment(source: Path, target: Path, image: str) -> None:
    """The environment file with `image` in place of what it is built from."""
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    pinned = {key: value for key, value in content.items() if key not in ("build", "tags")} | {"image": image}
    target.parent.mkdir(parents=True)
    target.write_text(yaml.safe_dump(pinned, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    run(publish)
