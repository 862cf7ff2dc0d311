"""The command line as scripts and people meet it: exit codes, JSON alone on stdout, one message on stderr."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from full_disk import run_with_small_files
from lerobot_writer import write_dataset


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lerobot_inference", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def evaluate(policy: Path, dataset: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run("evaluate", "--policy", policy, "--dataset", dataset, "--output", output, "--device", "cpu", *more)


def test_evaluate_prints_the_policy_above_every_baseline_for_both_protocols(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    result = evaluate(checkpoint, dataset_folder, tmp_path / "results")
    assert result.returncode == 0, result.stderr
    for expected in ("as-deployed", "every-frame", "policy", "hold still", "repeat last", "dataset mean", "skill"):
        assert expected in result.stdout
    assert "evaluate: 3/3" in result.stderr


def test_a_baseline_that_beats_the_policy_is_called_better_and_by_how_much(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    result = evaluate(checkpoint, dataset_folder, tmp_path / "results", "--protocol", "as-deployed")
    found = json.loads((tmp_path / "results" / "eval_results.json").read_text())["protocols"]["as_deployed"]
    times = found["error"]["mse"] / found["baselines"]["hold_still"]["mse"]
    assert times > 20  # the policy was never trained
    assert re.search(rf"hold still .* {times:.1f}x better", result.stdout)
    assert " 0.0x" not in result.stdout


def test_a_count_of_more_episodes_than_there_are_is_said_and_scores_all(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    result = evaluate(checkpoint, dataset_folder, tmp_path / "results", "--protocol", "as-deployed", "--episodes", "7")
    assert result.returncode == 0
    assert "warning: --episodes 7: the dataset has 3, which are all scored" in result.stderr
    assert json.loads((tmp_path / "results" / "eval_results.json").read_text())["episodes_evaluated"] == 3


def test_json_is_alone_on_stdout_and_is_the_file(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    result = evaluate(checkpoint, dataset_folder, tmp_path / "results", "--json", "--protocol", "as-deployed")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "results" / "eval_results.json").read_text())
    assert printed["reasons"]["protocols.every_frame"] == "not asked for"


def test_some_failed_episodes_are_exit_code_4_with_the_others_kept(checkpoint: Path, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "cell", episodes=[12, 12], files="one_per_episode")
    sorted((dataset / "videos").rglob("*.mp4"))[0].write_bytes(b"broken")
    result = evaluate(checkpoint, dataset, tmp_path / "results")
    assert result.returncode == 4
    assert "episodes [0] failed; see failure_cases.jsonl" in result.stderr
    assert json.loads((tmp_path / "results" / "eval_results.json").read_text())["episodes_evaluated"] == 1


@pytest.mark.parametrize(
    ("more", "exit_code", "message"),
    [
        (("--episodes", "7,"), 3, "episode 7 is not in the dataset"),
        (("--episodes", "x"), 2, "is not understood"),
        (("--engine", "none"), 2, "engine 'none' is unknown"),
        (("--stride", "0"), 2, "--stride"),
        (("--sharded", "--rerun"), 2, "--sharded writes a piece, and no results for --rerun"),
        (("--colour", "red"), 2, "--colour"),
    ],
)
def test_a_wrong_call_is_one_message_and_no_folder(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, more: tuple[str, ...], exit_code: int, message: str
) -> None:
    result = evaluate(checkpoint, dataset_folder, tmp_path / "results", *more)
    assert result.returncode == exit_code
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "results").exists()


def test_an_empty_dataset_and_a_missing_checkpoint_are_exit_code_3(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for policy, dataset in ((checkpoint, tmp_path / "empty"), (tmp_path / "empty", dataset_folder)):
        result = evaluate(policy, dataset, tmp_path / "results")
        assert result.returncode == 3
        assert result.stderr.startswith("error: ")


def test_a_disk_that_fills_up_is_exit_code_7_and_leaves_nothing_half_written(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    result = run_with_small_files(
        2048,
        *("evaluate", "--policy", checkpoint, "--dataset", dataset_folder, "--output", tmp_path / "results"),
        *("--device", "cpu", "--protocol", "as-deployed"),
    )
    assert result.returncode == 7, result.stderr
    assert "Traceback" not in result.stderr
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]


def test_doctor_says_what_is_there_and_what_to_do_about_the_rest() -> None:
    result = run("doctor", "--json")
    assert result.returncode == 0, result.stderr
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["device cpu"]["ok"]
    assert checks["extra lerobot"]["ok"]
    assert "lerobot 0.6" in checks["extra lerobot"]["found"]
    assert all(check["ok"] or check["advice"] for check in checks.values())
    table = run("doctor")
    assert all(name in table.stdout for name in checks)


def test_doctor_looks_for_every_package_of_every_extra() -> None:
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json").stdout)["checks"]}
    for requirement in requires("lerobot-inference") or []:
        found = re.fullmatch(r"([\w-]+).*; extra == '(\w+)'", requirement)
        # sim is others together, ros2 lives elsewhere, and mlflow-skinny is a part of mlflow.
        if found and found[2] not in ("sim", "ros2") and found[1] != "mlflow-skinny":
            assert f"{found[1].replace('-', '.')} " in checks[f"extra {found[2]}"]["found"].replace("_", "."), (
                requirement
            )


def test_a_terminal_that_knows_no_utf8_gets_what_it_can_show() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "lerobot_inference", "download", "--policy", "Übergriff"],
        env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert told.returncode == 2, told.stderr.decode()
    assert b"\\xdcbergriff" in told.stderr


def test_every_command_has_help_that_says_what_it_does() -> None:
    top = run("--help")
    for command in ("download", "evaluate", "gate", "plot", "register", "export", "pipeline", "sim", "doctor"):
        assert command in top.stdout
        assert run(command, "--help").returncode == 0


@pytest.mark.parametrize(("module", "extra"), [("torch", "lerobot"), ("pyarrow", "dataset"), ("av", "dataset")])
def test_a_missing_extra_is_named_with_how_to_install_it(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, module: str, extra: str
) -> None:
    """A module hidden from the process, as on a machine where only the core is installed."""
    blocker = f"import sys; sys.modules['{module}'] = None; from lerobot_inference.cli import main; main(sys.argv[1:])"
    arguments = ["evaluate", "--policy", checkpoint, "--dataset", dataset_folder, "--output", tmp_path / "results"]
    result = subprocess.run(
        [sys.executable, "-c", blocker, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert f"{module} is not installed" in result.stderr
    assert f"pip install 'lerobot-inference[{extra}]'" in result.stderr


def test_square_brackets_in_a_message_are_printed_as_they_are(tmp_path: Path) -> None:
    """Paths may hold them, and so does every advice about an extra."""
    result = run("evaluate", "--policy", tmp_path / "[bold]policy", "--dataset", tmp_path)
    assert "[bold]policy: no such folder" in result.stderr
    hidden = "import sys; sys.modules['matplotlib'] = None; from lerobot_inference.cli import main; main(['doctor'])"
    doctor = subprocess.run(
        [sys.executable, "-c", hidden],
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "pip install 'lerobot-inference[report]'" in doctor.stdout
