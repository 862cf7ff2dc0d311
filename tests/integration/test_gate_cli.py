"""`lerobot-inference gate`: what it prints, writes and returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from results_factory import write_results

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.cli import main
from lerobot_inference.evaluation.gate import GateVerdict

LENGTHS = (12, 10, 14, 8, 11)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_it_prints_rules_and_verdict_and_writes_them_and_makes_no_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "results", lengths=LENGTHS)
    assert run("gate") == 0
    told = capsys.readouterr().out
    assert "min protocols.as_deployed.intervals.per_joint_skill" in told
    assert "not applied: there is no champion yet" in told
    assert "verdict: promote: every rule passed; there is no champion yet" in told
    assert GateVerdict.load(tmp_path / "verdict").verdict == "promote"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "verdict"]


def test_json_is_the_verdict_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(tmp_path / "results", lengths=LENGTHS)
    assert run("gate", "--json", "--output", tmp_path / "elsewhere") == 0
    printed = GateVerdict.model_validate_json(capsys.readouterr().out)
    assert printed == GateVerdict.load(tmp_path / "elsewhere")


def test_a_reject_ends_with_5_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(tmp_path / "results", lengths=LENGTHS)
    rules = tmp_path / "rules.yaml"
    rules.write_text("max: {protocols.as_deployed.error.per_joint_mae: 1.0e-9}")
    assert run("gate", "--gate", rules) == 0
    assert "verdict: reject: protocols.as_deployed.error.per_joint_mae: shoulder_pan " in capsys.readouterr().out
    assert run("gate", "--gate", rules, "--fail-on-reject") == 5
    assert "the gate rejected the policy" in capsys.readouterr().err


def test_what_can_not_be_judged_is_refused_and_leaves_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("gate") == 3
    assert "results/eval_results.json: No such file" in capsys.readouterr().err
    write_results(tmp_path / "results", lengths=LENGTHS)
    assert run("gate", "--model-name", "org/name") == 2
    assert run("gate", "--champion-results", "results") == 3
    assert "model lerobot-act has no champion" in capsys.readouterr().err
    assert not (tmp_path / "verdict").exists()


def test_it_says_before_what_register_then_decides(
    checkpoint_factory: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report" / "plots").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "report" / "plots" / "aggregate_summary.png")
    for seed, error in ((0, 0.0015), (2, 0.0005)):
        policy, results = checkpoint_factory(seed=seed), tmp_path / f"results_{seed}"
        write_results(results, lengths=LENGTHS, error=error, policy_files=Checkpoint.open(policy).file_hashes)
        assert run("gate", "--results", results) == 0
        before = capsys.readouterr().out
        assert run("register", "--policy", policy, "--results", results) == 0
        after = capsys.readouterr().out
        assert after.startswith(before)
        assert "now champion" in after
    assert "Candidate minus champion, MAE over 5 shared episodes" in before
    assert "wrist_3" in before
    assert "verdict: promote: every rule passed and the error is smaller" in before

    assert run("gate", "--results", "results_2") == 0
    assert "verdict: keep: every rule passed; same files as the champion, version 2" in capsys.readouterr().out
    assert run("gate", "--results", "results_0", "--champion-results", "results_2") == 0
    assert "verdict: reject: aggregate_mae" in capsys.readouterr().out
