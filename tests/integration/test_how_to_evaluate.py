"""The commands of the how-tos from a checkpoint to a bundle, in the order in which a reader does them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from docs_kit import ROOT, commands
from lerobot_writer import write_dataset

from lerobot_inference.checkpoint import Bundle
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.registry import Registration

PAGES = ("evaluate", "look", "judge", "export", "extend")
NOT_HERE = ("download", "ui", "rerun", "--champion-results", "pip", "smooth", "ros2")
"""What asks for the Hub, for a window, for a champion, which an untrained policy can't be, or for other packages: the
examples are installed by tests/integration/test_examples.py, beside this environment.
"""


@pytest.fixture(scope="module")
def folder(
    checkpoint_factory: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """Where all commands have been run; what each printed."""
    where = tmp_path_factory.mktemp("repository")
    for name in ("examples", "pipelines", "scripts", "src"):
        (where / name).symlink_to(ROOT / name)
    write_dataset(where / "dataset", episodes=[140, *[12] * 9])
    for seed, name in enumerate(("checkpoint", "other-checkpoint", "champion")):
        (where / name).symlink_to(checkpoint_factory(seed=seed))
    said = {}
    for name in PAGES:
        for command in commands(ROOT / "docs" / "how-to" / f"{name}.md"):
            if not set(command.words) & set(NOT_HERE):
                said[command.text] = run(command.words, where)
    return where, said


def run(words: list[str], where: Path) -> str:
    """As typed, in this environment."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(words, cwd=where, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_every_command_does_what_its_page_says(folder: tuple[Path, dict[str, str]]) -> None:
    where, said = folder
    assert len(said) >= 15
    assert load_results(where / "results-worse").robustness.keys() >= {"jpeg:50", "swap_rb"}
    assert (where / "report" / "report.html").is_file()
    assert (where / "results-seen" / "rerun" / "ep002.rrd").is_file()
    assert Registration.load(where / "registration").model_name == "hve-robo-act"
    assert Bundle.open(where / "bundle").manifest.parity is not None
    assert str(Bundle.open(where / "bundle-int8").manifest.precision) == "int8"
