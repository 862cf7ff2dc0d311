"""The evaluator's safety replay and the robot's node decide the same about one recorded episode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from evaluation_kit import run_evaluate

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.control import ControlSettings, Decision, Guards, ScheduleName, Severity
from lerobot_inference.control.guards import UR10E
from lerobot_inference.control.journal import Journal, told
from lerobot_inference.control.predictor import Prediction, camera_of, predict
from lerobot_inference.control.replay import Entry, replay
from lerobot_inference.dataset import Dataset, Episode
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.replay import AsDeployed
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.evaluation.safety_replay import START_S, GuardedArm
from lerobot_inference.types import ActionMode, FloatArray, UInt8Array

EPISODE = 0
FORGIVING: dict[str, dict[str, Any]] = {
    "first_target": {"limit": 10},
    "chunk_border": {"limit": 10},
    "joint_velocity": {"fraction": 0.01, "reject_times": 100000},
}


class WatchesTheRecording:
    """The engine, shown what the recording's camera saw at the tick at which it is asked."""

    busy = False

    def __init__(self, engine: Engine, episode: Episode) -> None:
        self.tick = 0
        self._engine, self._camera, self._episode = engine, camera_of(engine), episode
        self._answer: Prediction | None = None

    def ask(self, state: FloatArray, image: UInt8Array) -> None:
        assert state.shape == self._episode.states[self.tick].shape
        assert image is not None
        (frame,) = self._episode.frames([self.tick], [self._camera])
        self._answer = predict(self._engine, self._camera, self._episode.states[self.tick], frame[self._camera])

    def answer(self) -> Prediction | None:
        answer, self._answer = self._answer, None
        return answer


def write_guards(path: Path, *without: str, **changes: dict[str, Any]) -> Path:
    found = yaml.safe_load(UR10E.read_text())["guards"]
    kept = {name: limits | changes.get(name, {}) for name, limits in found.items() if name not in without}
    path.write_text(yaml.safe_dump({"guards": kept}))
    return path


def test_a_recorded_episode_through_evaluator_and_node_gives_the_same_commands_to_the_last_bit(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    # The tiny untrained policy flings the arm about; here the limits only slow it down.
    guards = write_guards(tmp_path / "guards.yaml", "soft_start", "time_cap", "workspace", **FORGIVING)
    done = run_evaluate(checkpoint, dataset_folder, tmp_path / "results", "--guards", guards, "--workers", 1)
    assert done.returncode == 0, done.stderr
    policy, data = open_policy(checkpoint), Dataset.open(dataset_folder)
    plan = EvaluationPlan.make(policy, data, guards=guards)
    arm = GuardedArm.of(policy, data, plan)
    assert isinstance(arm, GuardedArm)
    kept = EpisodePredictions.load(predictions_path(tmp_path / "results", EPISODE))
    deployed = AsDeployed(kept.predicted, kept.inference_times, kept.chunk_starts)
    evaluated = list(arm.decide(deployed, kept.states[0]))

    entries: list[Entry] = []
    engine = EngineChoice("openvino", "cpu", threads=1).load(policy)
    node = played_by_node(engine, data.episode(EPISODE), len(evaluated), plan.action_mode, guards, entries)
    assert len(node) == len(kept.predicted) > 30
    for said, done_by_node in zip(evaluated, node, strict=True):
        ours, theirs = told(said), told(done_by_node)
        del ours["trajectory"], theirs["trajectory"]  # the replay works out no look-ahead
        assert ours == theirs
    assert any(event.severity is Severity.SCALE for decision in node for event in decision.events), "guards had a say"
    assert replay(entries).different is None, "and the node's own log says so too"

    safety = load_results(tmp_path / "results").safety_replay
    assert safety is not None
    answers = [max((event.severity for event in each.events), default=Severity.ACCEPT) for each in node]
    assert kept.safety.tolist() == answers
    assert safety.scaled_ticks >= answers.count(Severity.SCALE) > 0


def played_by_node(
    engine: Engine, episode: Episode, ticks: int, mode: ActionMode, guards: Path, entries: list[Entry]
) -> list[Decision]:
    """As ros2/act_inference_node.py talks to its controller, with a robot that follows perfectly."""

    def write(kind: str, now_s: float, entry: Mapping[str, Any]) -> None:
        entries.append((kind, now_s, entry))

    names = tuple(f"joint_{number}" for number in range(6))
    settings = ControlSettings(names, mode, 30.0)
    predictor = WatchesTheRecording(engine, episode)
    chain = Guards.load(guards)
    journal = Journal(write, settings, chain, ScheduleName.POLICY, engine.spec, 5, predictor, START_S)
    measured: FloatArray = episode.states[0]
    decisions = []
    for tick in range(ticks):
        predictor.tick, now_s = tick, START_S + tick / 30.0
        journal.see_joints(names, measured.tolist(), now_s, now_s)
        journal.see_image(np.zeros((64, 96, 3), np.uint8), now_s, now_s)
        journal.see_conditions(None, 0, now_s)
        if tick == 0:
            assert journal.arm(now_s) == ""
        decisions.append(journal.tick(now_s))
        measured = decisions[-1].command
    return decisions


def test_an_evaluation_with_other_guards_is_another_one_and_a_bad_guards_file_is_refused(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    slower = write_guards(tmp_path / "slower.yaml", **FORGIVING)
    output = tmp_path / "results"
    options = ("--guards", slower, "--workers", 1, "--protocol", "as-deployed", "--episodes", "1")
    done = run_evaluate(checkpoint, dataset_folder, output, *options)
    assert done.returncode == 0, done.stderr
    assert "safety replay:" in done.stdout
    safety = load_results(output).safety_replay
    assert safety is not None
    assert safety.guards["joint_velocity"].ticks > 0.9 * safety.ticks
    done = run_evaluate(checkpoint, dataset_folder, output, *options[2:], "--resume")
    assert done.returncode == 3
    assert "guards.first_target.limit is 10 there, expected 0.05" in " ".join(done.stderr.split())
    without = write_guards(tmp_path / "without.yaml", "robot_mode", **FORGIVING)
    done = run_evaluate(checkpoint, dataset_folder, output, "--guards", without, *options[2:], "--resume")
    assert done.returncode == 3
    assert "guards.robot_mode is {} there, expected absent" in " ".join(done.stderr.split())
    bad = tmp_path / "bad.yaml"
    bad.write_text("guards: {joint_velocty: {}}\n")
    done = run_evaluate(checkpoint, dataset_folder, tmp_path / "none", "--guards", bad)
    assert done.returncode == 3
    assert f"{bad}: there is no guard joint_velocty" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "none").exists()
