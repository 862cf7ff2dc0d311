"""Shared fixtures: checkpoints that lerobot itself wrote."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lerobot_writer import write_dataset

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # a width that is there at import stays, whatever a test sets; pytest-xdist gives one

COLOR = "observation.images.color"
TINY = {
    "dim_model": 32,
    "n_heads": 2,
    "dim_feedforward": 64,
    "n_encoder_layers": 1,
    "n_vae_encoder_layers": 1,
    "latent_dim": 8,
}


def write_checkpoint(
    folder: Path,
    *,
    cameras: Mapping[str, tuple[int, int]] | None = None,
    state_dim: int = 6,
    action_dim: int = 6,
    chunk_size: int = 8,
    n_action_steps: int = 8,
    environment_dim: int = 0,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Save a tiny untrained ACT policy and its processors the way lerobot's training does."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors

    torch.manual_seed(seed)
    cameras = {COLOR: (64, 96)} if cameras is None else cameras
    inputs = {name: PolicyFeature(FeatureType.VISUAL, (3, *size)) for name, size in cameras.items()}
    inputs["observation.state"] = PolicyFeature(FeatureType.STATE, (state_dim,))
    if environment_dim:
        inputs["observation.environment_state"] = PolicyFeature(FeatureType.ENV, (environment_dim,))
    policy_config = ACTConfig(
        input_features=inputs,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (action_dim,))},
        chunk_size=chunk_size,
        n_action_steps=n_action_steps,
        pretrained_backbone_weights=None,
        device="cpu",
        push_to_hub=False,
        **(TINY | config),
    )
    policy = ACTPolicy(policy_config)
    # What a real training writes: the name of the weights it started from, which must never be fetched again.
    policy.config.pretrained_backbone_weights = "ResNet18_Weights.IMAGENET1K_V1"
    generator = torch.Generator().manual_seed(seed)

    def statistics(*shape: int) -> dict[str, torch.Tensor]:
        mean = torch.randn(shape, generator=generator)
        std = torch.rand(shape, generator=generator) + 0.5
        spread = {"min": -2.0, "max": 2.0, "q01": -1.8, "q10": -1.0, "q90": 1.0, "q99": 1.8}
        return {"mean": mean, "std": std} | {name: mean + factor * std for name, factor in spread.items()}

    stats = {
        "observation.state": statistics(state_dim),
        "action": statistics(action_dim),
        **({"observation.environment_state": statistics(environment_dim)} if environment_dim else {}),
        **{name: statistics(3, 1, 1) for name in cameras},
    }
    preprocessor, postprocessor = make_act_pre_post_processors(policy.config, dataset_stats=stats)
    policy.save_pretrained(folder)
    preprocessor.save_pretrained(folder)
    postprocessor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint_factory(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Call it with write_checkpoint's options; it writes a new folder each time."""

    def make(**options: Any) -> Path:
        return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "policy", **options)

    return make


@pytest.fixture(scope="session")
def checkpoint(checkpoint_factory: Callable[..., Path]) -> Path:
    """A tiny checkpoint: 6 joints, one 64x96 camera, chunks of 8. Read only."""
    return checkpoint_factory()


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes of 40, 30 and 20 frames that fit `checkpoint`, written by lerobot. Read only."""
    return write_dataset(tmp_path_factory.mktemp("dataset") / "cell", episodes=[40, 30, 20])
