"""scripts/test-lerobot-inference.py: the seed's flags and printed lines, and figures that are lerobot's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_kit import run_evaluate
from hub_server import COMMIT, serve

from lerobot_inference.types import FloatArray

SCRIPT = Path(__file__).parents[2] / "scripts" / "test-lerobot-inference.py"


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def lerobots_own_loop(
    policy_folder: Path, dataset_folder: Path, start: int, steps: int
) -> tuple[FloatArray, FloatArray]:
    """lerobot's dataset class, processors and select_action over the first episode: (predicted, recorded)."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(policy_folder)
    config.pretrained_backbone_weights = None
    policy = ACTPolicy.from_pretrained(policy_folder, config=config)
    preprocess, postprocess = make_pre_post_processors(config, pretrained_path=str(policy_folder))
    dataset = LeRobotDataset("local/test", root=dataset_folder, video_backend="pyav")
    policy.reset()
    predicted, recorded = [], []
    for frame in range(start, start + steps):
        item = dataset[frame]
        observation = {key: value for key, value in item.items() if key.startswith("observation.")}
        with torch.inference_mode():
            predicted.append(postprocess(policy.select_action(preprocess(observation))).numpy()[0])
        recorded.append(item["action"].numpy())
    return np.stack(predicted), np.stack(recorded)


@pytest.fixture(scope="module")
def output(checkpoint: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the script printed for 30 steps from frame 5, and the file it wrote."""
    file = tmp_path_factory.mktemp("offline") / "predictions.npz"
    result = run(
        *("--policy-repo", checkpoint, "--dataset-dir", dataset_folder, "--episode", 0, "--start-frame", 5),
        *("--num-steps", 30, "--device", "cpu", "--output", file),
    )
    assert result.returncode == 0, result.stderr
    return result.stdout, file


def test_a_python_without_the_package_is_told_what_to_do() -> None:
    bare = [sys.executable, "-S", "-E", SCRIPT, "--help"]  # without the environment's packages
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ". .venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr


def test_predictions_are_those_of_lerobots_own_loop_and_the_printed_errors_follow(
    output: tuple[str, Path], checkpoint: Path, dataset_folder: Path
) -> None:
    text, file = output
    predicted, recorded = lerobots_own_loop(checkpoint, dataset_folder, start=5, steps=30)
    with np.load(file, allow_pickle=False) as ours:
        # Float32 sums in another order; with lerobot's engine it is 1e-6 (test_lerobot_engine.py).
        assert np.abs(ours["predicted"] - predicted).max() < 1e-5
        assert np.array_equal(ours["ground_truth"], recorded)
        assert ours["inference_times"].shape == (30,)
        error = ours["predicted"].astype(np.float64) - recorded
    assert f"  MSE (all joints):   {np.mean(error**2):.6f}\n" in text
    assert f"  MAE (all joints):   {np.mean(np.abs(error)):.6f}\n" in text


@pytest.mark.parametrize(("engine", "tolerance"), [("lerobot", 1e-6), ("openvino", 1e-5), ("onnxruntime", 1e-5)])
def test_a_whole_episode_evaluated_as_deployed_is_lerobots_own_loop_and_the_errors_follow(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, engine: str, tolerance: float
) -> None:
    done = run_evaluate(
        *(checkpoint, dataset_folder, tmp_path / "results", "--engine", engine),
        *("--episodes", "0-0", "--protocol", "as-deployed", "--json"),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    steps = results["per_episode"][0]["steps"]
    assert steps == 39  # the last of 40 actions is padding
    predicted, recorded = lerobots_own_loop(checkpoint, dataset_folder, start=0, steps=steps)
    with np.load(tmp_path / "results" / "predictions" / "ep000_predictions.npz", allow_pickle=False) as ours:
        assert np.abs(ours["predicted"] - predicted).max() < tolerance
        assert np.array_equal(ours["ground_truth"], recorded)
    error = predicted.astype(np.float64) - recorded
    assert results["aggregate_mse"] == pytest.approx(np.mean(error**2), abs=10 * tolerance)
    assert results["aggregate_mae"] == pytest.approx(np.mean(np.abs(error)), abs=tolerance)


def test_the_printed_lines_are_the_documented_ones(output: tuple[str, Path]) -> None:
    lines = output[0].splitlines()
    number = r" *-?\d+\.\d{3}"
    vector = rf"\[{number}(?:, {number}){{5}}\]"
    assert lines[0] == "Episode 0: 40 frames, starting at frame 5, testing 30 steps"
    assert re.fullmatch(rf"  step   0: pred={vector}  gt={vector}", lines[1])
    block = lines.index("=" * 60)
    assert lines[block + 1] == "Inference Results"
    assert lines[block + 2] == "=" * 60
    assert lines[block + 3] == "  Steps evaluated:    30"
    assert re.fullmatch(r"  MSE \(all joints\):   \d+\.\d{6}", lines[block + 4])
    assert re.fullmatch(r"  MAE \(all joints\):   \d+\.\d{6}", lines[block + 5])
    assert re.fullmatch(r"  Throughput:         \d+\.\d steps/s", lines[block + 6])
    assert re.fullmatch(r"  Realtime capable:   (yes|no) \(need 30 Hz\)", lines[block + 7])


def test_the_figures_beneath_name_the_network_calls_and_the_baseline(output: tuple[str, Path]) -> None:
    assert "Network calls:      4, forward p50" in output[0]
    assert "Queue pops:         30" in output[0]
    small = r"\d\.\d\de[-+]\d\d"  # six decimals may show an error as zero
    assert re.search(rf"  Policy:             MSE {small}, MAE {small}\n", output[0])
    assert re.search(rf"  Holding still:      MSE {small}, MAE {small}; skill", output[0])


def test_a_policy_is_fetched_from_the_hub_and_kept(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    with serve({"lab/reach-act": checkpoint}) as hub:
        arguments = ("--policy-repo", "lab/reach-act", "--dataset-dir", dataset_folder, "--num-steps", 2)
        settings = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        result = run(*arguments, "--device", "cpu", XDG_CACHE_HOME=str(tmp_path), **settings)
    assert result.returncode == 0, result.stderr
    assert f"lab/reach-act@{COMMIT}" in result.stderr
    assert (tmp_path / "lerobot-inference" / "lab" / "reach-act" / "download.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message", "advice"),
    [
        (("--episode", "3"), 3, "no episode 3; the dataset has 0 to 2", ""),
        (("--start-frame", "39"), 3, "episode 0 has no frame 39 to start at", "from 0 to 38"),
        (("--num-steps", "0"), 2, "--num-steps is 0", ""),
        (("--device", "tpu"), 2, "device 'tpu' is unknown", "cuda, cpu, mps"),
    ],
)
def test_what_cannot_be_run_is_said_with_the_range_that_can(
    checkpoint: Path, dataset_folder: Path, arguments: tuple[str, ...], exit_code: int, message: str, advice: str
) -> None:
    device = () if "--device" in arguments else ("--device", "cpu")
    result = run("--policy-repo", checkpoint, "--dataset-dir", dataset_folder, *device, *arguments)
    assert result.returncode == exit_code
    assert message in result.stderr
    assert advice in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout or message not in result.stdout


def test_the_defaults_are_the_documented_ones() -> None:
    text = re.sub(r"[│╭╮╰╯─\s]+", " ", run("--help", COLUMNS="200").stdout)
    for expected in (
        "default: alizaidi/hve-robo-act-train",
        "--episode <int> Episode index for test observations. [default: 0]",
        "--start-frame <int> Starting frame within the episode. [default: 0]",
        "--num-steps <int> Number of inference steps. [default: 30]",
        "--device <str> Inference device (cuda, cpu, mps). [default: cuda]",
    ):
        assert expected in text
