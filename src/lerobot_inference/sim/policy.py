"""lerobot's ACT policies for the simulated cell, built and saved with lerobot's own classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from lerobot_inference.errors import require
from lerobot_inference.files import atomic_folder, require_replaceable
from lerobot_inference.sim.cell import CAMERA, DEFAULT_IMAGE
from lerobot_inference.types import ACTION, STATE, ImageShape

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from numpy.typing import NDArray

SMALL = {
    "dim_model": 128,
    "n_heads": 4,
    "dim_feedforward": 512,
    "n_encoder_layers": 2,
    "chunk_size": 40,
    "n_action_steps": 10,
    "use_vae": False,
    "dropout": 0.0,
}
"""Trains in minutes on two cores. A third of a second, 10 of 40 actions, passes before the camera is asked again."""

FULL_SIZE = {
    "dim_model": 512,
    "n_heads": 8,
    "dim_feedforward": 3200,
    "n_encoder_layers": 4,
    "chunk_size": 100,
    "n_action_steps": 100,
}
"""lerobot's defaults for ACT: 51.6 million parameters with its ResNet-18."""


class UntrainedSummary(BaseModel):
    """What `sim train --full-size` wrote."""

    output: Path
    parameters: int
    image_size: str


@dataclass(frozen=True)
class TrainablePolicy:
    """A policy with the processors that belong to it."""

    policy: ACTPolicy
    preprocess: Any
    postprocess: Any


def act_config(image: ImageShape, size: Mapping[str, Any]) -> ACTConfig:
    """ACT for six joints and one camera. ImageNet weights are never asked for: that would be a download.

    Raises UsageError when lerobot isn't installed.
    """
    require("lerobot", "sim")
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig

    return ACTConfig(
        input_features={
            STATE: PolicyFeature(FeatureType.STATE, (6,)),
            CAMERA: PolicyFeature(FeatureType.VISUAL, (3, image.height, image.width)),
        },
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, (6,))},
        pretrained_backbone_weights=None,
        device="cpu",
        push_to_hub=False,
        **size,
    )


def make_policy(config: ACTConfig, states: NDArray[Any], actions: NDArray[Any]) -> TrainablePolicy:
    """A policy with random weights, and processors with the statistics of states (N, 6) and actions (M, 6), radians.

    Images are normalised with ImageNet's statistics, as lerobot's own training does.
    """
    from lerobot.datasets.compute_stats import get_feature_stats
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors
    from lerobot.utils.constants import IMAGENET_STATS

    columns = {
        STATE: get_feature_stats(states, axis=0, keepdims=False),
        ACTION: get_feature_stats(actions, axis=0, keepdims=False),
        CAMERA: IMAGENET_STATS,
    }
    stats = {name: {key: _tensor(value) for key, value in column.items()} for name, column in columns.items()}
    preprocess, postprocess = make_act_pre_post_processors(config, stats)
    return TrainablePolicy(ACTPolicy(config), preprocess, postprocess)


def save_policy(output: Path, trained: TrainablePolicy, *, seed: int, steps: int, batch_size: int) -> None:
    """Write what lerobot's training writes as `pretrained_model`, through lerobot's own save functions."""
    from lerobot.configs.default import DatasetConfig
    from lerobot.configs.train import TrainPipelineConfig

    training = TrainPipelineConfig(
        dataset=DatasetConfig(repo_id="local/simulated-cell", video_backend="pyav"),
        policy=trained.policy.config,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
    )
    with atomic_folder(output) as folder:
        trained.policy.save_pretrained(folder)
        training.save_pretrained(folder)
        trained.preprocess.save_pretrained(folder)
        trained.postprocess.save_pretrained(folder)


def write_full_size_policy(output: Path, seed: int = 0, image: ImageShape = DEFAULT_IMAGE) -> UntrainedSummary:
    """Write an **untrained** policy of the size people deploy, for load and speed work.

    Its statistics are made up: states within +-pi, actions of a tenth of a radian.
    Raises UsageError when `output` is something else than a policy.
    """
    check_output(output)
    config = act_config(image, FULL_SIZE)
    import numpy as np
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    made_up = rng.uniform(-math.pi, math.pi, (1000, 6)), rng.normal(0.0, 0.1, (1000, 6))
    trained = make_policy(config, *made_up)
    save_policy(output, trained, seed=seed, steps=0, batch_size=1)
    return UntrainedSummary(output=output, parameters=parameter_count(trained.policy), image_size=str(image))


def parameter_count(policy: ACTPolicy) -> int:
    """How many weights the policy has."""
    return sum(parameter.numel() for parameter in policy.parameters())


def check_output(output: Path) -> None:
    """Raise UsageError when `output` exists and isn't a policy that may be replaced."""
    require_replaceable(output, "policy", "config.json")


def _tensor(value: object) -> torch.Tensor:
    import torch

    return torch.as_tensor(value, dtype=torch.float32)
