"""The base images by digest: what a name stands for is written down, and what was written down is pulled."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from registry_kit import Registry, digest, serve_registry

from lerobot_inference.errors import ServiceError

pytestmark = pytest.mark.container
ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "base_images.py"))
RENEW, PULL = SCRIPT["Action"].RENEW, SCRIPT["Action"].PULL


@pytest.fixture
def registry(engine: DockerClient) -> Iterator[Registry]:
    """Holds one image under two tags in turn."""
    with serve_registry() as registry:
        yield registry
    for image in engine.images.list(filters={"label": "base-images-test"}):
        engine.images.remove(image.id, force=True)


def push(engine: DockerClient, registry: Registry, folder: Path, content: str) -> str:
    """Push an image as base:1; return its digest."""
    (folder / "Dockerfile").write_text(f"FROM scratch\nLABEL base-images-test={content}\nCOPY Dockerfile /\n")
    engine.images.build(path=str(folder), tag=f"{registry.address}/base:1", rm=True)
    engine.images.push(f"{registry.address}/base", "1")
    return digest(registry.manifests["1"][1])


def test_a_new_digest_is_written_down_and_pulled_under_the_images_name(
    engine: DockerClient, registry: Registry, tmp_path: Path
) -> None:
    bases: Callable[..., Any] = SCRIPT["bases"]
    name, file = f"{registry.address}/base:1", tmp_path / "bases.txt"
    first = push(engine, registry, tmp_path, "first")
    file.write_text(f"# why\n{name} sha256:{'0' * 64}\n")
    bases(RENEW, file)
    assert file.read_text() == f"# why\n{name} {first}\n"

    second = push(engine, registry, tmp_path, "second")
    assert second != first
    bases(PULL, file)  # the name has moved on; what was written down has not
    assert engine.images.get(name).labels == {"base-images-test": "first"}
    bases(RENEW, file)
    bases(PULL, file)
    assert engine.images.get(name).labels == {"base-images-test": "second"}


def test_a_registry_without_the_image_is_one_message_and_leaves_the_file(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "bases.txt"
    before = f"{registry.address}/absent:1 sha256:{'0' * 64}\n"
    file.write_text(before)
    for action in (RENEW, PULL):
        with pytest.raises(ServiceError, match=r"bases\.txt"):
            SCRIPT["bases"](action, file)
    assert file.read_text() == before


def test_every_base_that_a_dockerfile_starts_from_has_a_digest() -> None:
    lines = [line.split() for line in SCRIPT["BASES"].read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for _, digest in lines)
    dockerfiles = [*ROOT.glob("environments/*/Dockerfile"), ROOT / "edge" / "Dockerfile"]
    started = {name for path in dockerfiles for name in re.findall(r"^ARG \w+_IMAGE=(\S+)$", path.read_text(), re.M)}
    assert started == {name for name, _ in lines}
