"""The statistics that scale a policy's inputs and outputs, from the two processor files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lerobot_inference.checkpoint.config import ActConfig, Feature, read_json
from lerobot_inference.errors import CheckpointError
from lerobot_inference.types import FloatArray

PREPROCESSOR_FILE = "policy_preprocessor.json"
POSTPROCESSOR_FILE = "policy_postprocessor.json"
MIGRATION = "python -m lerobot.processor.migrate_policy_normalization --pretrained-path"


class NormalizationMode(StrEnum):
    """How lerobot scales a feature, and the two statistics that it uses."""

    MEAN_STD = "MEAN_STD"
    MIN_MAX = "MIN_MAX"
    QUANTILES = "QUANTILES"
    QUANTILE10 = "QUANTILE10"
    IDENTITY = "IDENTITY"

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the statistics, as in `<feature>.<name>` of the step file."""
        return {
            "MEAN_STD": ("mean", "std"),
            "MIN_MAX": ("min", "max"),
            "QUANTILES": ("q01", "q99"),
            "QUANTILE10": ("q10", "q90"),
            "IDENTITY": (),
        }[self.value]


@dataclass(frozen=True)
class FeatureNormalization:
    """One feature's scaling. statistics: name -> (dim,) for vectors, (3, 1, 1) for images; float32."""

    mode: NormalizationMode
    eps: float
    statistics: Mapping[str, FloatArray]


@dataclass(frozen=True)
class Normalization:
    """Input features are scaled by `inputs`; the policy's actions are scaled back by `action`.

    files: names of the four files these came from.
    """

    inputs: Mapping[str, FeatureNormalization]
    action: FeatureNormalization
    files: tuple[str, ...]


def read_normalization(folder: Path, config: ActConfig) -> Normalization:
    """Read both processors. Raises CheckpointError naming the file and the statistic that is missing."""
    for name in (PREPROCESSOR_FILE, POSTPROCESSOR_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder / name}: file not found; the checkpoint has no normalisation statistics",
                hint=f"checkpoints of lerobot 0.3 and before are converted with: {MIGRATION} {folder}",
            )
    inputs, input_file = _read_step(folder, PREPROCESSOR_FILE, "normalizer_processor", config.input_features)
    outputs, output_file = _read_step(folder, POSTPROCESSOR_FILE, "unnormalizer_processor", config.output_features)
    return Normalization(
        inputs=inputs,
        action=outputs["action"],
        files=(PREPROCESSOR_FILE, input_file, POSTPROCESSOR_FILE, output_file),
    )


def _read_step(
    folder: Path, processor: str, step_name: str, features: Mapping[str, Feature]
) -> tuple[dict[str, FeatureNormalization], str]:
    path = folder / processor
    steps = [s for s in read_json(path).get("steps", []) if s.get("registry_name") == step_name]
    if len(steps) != 1:
        raise CheckpointError(f"{path}: expected one {step_name!r} step, found {len(steps)}")
    step = steps[0]
    state_file = step.get("state_file")
    if not isinstance(state_file, str) or Path(state_file).name != state_file:
        raise CheckpointError(f"{path}: {step_name}.state_file is {state_file!r}, expected a file name in this folder")
    tensors = _read_tensors(folder / state_file)
    norm_map = step["config"]["norm_map"]
    result = {}
    for name, feature in features.items():
        mode = NormalizationMode(norm_map.get(feature.type, "IDENTITY"))
        shape = (feature.shape[0], 1, 1) if feature.type == "VISUAL" else feature.shape
        found = {}
        for statistic in mode.statistics:
            value = tensors.get(f"{name}.{statistic}")
            if value is None:
                raise CheckpointError(
                    f"{folder / state_file}: {name}.{statistic} is missing; {mode} normalisation needs it",
                    hint="save the processors again with the dataset's statistics (lerobot: dataset.meta.stats)",
                )
            if value.shape != shape or not np.isfinite(value).all():
                raise CheckpointError(
                    f"{folder / state_file}: {name}.{statistic} has shape {value.shape}, expected {shape} of "
                    "finite numbers"
                )
            found[statistic] = value
        result[name] = FeatureNormalization(mode, float(step["config"]["eps"]), found)
    return result, state_file


def _read_tensors(path: Path) -> dict[str, FloatArray]:
    try:
        return {name: value.astype(np.float32) for name, value in load_file(path).items()}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: file not found; the checkpoint has no normalisation statistics") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged: {error}", hint="download the checkpoint again") from error
