"""The node's benchmarks run where torch, lerobot and PyAV are not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", ["node_ticks", "node_full_size", "node_cpu", "node_start"])
def test_a_benchmark_of_the_node_starts_in_the_environment_of_ros(name: str) -> None:
    said = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--help"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert "--quick" in said.stdout
