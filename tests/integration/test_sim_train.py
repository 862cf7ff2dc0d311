"""Training in the simulated cell, and the closed loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import UsageError
from lerobot_inference.sim.cell import CAMERA
from lerobot_inference.sim.policy import write_full_size_policy
from lerobot_inference.sim.rollout import TICKS, rollout
from lerobot_inference.sim.samples import make_samples
from lerobot_inference.sim.train import Recipe, TrainSummary, train
from lerobot_inference.types import ActionChunk, ImageShape, PolicySpec

SMALL = ImageShape(64, 112)
TINY = Recipe(image=SMALL, samples=64, backbone_steps=2, backbone_batch=16, steps=3, batch=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainSummary:
    return train(tmp_path_factory.mktemp("sim") / "policy", seed=1, recipe=TINY)


def test_the_folder_is_what_lerobots_training_leaves(trained: TrainSummary) -> None:
    names = {path.name for path in trained.output.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "train_config.json",
        "policy_preprocessor.json",
        "policy_postprocessor.json",
    } <= names
    assert not [path for path in trained.output.parent.iterdir() if path != trained.output]


def test_lerobot_loads_the_policy_and_its_processors(trained: TrainSummary) -> None:
    folder = str(trained.output)
    config = PreTrainedConfig.from_pretrained(folder)
    assert config.pretrained_backbone_weights is None
    policy = ACTPolicy.from_pretrained(folder, config=config, strict=True)
    assert sum(weights.numel() for weights in policy.parameters()) == trained.parameters
    preprocess, postprocess = make_pre_post_processors(config, pretrained_path=folder)
    batch = preprocess({"observation.state": torch.zeros(1, 6), CAMERA: torch.full((1, 3, 64, 112), 0.5)})
    actions = postprocess(policy.predict_action_chunk(batch))
    assert actions.shape == (1, 40, 6)
    assert torch.isfinite(actions).all()
    assert TrainPipelineConfig.from_pretrained(folder).steps == TINY.steps


def test_training_reports_every_stage_to_its_end(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    train(tmp_path / "policy", recipe=TINY, progress=lambda what, done, total: seen.update({what: (done, total)}))
    assert list(seen) == ["rendering samples", "training the backbone", "computing features", "training the policy"]
    assert all(done == total for done, total in seen.values())


def test_the_same_seed_trains_the_same_policy(trained: TrainSummary, tmp_path: Path) -> None:
    again = train(tmp_path / "policy", seed=1, recipe=TINY)
    assert again.final_loss == pytest.approx(trained.final_loss, rel=1e-5)


def test_the_saved_backbone_carries_learnt_normalisation(trained: TrainSummary) -> None:
    """Fresh frozen layers hold mean 0 and variance 1; these hold the statistics of real frames."""
    policy = ACTPolicy.from_pretrained(str(trained.output))
    assert policy.model.backbone["bn1"].running_var.std() > 0


def test_a_folder_that_is_no_policy_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds no earlier policy"):
        train(tmp_path, recipe=TINY)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_samples_are_the_experts_next_moves() -> None:
    samples = make_samples(8, chunk=200, image=SMALL, seed=3)
    again = make_samples(8, chunk=200, image=SMALL, seed=3)
    np.testing.assert_array_equal(samples.images, again.images)
    assert samples.images.shape == (8, 64, 112, 3)
    assert samples.actions.shape == (8, 200, 6)
    np.testing.assert_array_equal(samples.actions[samples.is_pad], 0.0)
    # Four samples of one scene end at the same pose: the goal.
    ends = samples.states + samples.actions.sum(axis=1)
    for scene in (ends[:4], ends[4:]):
        np.testing.assert_allclose(scene, np.broadcast_to(scene[0], scene.shape), atol=1e-5)


def test_the_full_size_policy_is_the_one_people_deploy(tmp_path: Path) -> None:
    summary = write_full_size_policy(tmp_path / "policy")
    assert summary.parameters / 1e6 == pytest.approx(51.6, abs=0.05)
    spec = Checkpoint.open(tmp_path / "policy").spec
    assert (spec.cameras[CAMERA], spec.chunk_size, spec.n_action_steps) == (ImageShape(480, 848), 100, 100)


class HoldStill:
    """An engine that never moves."""

    name, device = "hold", "cpu"
    spec = PolicySpec(state_dim=6, action_dim=6, cameras={CAMERA: SMALL}, chunk_size=90, n_action_steps=90)

    def warm_up(self) -> float:
        return 0.0

    def predict(self, images: dict[str, np.ndarray], states: np.ndarray) -> ActionChunk:
        assert images[CAMERA].shape == (1, 64, 112, 3)
        assert states.shape == (1, 6)
        return ActionChunk(np.zeros((1, 90, 6), np.float32))


def test_holding_still_reaches_nothing_and_moves_nothing() -> None:
    results = rollout(HoldStill(), "hold", episodes=3, seed=0)
    assert results.successes == 0
    for run in results.runs:
        assert run.final_distance == pytest.approx(run.start_distance, abs=1e-4)
    assert TICKS == 180


def test_a_policy_for_another_robot_is_refused() -> None:
    class SevenJoints(HoldStill):
        spec = PolicySpec(state_dim=7, action_dim=7, cameras={CAMERA: SMALL}, chunk_size=90, n_action_steps=90)

    with pytest.raises(UsageError, match="state 7"):
        rollout(SevenJoints(), "seven", episodes=1)


def test_an_untrained_policy_closes_the_loop_and_fails(trained: TrainSummary) -> None:
    engine = EngineChoice("lerobot", "cpu").load(Checkpoint.open(trained.output))
    results = rollout(engine, str(trained.output), episodes=2, seed=0)
    assert results.successes == 0
    assert results == type(results).model_validate_json(results.model_dump_json())
