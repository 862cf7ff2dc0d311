"""The demo's policy, trained by the whole recipe, holds what the demo says of it. Minutes long."""

from __future__ import annotations

from pathlib import Path

import pytest

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.base import Engine
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.export import ExportOptions, export
from lerobot_inference.sim.record import record
from lerobot_inference.sim.rollout import rollout
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


def test_it_reaches_the_ball_in_the_closed_loop(engine: Engine) -> None:
    results = rollout(engine, "demo", episodes=50, seed=0)
    assert results.success_rate >= 0.8, results.runs


def test_it_reaches_nothing_when_the_image_shows_the_ball_elsewhere(engine: Engine) -> None:
    results = rollout(engine, "demo", episodes=50, seed=0, wrong_image=True)
    assert results.success_rate <= 0.04, results.runs
