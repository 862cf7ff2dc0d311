"""What a step's program runs in: an Azure ML environment, as an image that exists or as a folder to build one from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from lerobot_inference.jobs.document import Document
from lerobot_inference.jobs.environment_checks import check_environment
from lerobot_inference.jobs.keys import ENVIRONMENT


class BuildFile(BaseModel):
    """The build context."""

    path: str = "."
    dockerfile_path: str = "Dockerfile"


class EnvironmentFile(BaseModel):
    """The keys of an environment file that matter for building and running it here."""

    name: str
    version: str = "latest"
    tags: dict[str, str] = {}
    image: str | None = None
    build: BuildFile | None = None


@dataclass(frozen=True)
class Environment:
    """An environment read from `path`. image: the image's name, which is that of what `context` builds, if it does.

    extras: of this package, that the program in the image needs.
    """

    path: Path
    image: str
    context: Path | None
    dockerfile: str
    extras: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Environment:
        """Read and check an environment file. Raises ConfigError."""
        document = Document.read(path)
        file = document.parse(EnvironmentFile, ENVIRONMENT)
        check_environment(document, document.data)
        build = file.build or BuildFile()
        context = path.parent / build.path if file.build else None
        image = file.image or f"{file.name}:{file.version}"
        extras = tuple(file.tags.get("extras", "").split())
        return document.sound(cls(path, image, context, build.dockerfile_path, extras))

    @classmethod
    def of(cls, component: Path) -> Environment:
        """The environment that a component file names. Raises ConfigError."""
        document = Document.read(component)
        named = named_by(document)
        if not isinstance(named, str) or named.startswith("azureml:"):
            raise document.error(
                f"expected the file of an environment, found {named!r}",
                "environment",
                hint="write environment: file:<path>, relative to the component file",
            )
        return cls.read(component.parent / named.removeprefix("file:"))


def named_by(component: Document) -> object:
    """What a component says of its environment, where its kind says it."""
    return component.data.get("environment") or component.data.get("task", {}).get("environment")
