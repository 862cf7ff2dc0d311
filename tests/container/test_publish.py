"""Images in a registry, and the Azure ML files that name them by digest."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker import DockerClient
from registry_kit import digest, serve_registry

from lerobot_inference.errors import ServiceError
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.pipeline import Pipeline

pytestmark = pytest.mark.container
ROOT = Path(__file__).parents[2]
NAME = "lerobot-inference-publish-test"


@pytest.fixture
def publish(tmp_path: Path, engine: DockerClient) -> Callable[..., None]:
    """The script over a copy of this tree whose images hold next to nothing."""
    assert engine.ping()
    for name in ("pipelines", "components", "environments"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for environment in (tmp_path / "environments").glob("*/environment.yaml"):
        content = yaml.safe_load(environment.read_text()) | {"name": f"{NAME}-{environment.parent.name}"}
        environment.write_text(yaml.safe_dump(content))
        environment.with_name("Dockerfile").write_text(
            f'FROM scratch\nLABEL step="{environment.parent.name}"\nCOPY environment.yaml /\n'
        )
    function: Any = runpy.run_path(str(ROOT / "scripts" / "publish_images.py"))["publish"]
    function.__globals__["ROOT"] = tmp_path
    return function


def test_every_step_runs_the_image_that_was_pushed(
    publish: Callable[..., None], engine: DockerClient, tmp_path: Path
) -> None:
    with serve_registry() as registry:
        publish(registry.address, tmp_path / "dist")
        for path in sorted((tmp_path / "dist" / "environments").glob("*/environment.yaml")):
            environment = Environment.read(path)
            repository, _, pinned = environment.image.partition("@")
            assert repository == f"{registry.address}/{NAME}-{path.parent.name}"
            assert digest(registry.manifests[pinned][1]) == pinned
            assert environment.context is None
            labels = engine.images.pull(environment.image).labels
            assert labels == {"step": path.parent.name}
    names = {path.parent.name for path in (ROOT / "environments").glob("*/environment.yaml")}
    assert {path.parent.name for path in (tmp_path / "dist" / "environments").glob("*/environment.yaml")} == names


def test_azures_sdk_takes_the_published_pipelines(publish: Callable[..., None], tmp_path: Path) -> None:
    from azure.ai.ml import load_job

    with serve_registry() as registry:
        publish(registry.address, tmp_path / "dist")
    for path in sorted((tmp_path / "dist" / "pipelines").glob("evaluate*.yaml")):
        Pipeline.read(path, here=False)
        job = load_job(path)
        assert job._validate().passed
        for step in job.jobs.values():
            environment = step._component.environment if hasattr(step._component, "environment") else step.environment
            assert "@sha256:" in environment.image, path


def test_a_registry_that_refuses_is_one_message_and_leaves_no_files(
    publish: Callable[..., None], tmp_path: Path
) -> None:
    with serve_registry() as registry, pytest.raises(ServiceError, match="can't be pushed.*denied") as raised:
        registry.closed = True
        publish(registry.address, tmp_path / "dist")
    assert raised.value.hint is not None
    assert "docker login" in raised.value.hint
    assert not (tmp_path / "dist").exists()


PAGE = (ROOT / "docs" / "how-to" / "private-registry.md").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.replace("\\\n", " ").splitlines()
]


def test_the_pages_commands_work_on_what_was_published(publish: Callable[..., None], tmp_path: Path) -> None:
    """Those that need no login; `make publish` is the script, and `submit` is tested where Azure is played."""
    with serve_registry() as registry:
        publish(registry.address, tmp_path / "dist" / "azureml")
    assert "make publish REGISTRY=registry.example.com/robots" in COMMANDS
    assert "publish: " in (ROOT / "Makefile").read_text()
    ran = []
    for command in COMMANDS:
        words = shlex.split(command)
        if words[:3] in (["lerobot-inference", "pipeline", "lint"], ["lerobot-inference", "osmo", "render"]):
            ran.append(words[1:3])
            program = [sys.executable, "-m", "lerobot_inference", *words[1:]]
            result = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
            assert result.returncode == 0, result.stderr
    assert ran == [["pipeline", "lint"], ["osmo", "render"]]
    rendered = (tmp_path / "osmo-evaluate.yaml").read_text()
    assert rendered.count("@sha256:") == rendered.count("image: ") > 0
