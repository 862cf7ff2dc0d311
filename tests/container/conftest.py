"""A Docker engine. Where none answers, these tests are skipped on a laptop and fail in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from control_kit import guard_settings
from docker import DockerClient
from edge_kit import SIZE, readable, teach

from lerobot_inference.errors import ServiceError
from lerobot_inference.jobs.images import connect

COLOR = "observation.images.color"
PATIENT = {"joint_state_age": {"hold_s": 2.0, "latch_s": 4.0}, "image_age": {"hold_s": 2.0, "latch_s": 4.0}}


@pytest.fixture(scope="session")
def engine() -> DockerClient:
    try:
        return connect()
    except ServiceError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def given(checkpoint_factory: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """policy: a checkpoint that goes straight to the ball and on; guards.yaml: ages that a busy machine keeps to."""
    folder = tmp_path_factory.mktemp("given")
    policy = checkpoint_factory(cameras={COLOR: (SIZE.height, SIZE.width)})
    teach(Path(shutil.copytree(policy, folder / "policy")))
    (folder / "guards.yaml").write_text(yaml.safe_dump({"guards": guard_settings(**PATIENT)}))
    return readable(folder)
