"""The whole evaluation path in an environment in which torch and lerobot are not installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice

REPOSITORY = Path(__file__).resolve().parents[2]
UV = shutil.which("uv") or str(REPOSITORY / ".tools/bin/uv")

pytestmark = pytest.mark.slow


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        [str(part) for part in command],
        env=variables | environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of an environment with the locked packages of three extras: what an evaluation needs."""
    environment = tmp_path_factory.mktemp("without-torch") / "venv"
    # Offline: everything is in uv's cache, from which the environment that runs this test was made.
    extras = ("--extra", "dataset", "--extra", "openvino", "--extra", "onnxruntime")
    made = run(
        *(UV, "sync", "--locked", "--offline", "--no-default-groups", *extras), UV_PROJECT_ENVIRONMENT=str(environment)
    )
    assert made.returncode == 0, made.stderr
    return environment / "bin"


def test_torch_and_lerobot_are_not_there_and_the_package_imports(bare: Path) -> None:
    for package in ("torch", "lerobot"):
        assert "ModuleNotFoundError" in run(bare / "python", "-c", f"import {package}").stderr
    assert run(bare / "python", "-c", "import lerobot_inference.engine").returncode == 0


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_an_evaluation_there_gives_lerobots_predictions(
    bare: Path, checkpoint: Path, dataset_folder: Path, tmp_path: Path, engine: str
) -> None:
    results = tmp_path / "results"
    done = run(
        *(bare / "lerobot-inference", "evaluate", "--policy", checkpoint, "--dataset", dataset_folder),
        *("--device", "cpu", "--engine", engine, "--output", results, "--json"),
    )
    assert done.returncode == 0, done.stderr
    provenance: dict[str, Any] = json.loads(done.stdout)["provenance"]
    assert provenance["engine"] == ("openvino" if engine == "auto" else engine)
    assert "torch" not in provenance["versions"]

    policy, episode = Checkpoint.open(checkpoint), Dataset.open(dataset_folder).episode(0)
    with np.load(results / "predictions" / "ep000_predictions.npz", allow_pickle=False) as saved:
        first, predicted = saved["chunk_starts"][0], saved["predicted"]
    images = {
        name: image[None] for name, image in next(iter(episode.frames([first], list(policy.spec.cameras)))).items()
    }
    chunk = EngineChoice("lerobot").load(policy).predict(images, episode.states[[first]]).actions[0]
    std = policy.normalization.action.statistics["std"]
    assert (np.abs(predicted[: len(chunk)] - chunk) / std).max() < 1e-4


def test_asking_for_lerobots_engine_there_says_which_extra_to_install(
    bare: Path, checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    done = run(
        *(bare / "lerobot-inference", "evaluate", "--policy", checkpoint, "--dataset", dataset_folder),
        *("--device", "cpu", "--engine", "lerobot", "--output", tmp_path / "results"),
    )
    assert done.returncode == 2
    assert "torch is not installed" in done.stderr
    assert "lerobot-inference[lerobot]" in done.stderr
    assert not (tmp_path / "results").exists()
