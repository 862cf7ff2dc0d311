"""`lerobot-inference sim` as a person and a script meet it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TINY = ("--image-size", "64x112", "--samples", "40", "--backbone-steps", "2", "--steps", "2")


def sim(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lerobot_inference", "sim", *map(str, arguments)],
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sim") / "policy"
    done = sim("train", "--output", folder, *TINY)
    assert done.returncode == 0, done.stderr
    assert "11.9 million parameters" in done.stdout
    assert "training the policy: 2/2" in done.stderr
    return folder


def test_record_says_what_it_wrote_and_the_encoder_keeps_quiet(tmp_path: Path) -> None:
    done = sim("record", "--output", tmp_path / "cell", "--episodes", "1", "--image-size", "64x112")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 episodes, ")
    assert "recording episodes: 1/1" in done.stderr
    assert "libx264" not in done.stderr
    assert (tmp_path / "cell" / "meta" / "info.json").is_file()


def test_rollout_prints_its_measurement_as_json_alone(policy: Path) -> None:
    done = sim("rollout", "--policy", policy, "--episodes", "2", "--seed", "3", "--wrong-image", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["episodes"], printed["seed"], printed["wrong_image"]) == (2, 3, True)
    assert len(printed["runs"]) == 2


def test_rollout_tells_a_person_what_reached_means(policy: Path) -> None:
    done = sim("rollout", "--policy", policy, "--episodes", "1")
    assert "of 1 runs" in done.stdout
    assert "reached means within 4 cm" in done.stdout


@pytest.mark.parametrize("size", ["480", "0x848", "480x848x3", "big"])
def test_an_impossible_image_size_is_a_usage_error(tmp_path: Path, size: str) -> None:
    done = sim("record", "--output", tmp_path / "cell", "--image-size", size)
    assert done.returncode == 2
    assert "is not height x width" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("rclpy") is not None, reason="here it would run until Ctrl-C")
def test_serve_says_which_extra_it_needs() -> None:
    done = sim("serve")
    assert done.returncode == 2
    assert "rclpy is not installed" in done.stderr
    assert "lerobot-inference[ros2]" in done.stderr
