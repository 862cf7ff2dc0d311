"""Images on a Docker engine: found by name, or built from their folder as `docker build` would."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from lerobot_inference.errors import ConfigError, ServiceError, require
from lerobot_inference.jobs.cache import content
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.process import PACKAGE

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_HOST = "unix:///var/run/docker.sock"
LOG_LINES = 20
MAKE_IMAGES = "`make images` writes the wheel and requirements.txt that our images are built from"

type Say = Callable[[str], None]


def connect() -> DockerClient:
    """The engine that DOCKER_HOST names, or this machine's. Raises UsageError without the SDK, ServiceError."""
    docker = require("docker", "docker")
    try:
        client: DockerClient = docker.from_env()  # asks the engine for its version
    except docker.errors.DockerException as error:
        raise ServiceError(
            f"no Docker engine answers at {os.environ.get('DOCKER_HOST', DEFAULT_HOST)}: {error}",
            hint="start one, or name it in DOCKER_HOST; without --docker the steps run as processes and need none",
        ) from error
    return client


def require_current(environment: Environment) -> None:
    """Raise ConfigError unless the wheel in a build context of ours holds the very code that runs here."""
    if environment.context is None or not environment.extras:
        return
    wheels = list(environment.context.glob("*.whl"))
    if len(wheels) != 1:
        raise ConfigError(f"{environment.context}: expected one wheel, found {len(wheels)}", hint=MAKE_IMAGES)
    with ZipFile(wheels[0]) as wheel:
        names = [name for name in wheel.namelist() if name.startswith(f"{PACKAGE.name}/")]
        shipped = {name: hashlib.sha256(wheel.read(name)).hexdigest() for name in names}
    here = {f"{PACKAGE.name}/{name}": sha256 for name, sha256 in content(PACKAGE).items()}
    if differing := sorted(name for name in shipped | here if shipped.get(name) != here.get(name)):
        raise ConfigError(f"{wheels[0]} holds other code than runs here: {differing[0]}", hint=MAKE_IMAGES)


def image_id(client: DockerClient, environment: Environment, say: Say) -> str:
    """The id of an environment's image, which is built or pulled where it must be.

    An image is built each time: what its folder still holds the same comes from the engine's own cache.
    Raises ConfigError with the end of the log when it can't be built, ServiceError when it can't be pulled.
    """
    return _build(client, environment, say) if environment.context else _pull(client, environment.image, say)


def _build(client: DockerClient, environment: Environment, say: Say) -> str:
    say(f"building {environment.image}")
    lines: list[str] = []
    step = ""
    progress = client.api.build(
        path=str(environment.context),
        dockerfile=environment.dockerfile,
        tag=environment.image,
        network_mode="host",
        rm=True,
        forcerm=True,
        decode=True,
    )
    for event in progress:
        said = str(event.get("stream") or event.get("error") or "").strip()
        lines += said.splitlines()
        if said.startswith("Step "):
            step = said
        if said.startswith("---> Running in"):  # it is not in the engine's cache
            say(f"{environment.image}: {step}")
        if "error" in event:
            raise ConfigError(
                "\n".join([f"{environment.context}: the image can't be built", *lines[-LOG_LINES:]]),
                hint=MAKE_IMAGES,
            )
    return _id(client, environment.image)


def _pull(client: DockerClient, name: str, say: Say) -> str:
    from docker.errors import DockerException, ImageNotFound

    try:
        return _id(client, name)
    except ImageNotFound:
        say(f"pulling {name}")
    try:
        client.images.pull(name)
        return _id(client, name)
    except DockerException as error:
        raise ServiceError(f"{name} can't be pulled: {error}", hint="check its name and `docker login`") from error


def _id(client: DockerClient, name: str) -> str:
    image: Any = client.images.get(name)
    return str(image.id)
