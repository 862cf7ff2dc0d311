"""lerobot's policy and processors, loaded with lerobot's own loaders as its users do."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lerobot_inference.types import STATE, FloatArray, UInt8Array

if TYPE_CHECKING:
    import torch

type Observation = dict[str, torch.Tensor]


class LerobotPolicy(NamedTuple):
    """policy: an ACTPolicy in eval mode; the processors map observations in and actions out, in radians."""

    policy: Any
    preprocess: Callable[[Observation], Observation]
    postprocess: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def load(cls, folder: Path) -> LerobotPolicy:
        """Read a checkpoint whose config names the CPU and no ImageNet weights, as the benchmarks' own does."""
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.act.modeling_act import ACTPolicy
        from lerobot.policies.factory import make_pre_post_processors

        config = PreTrainedConfig.from_pretrained(folder)
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            policy = ACTPolicy.from_pretrained(folder, config=config)
        return cls(policy, *make_pre_post_processors(config, pretrained_path=str(folder)))


def observation(images: Mapping[str, UInt8Array], states: FloatArray) -> Observation:
    """What lerobot's dataset class gives: pictures as floats in 0 ... 1. images (B, H, W, 3), states (B, S)."""
    import torch

    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2))).float() / 255
        for name, image in images.items()
    }
    return {STATE: torch.from_numpy(states), **tensors}
