"""The reference engine gives what lerobot itself gives."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import pytest
import torch

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.control import make_schedule
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.lerobot import LerobotEngine
from lerobot_inference.errors import CheckpointError, EngineError, UsageError
from lerobot_inference.types import FloatArray, UInt8Array

COLOR = "observation.images.color"


def observations(count: int, state_dim: int = 6, size: tuple[int, int] = (64, 96)) -> tuple[UInt8Array, FloatArray]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    return images, random.normal(size=(count, state_dim)).astype(np.float32)


def lerobots_own_loop(folder: Path, images: UInt8Array, states: FloatArray) -> FloatArray:
    """lerobot's policy, processors and select_action, as its own evaluation runs them."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(folder)
    config.pretrained_backbone_weights = None
    policy = ACTPolicy.from_pretrained(folder, config=config)
    preprocess, postprocess = make_pre_post_processors(config, pretrained_path=str(folder))
    policy.reset()
    actions = []
    for image, state in zip(images, states, strict=True):
        frame = {
            "observation.state": torch.from_numpy(state),
            COLOR: torch.from_numpy(image).permute(2, 0, 1).float() / 255,
        }
        actions.append(postprocess(policy.select_action(preprocess(frame))).numpy()[0])
    return np.stack(actions)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> LerobotEngine:
    return LerobotEngine(Checkpoint.open(checkpoint), "cpu")


@pytest.mark.parametrize(
    "options",
    [{}, {"n_action_steps": 3}, {"n_action_steps": 1, "temporal_ensemble_coeff": 0.01}],
    ids=["whole chunk", "part of a chunk", "temporal ensembling"],
)
def test_engine_and_schedule_together_are_lerobots_select_action(
    checkpoint_factory: Callable[..., Path], options: dict[str, Any]
) -> None:
    folder = checkpoint_factory(**options)
    images, states = observations(20)
    engine = EngineChoice("lerobot", "cpu").load(Checkpoint.open(folder))
    schedule = make_schedule(engine.spec)
    actions = []
    for image, state in zip(images, states, strict=True):
        if schedule.needs_chunk:
            schedule.add_chunk(engine.predict({COLOR: image[None]}, state[None]).actions[0])
        actions.append(schedule.next_action())
    assert np.abs(np.stack(actions) - lerobots_own_loop(folder, images, states)).max() < 1e-6


def test_a_batch_gives_what_its_members_give_alone(engine: LerobotEngine) -> None:
    images, states = observations(3)
    together = engine.predict({COLOR: images}, states).actions
    alone = [engine.predict({COLOR: images[i : i + 1]}, states[i : i + 1]).actions[0] for i in range(3)]
    assert together.shape == (3, 8, 6)
    assert together.dtype == np.float32
    assert np.abs(together - np.stack(alone)).max() < 1e-5


def test_one_thread_of_its_own_computes_whoever_asks(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LerobotEngine(Checkpoint.open(checkpoint), "cpu", threads=2)
    seen = []
    forward = engine._policy.predict_action_chunk
    monkeypatch.setattr(
        engine._policy,
        "predict_action_chunk",
        lambda batch: seen.append((get_ident(), torch.get_num_threads())) or forward(batch),
    )
    images, states = observations(1)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(8):
            pool.submit(engine.predict, {COLOR: images}, states)
    engine.predict({COLOR: images}, states)
    assert len(seen) == 9
    assert len(set(seen)) == 1
    thread, openmp_threads = seen[0]
    assert thread != get_ident()
    assert openmp_threads == engine.threads == 2


def test_the_backbones_training_weights_are_never_fetched(engine: LerobotEngine, checkpoint: Path) -> None:
    assert "IMAGENET1K_V1" in (checkpoint / "config.json").read_text()
    assert engine.warm_up() > 0


def test_a_checkpoint_trained_on_cuda_runs_on_the_cpu(checkpoint_factory: Callable[..., Path]) -> None:
    folder = checkpoint_factory()
    for name in ("config.json", "policy_preprocessor.json"):
        path = folder / name
        text = path.read_text()
        assert '"device": "cpu"' in text
        path.write_text(text.replace('"device": "cpu"', '"device": "cuda"'))
    assert LerobotEngine(Checkpoint.open(folder), "cpu").warm_up() > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what the test wants absent")
def test_an_absent_device_is_an_error_that_names_the_present_ones(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="'cuda' was asked for and is not available") as caught:
        EngineChoice("lerobot", "cuda").load(Checkpoint.open(checkpoint))
    assert caught.value.exit_code == 2
    assert "cpu" in str(caught.value.hint)


@pytest.mark.parametrize(("name", "device"), [("tensorflow", "cpu"), ("lerobot", "tpu")])
def test_an_unknown_engine_or_device_is_a_usage_error(checkpoint: Path, name: str, device: str) -> None:
    with pytest.raises(UsageError, match="is unknown"):
        EngineChoice(name, device).load(Checkpoint.open(checkpoint))


def test_an_image_of_another_size_is_refused_and_not_resized(engine: LerobotEngine) -> None:
    images, states = observations(1, size=(32, 48))
    with pytest.raises(EngineError, match=r"expected uint8 \(1, 64, 96, 3\)"):
        engine.predict({COLOR: images}, states)


def test_a_missing_camera_is_named(engine: LerobotEngine) -> None:
    images, states = observations(1)
    with pytest.raises(EngineError, match=r"no image from 'observation.images.color'; given: \['wrist'\]"):
        engine.predict({"wrist": images}, states)


def test_a_state_that_is_not_finite_is_refused(engine: LerobotEngine) -> None:
    images, states = observations(1)
    states[0, 2] = np.nan
    with pytest.raises(EngineError, match="joint state is not finite"):
        engine.predict({COLOR: images}, states)


def test_weights_that_are_not_finite_give_an_error_and_no_numbers(checkpoint_factory: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = checkpoint_factory()
    weights = load_file(folder / "model.safetensors")
    weights["model.action_head.bias"][0] = torch.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(EngineError, match="NaN"):
        LerobotEngine(Checkpoint.open(folder), "cpu").warm_up()


def test_weights_that_lack_a_tensor_are_refused(checkpoint_factory: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = checkpoint_factory()
    weights = load_file(folder / "model.safetensors")
    del weights["model.decoder.norm.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model.decoder.norm.weight"):
        LerobotEngine(Checkpoint.open(folder), "cpu")
