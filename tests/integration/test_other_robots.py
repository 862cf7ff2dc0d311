"""Nothing in the path from evaluate to report is made for six joints and one camera."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lerobot_writer import write_dataset

from lerobot_inference.cli import main
from lerobot_inference.evaluation.results_folder import load_results

COLOR, WRIST = "observation.images.color", "observation.images.wrist"
SIZE = {COLOR: (64, 96)}


@pytest.mark.parametrize(
    ("robot", "names"),
    [
        ({"state_dim": 1, "action_dim": 1}, None),
        ({"state_dim": 2, "action_dim": 2}, {"motors": ["pan", "tilt"]}),
        ({"state_dim": 7, "action_dim": 7}, [f"panda_joint{j + 1}" for j in range(7)]),
        ({"state_dim": 14, "action_dim": 14, "cameras": SIZE | {WRIST: (48, 64)}}, {f"j{j}": j for j in range(14)}),
        ({"state_dim": 6, "action_dim": 8}, {str(j): f"axis {j}" for j in range(8)}),
        ({"state_dim": 8, "action_dim": 6}, None),
    ],
    ids=["1", "2-named-by-dict", "7", "14-two-cameras", "more-actions", "more-states"],
)
def test_numbers_plots_and_page_come_out_for_any_robot(
    checkpoint_factory: Callable[..., Path], tmp_path: Path, robot: dict[str, Any], names: object
) -> None:
    dataset = write_dataset(tmp_path / "dataset", episodes=[24, 20], **robot)
    rename_actions(dataset, names)
    policy = checkpoint_factory(**robot)
    mode = "auto" if robot["state_dim"] == robot["action_dim"] else "delta"

    run("evaluate", "--policy", policy, "--dataset", dataset, "--device", "cpu", "--output", tmp_path / "results",
        "--perturb", "delay:2", "--action-mode", mode)  # fmt: skip
    run("plot", "--results", tmp_path / "results", "--dataset", dataset, "--output", tmp_path / "report")

    results, joints = load_results(tmp_path / "results"), robot["action_dim"]
    assert len(set(results.joint_names)) == joints
    for protocol in results.protocols.values():
        assert len(protocol.error.per_joint_p95) == len(protocol.per_joint_skill) == joints
        assert protocol.intervals is not None
        assert len(protocol.intervals.per_joint_mae) == joints
    assert len(list((tmp_path / "report" / "plots").glob("episode_*/*.png"))) == 2 * 4
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in results.joint_names)


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert not ended.value.code


def rename_actions(dataset: Path, names: object) -> None:
    """Give the actions their names as other recorders spell them."""
    path = dataset / "meta" / "info.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    if names is not None:
        info["features"]["action"]["names"] = names
    path.write_text(json.dumps(info), encoding="utf-8")
