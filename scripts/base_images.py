"""The base images by digest, which environments/bases.txt keeps: `pull` them, or `renew` the digests.

`pull` gives each the name that our Dockerfiles start from, so that `make images` then builds on these very bytes; a
machine that has no way to the registry builds on what it has under that name.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lerobot_inference.cli import run
from lerobot_inference.cli.console import console
from lerobot_inference.errors import ServiceError
from lerobot_inference.files import atomic_write
from lerobot_inference.jobs.images import connect

if TYPE_CHECKING:
    from docker import DockerClient

BASES = Path(__file__).resolve().parents[1] / "environments" / "bases.txt"


class Action(StrEnum):
    """What to do with the bases."""

    PULL = "pull"
    RENEW = "renew"


def bases(
    action: Annotated[Action, typer.Argument(help="pull the images, or renew their digests.")],
    file: Annotated[Path, typer.Option(help="Lines of a name and its digest.")] = BASES,
) -> None:
    """Pull every base image by its digest, or write down the digests that their names have now."""
    from docker.errors import DockerException

    client = connect()
    lines = file.read_text(encoding="utf-8").splitlines()
    try:
        renewed = [line if line.startswith("#") else _do(client, action, *line.split()) for line in lines]
    except DockerException as error:
        raise ServiceError(f"{file}: {error}", hint="the registry must be reachable, and hold these images") from error
    if action is Action.RENEW:
        with atomic_write(file) as temporary:
            temporary.write_text("\n".join([*renewed, ""]), encoding="utf-8")


def _do(client: DockerClient, action: Action, name: str, digest: str) -> str:
    """The line as it is then."""
    repository, _, tag = name.rpartition(":")
    if action is Action.PULL:
        client.images.pull(f"{repository}@{digest}").tag(repository, tag)
    else:
        digest = client.images.get_registry_data(name).id
    console.print(f"{name} {digest}", soft_wrap=True)
    return f"{name} {digest}"


if __name__ == "__main__":
    run(bases)
