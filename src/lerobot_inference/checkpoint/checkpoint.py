"""A checkpoint folder, opened and verified."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from lerobot_inference.checkpoint.access import access_errors
from lerobot_inference.checkpoint.config import CONFIG_FILE, ActConfig, read_config
from lerobot_inference.checkpoint.normalization import Normalization, read_normalization
from lerobot_inference.errors import CheckpointError
from lerobot_inference.files import sha256_file
from lerobot_inference.types import PolicySpec

WEIGHTS_FILE = "model.safetensors"
TRAIN_CONFIG_FILE = "train_config.json"
PICKLES = ("*.pt", "*.pth", "*.bin", "*.pkl", "*.ckpt")
PICKLE_STARTS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class Checkpoint:
    """A lerobot ACT policy on disk whose files are all there and fit one another.

    folder: holds config.json, model.safetensors and the two processors with their statistics.
    parameters: number of weights, frozen batch-norm buffers included.
    """

    folder: Path
    config: ActConfig
    normalization: Normalization
    parameters: int

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Read and verify everything but the weights' values.

        Raises CheckpointError naming the file and field.
        """
        with access_errors(folder):
            if not folder.is_dir():
                raise CheckpointError(
                    f"{folder}: no such folder",
                    hint="fetch it first with: lerobot-inference download --policy org/name",
                )
            _suggest_inner_folder(folder)
            config = read_config(folder)
            parameters = _verify_weights(folder, config)
            return cls(folder, config, read_normalization(folder, config), parameters)

    @property
    def spec(self) -> PolicySpec:
        """What the policy takes and gives."""
        return self.config.spec()

    @property
    def weights(self) -> Path:
        """model.safetensors."""
        return self.folder / WEIGHTS_FILE

    @cached_property
    def file_hashes(self) -> dict[str, str]:
        """File name -> sha256 of every file that decides what the policy computes. Raises CheckpointError."""
        names = [CONFIG_FILE, WEIGHTS_FILE, *self.normalization.files]
        if (self.folder / TRAIN_CONFIG_FILE).is_file():
            names.append(TRAIN_CONFIG_FILE)
        with access_errors(self.folder):
            return {name: sha256_file(self.folder / name) for name in names}


def _suggest_inner_folder(folder: Path) -> None:
    """Raise CheckpointError when the checkpoint is a folder deeper, as in lerobot's output tree."""
    if (folder / CONFIG_FILE).is_file():
        return
    for inner in ("pretrained_model", "checkpoints/last/pretrained_model"):
        if (folder / inner / CONFIG_FILE).is_file():
            raise CheckpointError(f"{folder / CONFIG_FILE}: file not found", hint=f"did you mean {folder / inner}?")


def _verify_weights(folder: Path, config: ActConfig) -> int:
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        pickles = sorted(p.name for pattern in PICKLES for p in folder.glob(pattern))
        found = f"; found {', '.join(pickles)}, and pickled weights are never loaded" if pickles else ""
        raise CheckpointError(
            f"{path}: file not found{found}",
            hint="save the policy with lerobot's save_pretrained, which writes model.safetensors",
        )
    try:
        with safe_open(path, framework="numpy") as tensors:
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        with path.open("rb") as file:
            start = file.read(2)
        what = "a pickle or zip archive, which is never loaded" if start in PICKLE_STARTS else "damaged"
        raise CheckpointError(f"{path}: {what}: {error}", hint="download the checkpoint again") from error
    for name, expected in _expected_shapes(config).items():
        if shapes.get(name) != expected:
            raise CheckpointError(
                f"{path}: {name} has shape {shapes.get(name)}, config.json says {expected}",
                hint="config.json and model.safetensors are from different policies; fetch both again",
            )
    return sum(int(np.prod(shape)) for shape in shapes.values())


def _expected_shapes(config: ActConfig) -> dict[str, tuple[int, ...]]:
    """The tensors at the network's border, whose sizes follow from config.json."""
    spec, width = config.spec(), config.dim_model
    backbone = {"model.backbone.conv1.weight": (64, 3, 7, 7)} if spec.cameras else {}
    return backbone | {
        "model.encoder_robot_state_input_proj.weight": (width, spec.state_dim),
        "model.decoder_pos_embed.weight": (spec.chunk_size, width),
        "model.action_head.weight": (spec.action_dim, width),
        "model.action_head.bias": (spec.action_dim,),
    }
