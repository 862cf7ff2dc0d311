"""The scripts in examples/ do what they say, and so does the distribution that two of them are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plugin_kit import install_examples

from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_predictions, load_results

EXAMPLES = Path(__file__).parents[2] / "examples"
GUARDS = "guards: {keep_out: {post: [0.0, 0.0], radius: 2.0}}"  # so wide that it must speak


def run(*command: str | Path) -> str:
    """What it prints."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def evaluated(checkpoint: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvalResults:
    """With the examples installed: that engine, that guard, in two worker processes."""
    install_examples(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "guards.yaml").write_text(GUARDS)
    given = ["--policy", checkpoint, "--dataset", dataset_folder, "--output", tmp_path / "results", "--device", "cpu"]
    run(
        "-m",
        "lerobot_inference",
        "evaluate",
        *given,
        "--engine",
        "smooth",
        "--guards",
        tmp_path / "guards.yaml",
        "--workers",
        "2",
    )
    return load_results(tmp_path / "results")


def test_a_policy_is_evaluated_in_ten_lines(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    said = run(EXAMPLES / "evaluate_a_policy.py", checkpoint, dataset_folder, tmp_path)
    results = load_results(tmp_path)
    assert f"mean absolute error {1000 * results.aggregate_mae:.3f} mrad" in said
    assert f"skill {results.as_deployed.skill:.3f}" in said
    assert len(said.splitlines()) == 1 + len(results.as_deployed.baselines)
    body = (EXAMPLES / "evaluate_a_policy.py").read_text().partition("__main__")[2].splitlines()[1:]
    assert len(body) <= 10


def test_a_guard_of_ones_own_speaks_in_the_safety_replay(evaluated: EvalResults) -> None:
    safety = evaluated.safety_replay
    assert safety is not None
    assert set(safety.guards) == {"keep_out"}
    assert safety.guards["keep_out"].severest == "latch"
    assert safety.stopped_episodes == 3
    assert safety.first_events["keep_out"].reason.startswith("the tool would come within")


def test_an_engine_of_ones_own_is_named_with_its_version_and_answers(
    evaluated: EvalResults, checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    assert evaluated.engine == "smooth"
    assert evaluated.provenance.versions["my-cell"] == "1.0"
    run(EXAMPLES / "evaluate_a_policy.py", checkpoint, dataset_folder, tmp_path / "plain")
    plain = load_results(tmp_path / "plain")
    sharp = load_predictions(tmp_path / "plain", plain, plain.per_episode[0]).predicted
    smooth = load_predictions(tmp_path / "results", evaluated, evaluated.per_episode[0]).predicted
    np.testing.assert_allclose(smooth[1:7], (sharp[:6] + sharp[1:7] + sharp[2:8]) / 3, atol=1e-5)
