"""What `pipeline run --docker` needs before it starts anything: an engine, and images of the code that runs here."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from lerobot_inference.cli.pipeline import app
from lerobot_inference.errors import ConfigError, ServiceError
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.images import require_current
from lerobot_inference.jobs.process import PACKAGE

ENVIRONMENT = """\
name: probe
version: "1"
tags: {extras: report}
build: {path: .}
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A build context with a wheel of this very code."""
    (tmp_path / "environment.yaml").write_text(ENVIRONMENT)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with ZipFile(tmp_path / "lerobot_inference-0.1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lerobot_inference-0.1.0.dist-info/METADATA", "")
        for path in PACKAGE.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                wheel.write(path, path.relative_to(PACKAGE.parent))
    return Environment.read(tmp_path / "environment.yaml")


def test_a_wheel_of_the_code_that_runs_here_is_current(environment: Environment) -> None:
    require_current(environment)


def test_a_wheel_of_other_code_is_refused_and_the_file_is_named(environment: Environment) -> None:
    (wheel,) = environment.path.parent.glob("*.whl")
    with ZipFile(wheel, "a") as more:
        more.writestr("lerobot_inference/gone.py", "")
    with pytest.raises(ConfigError, match=r"holds other code than runs here: lerobot_inference/gone\.py") as error:
        require_current(environment)
    assert error.value.hint
    assert "make images" in error.value.hint


def test_a_build_context_without_a_wheel_is_refused(environment: Environment) -> None:
    (wheel,) = environment.path.parent.glob("*.whl")
    wheel.unlink()
    with pytest.raises(ConfigError, match="expected one wheel, found 0"):
        require_current(environment)


def test_an_environment_that_is_not_built_from_this_package_has_no_wheel_to_check(environment: Environment) -> None:
    environment.path.write_text("name: probe\nimage: python:3.12-slim-bookworm\n")
    require_current(Environment.read(environment.path))


@pytest.mark.parametrize("address", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"])
def test_no_engine_is_one_message_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    (tmp_path / "environment.yaml").write_text("name: probe\nimage: python:3.12-slim-bookworm\n")
    component = "name: help\ntype: command\nenvironment: file:environment.yaml\ncommand: python --help\n"
    (tmp_path / "help.yaml").write_text(component)
    (tmp_path / "pipeline.yaml").write_text("type: pipeline\njobs:\n  help: {component: help.yaml}\n")
    monkeypatch.setenv("DOCKER_HOST", address)
    result = CliRunner().invoke(app, ["run", f"{tmp_path}/pipeline.yaml", "--docker", "--output", f"{tmp_path}/run"])
    assert isinstance(result.exception, ServiceError)
    assert f"no Docker engine answers at {address}" in result.exception.message
    assert not (tmp_path / "run").exists()
