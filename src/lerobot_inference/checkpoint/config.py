"""config.json of a lerobot ACT checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

from lerobot_inference.errors import CheckpointError
from lerobot_inference.types import ACTION, ENVIRONMENT_STATE, IMAGE_PREFIX, STATE, ImageShape, PolicySpec

CONFIG_FILE = "config.json"


class Feature(BaseModel):
    """One input or output of the policy."""

    type: Literal["VISUAL", "STATE", "ACTION", "ENV"]
    shape: tuple[PositiveInt, ...]


class ActConfig(BaseModel):
    """The keys that decide how the policy computes. Keys that only matter in training are ignored.

    Missing keys take lerobot's defaults, so that checkpoints of 0.4 to 0.6 read alike.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["act"]
    input_features: dict[str, Feature]
    output_features: dict[str, Feature]
    chunk_size: PositiveInt = 100
    n_action_steps: PositiveInt = 100
    vision_backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "resnet18"
    replace_final_stride_with_dilation: bool = False
    pre_norm: bool = False
    dim_model: PositiveInt = 512
    n_heads: PositiveInt = 8
    dim_feedforward: PositiveInt = 3200
    feedforward_activation: Literal["relu", "gelu", "glu"] = "relu"
    n_encoder_layers: PositiveInt = 4
    n_decoder_layers: PositiveInt = 1
    use_vae: bool = True
    latent_dim: PositiveInt = 32
    temporal_ensemble_coeff: float | None = None

    @model_validator(mode="after")
    def _features_fit(self) -> ActConfig:
        if STATE not in self.input_features:
            raise ValueError(f"input_features has no {STATE!r}; this product drives arms by their joint state")
        if ACTION not in self.output_features:
            raise ValueError(f"output_features has no {ACTION!r}")
        if not self.image_features and ENVIRONMENT_STATE not in self.input_features:
            raise ValueError(
                f"input_features has no camera (a key that starts with {IMAGE_PREFIX!r}) and no {ENVIRONMENT_STATE!r}"
            )
        for name, feature in self.input_features.items():
            if name not in (STATE, ENVIRONMENT_STATE) and feature.type != "VISUAL":
                raise ValueError(
                    f"input_features.{name} is {feature.type}; only {STATE!r}, {ENVIRONMENT_STATE!r} and cameras "
                    "are supported"
                )
        for name, shape in self.image_features.items():
            if len(shape) != 3 or shape[0] != 3:
                raise ValueError(f"input_features.{name}.shape is {list(shape)}, expected [3, height, width]")
        if self.n_action_steps > self.chunk_size:
            raise ValueError(f"n_action_steps {self.n_action_steps} is more than chunk_size {self.chunk_size}")
        return self

    @property
    def image_features(self) -> Mapping[str, tuple[int, ...]]:
        """Camera feature name -> (3, height, width), in the policy's own order."""
        return {name: f.shape for name, f in self.input_features.items() if f.type == "VISUAL"}

    def spec(self) -> PolicySpec:
        """What the policy takes and gives."""
        environment = self.input_features.get(ENVIRONMENT_STATE)
        return PolicySpec(
            state_dim=self.input_features[STATE].shape[0],
            action_dim=self.output_features[ACTION].shape[0],
            cameras={name: ImageShape(shape[1], shape[2]) for name, shape in self.image_features.items()},
            chunk_size=self.chunk_size,
            n_action_steps=self.n_action_steps,
            temporal_ensemble_coeff=self.temporal_ensemble_coeff,
            environment_dim=environment.shape[0] if environment else 0,
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of the checkpoint. Raises CheckpointError when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: file not found", hint="a checkpoint folder is what lerobot's training saves as pretrained_model/"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}", hint="download the checkpoint again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def read_config(folder: Path) -> ActConfig:
    """Read and check config.json. Raises CheckpointError naming the field."""
    path = folder / CONFIG_FILE
    content = read_json(path)
    if content.get("type") != "act":
        raise CheckpointError(
            f"{path}: type is {content.get('type')!r}, expected 'act'", hint="only ACT policies are supported"
        )
    try:
        return ActConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "features"
        raise CheckpointError(f"{path}: {field}: {first['msg'].removeprefix('Value error, ')}") from error
