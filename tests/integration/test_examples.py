"""The scripts in examples/ do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lerobot_inference.evaluation.results_folder import load_results

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: Path) -> str:
    """What the example prints."""
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_policy_is_evaluated_in_ten_lines(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    said = run("evaluate_a_policy.py", checkpoint, dataset_folder, tmp_path)
    results = load_results(tmp_path)
    assert f"mean absolute error {1000 * results.aggregate_mae:.3f} mrad" in said
    assert f"skill {results.as_deployed.skill:.3f}" in said
    assert len(said.splitlines()) == 1 + len(results.as_deployed.baselines)
    body = (EXAMPLES / "evaluate_a_policy.py").read_text().partition("__main__")[2].splitlines()[1:]
    assert len(body) <= 10


def test_a_guard_of_ones_own_speaks_in_the_safety_replay(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    said = run("add_a_guard.py", checkpoint, dataset_folder, tmp_path)
    safety = load_results(tmp_path / "results").safety_replay
    assert safety is not None
    assert safety.guards["keep_out"].severest == "latch"
    assert safety.stopped_episodes == 3
    assert "latch, the tool would come within" in said


def test_an_engine_of_ones_own_answers_with_the_mean_of_two_policies(
    checkpoint: Path, checkpoint_factory: Callable[..., Path], dataset_folder: Path, tmp_path: Path
) -> None:
    other = checkpoint_factory(seed=1)
    said = run("add_an_engine.py", checkpoint, other, dataset_folder, tmp_path)
    assert re.findall(r"^(\w+): [\d.]+ mrad", said, re.MULTILINE) == ["one", "other", "mean"]
    one, two, mean = (load_results(tmp_path / name) for name in ("one", "other", "mean"))
    assert mean.engine == "mean"
    assert mean.aggregate_mae <= (one.aggregate_mae + two.aggregate_mae) / 2
    assert mean.aggregate_mae != one.aggregate_mae
