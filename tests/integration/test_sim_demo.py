"""The demo's policy, trained by the whole recipe, holds what the demo says of it. Minutes long."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_kit import ShownNonsense
from safetensors.numpy import load_file, save_file

from lerobot_inference.checkpoint import Bundle, Checkpoint
from lerobot_inference.control import ScheduleName
from lerobot_inference.control.guards.known import known_limits
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.base import Engine
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.gate import GateVerdict
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.rules import default_rules
from lerobot_inference.export import ExportOptions, export
from lerobot_inference.registry import Candidate, register
from lerobot_inference.report import render_plots
from lerobot_inference.sim.record import record
from lerobot_inference.sim.rollout import Loop, rollout
from lerobot_inference.sim.train import DEMO_IMAGE, train
from lerobot_inference.types import Precision

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("sim") / "policy").output


@pytest.fixture(scope="module")
def engine(policy: Path) -> Engine:
    return EngineChoice("lerobot", "cpu").load(Checkpoint.open(policy))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.open(
        record(tmp_path_factory.mktemp("sim") / "dataset", episodes=10, seed=1, image=DEMO_IMAGE).output
    )


def test_on_held_out_episodes_it_is_far_better_than_holding_still_and_than_the_mean_action(
    policy: Path, engine: Engine, dataset: Dataset, tmp_path: Path
) -> None:
    checkpoint = Checkpoint.open(policy)
    plan = EvaluationPlan.make(checkpoint, dataset, every_frame=False)
    results = evaluate(checkpoint, dataset, engine, tmp_path / "results", plan)
    protocol = results.protocols["as_deployed"]
    for name in ("hold_still", "dataset_mean"):
        baseline = protocol.baselines[name]
        assert protocol.error.mse is not None
        assert protocol.error.mae is not None
        assert baseline.mse >= 4 * protocol.error.mse, name
        assert baseline.mae >= 2 * protocol.error.mae, name
    assert protocol.skill is not None
    assert protocol.skill > 0


@pytest.mark.parametrize(
    ("precision", "bound"), [(Precision.F32, 1e-4), (Precision.BF16, 0.05), (Precision.INT8, 0.25)]
)
def test_it_is_exported_in_every_precision_with_no_force(
    policy: Path, dataset: Dataset, tmp_path: Path, precision: Precision, bound: float
) -> None:
    options = ExportOptions(precision=precision, verify=True)
    manifest = export(Checkpoint.open(policy), dataset, tmp_path / "bundle", options).manifest
    assert manifest.parity is not None
    assert manifest.parity.max_abs_in_std < bound
    assert manifest.accuracy is None or not manifest.accuracy.forced


@pytest.fixture(scope="module")
def bundle(policy: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(Checkpoint.open(policy), dataset, tmp_path_factory.mktemp("sim") / "bundle", ExportOptions())


@pytest.mark.parametrize(
    ("schedule", "latency"), [(ScheduleName.QUEUE, 0), (ScheduleName.PREFETCH, 3), (ScheduleName.ENSEMBLE, 0)]
)
def test_it_contradicts_itself_only_where_its_pictures_are_nonsense(
    bundle: Bundle, schedule: ScheduleName, latency: int
) -> None:
    engine, loop = EngineChoice().load(bundle), Loop(schedule, latency, known=known_limits(bundle))
    clean = rollout(engine, "demo", episodes=20, seed=0, loop=loop)
    assert not any("chunk_overlap" in run.guards for run in clean.runs)
    nonsense = rollout(ShownNonsense(engine), "demo", episodes=5, seed=0, loop=loop)
    assert all(run.guards["chunk_overlap"] == 1 for run in nonsense.runs)


def test_its_thresholds_are_kept_to_by_the_episodes_that_were_recorded(
    bundle: Bundle, dataset: Dataset, tmp_path: Path
) -> None:
    plan = EvaluationPlan.make(bundle, dataset, every_frame=False)
    results = evaluate(bundle, dataset, EngineChoice().load(bundle), tmp_path / "results", plan)
    assert results.safety_replay is not None
    assert results.safety_replay.guards["chunk_overlap"].ticks == 0


@pytest.fixture
def judged(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], GateVerdict]:
    """Evaluates a policy and registers it as one more version of the same model, by the built-in rules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def judge(folder: Path) -> GateVerdict:
        checkpoint, results, report = Checkpoint.open(folder), tmp_path / "results", tmp_path / "report"
        engine = EngineChoice(device="cpu").load(checkpoint)
        evaluate(checkpoint, dataset, engine, results, EvaluationPlan.make(checkpoint, dataset, every_frame=False))
        render_plots(results, report)
        candidate = Candidate.open(folder, results, report)
        return register(candidate, default_rules(), "demo-reach-act", "demo", tmp_path / "registration").gate

    return judge


def copy_with_action_std(policy: Path, folder: Path, joint: slice, factor: float) -> Path:
    """The policy with its actions' standard deviation wrong at some joints, and their mean 0 where it is tiny."""
    shutil.copytree(policy, folder)
    (path,) = folder.glob("policy_postprocessor_step_*.safetensors")
    statistics = load_file(path)
    statistics["action.std"][joint] *= factor
    if factor < 1:
        statistics["action.mean"][joint] = 0
    save_file(statistics, path)
    return folder


def test_the_gate_promotes_it_keeps_its_rerun_and_rejects_what_is_broken(
    policy: Path, dataset: Dataset, tmp_path: Path, judged: Callable[[Path], GateVerdict]
) -> None:
    assert judged(policy).verdict == "promote"

    rerun = judged(policy)
    assert rerun.verdict == "keep"

    elbow = judged(copy_with_action_std(policy, tmp_path / "corrupted", slice(2, 3), 3.0))
    assert elbow.verdict == "reject"
    assert dataset.joint_names[2] in elbow.reason
    assert dataset.joint_names[1] not in elbow.reason

    still = judged(copy_with_action_std(policy, tmp_path / "still", slice(None), 1e-3))
    assert still.verdict == "reject"
    assert "skill" in still.reason


def test_it_reaches_the_ball_in_the_closed_loop(bundle: Bundle) -> None:
    results = rollout(EngineChoice().load(bundle), "demo", episodes=100, seed=0)
    assert results.success_rate >= 0.8, results.runs


def test_under_prefetch_a_border_between_chunks_is_no_rougher_than_the_inside_of_one(bundle: Bundle) -> None:
    loop = Loop(ScheduleName.PREFETCH, latency_ticks=3, known=known_limits(bundle))
    runs = rollout(EngineChoice().load(bundle), "demo", episodes=20, seed=0, loop=loop).runs
    assert np.median([run.border_jump for run in runs]) <= np.median([run.interior_jump for run in runs])
    assert sum(run.border_jump <= run.interior_jump for run in runs) >= 0.9 * len(runs)


def test_it_reaches_nothing_when_the_image_shows_the_ball_elsewhere(bundle: Bundle) -> None:
    results = rollout(EngineChoice().load(bundle), "demo", episodes=50, seed=0, loop=Loop(wrong_image=True))
    assert results.success_rate <= 0.04, results.runs
