"""The statistics that scale a policy's inputs and outputs, from the two processor files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from lerobot_inference.checkpoint.config import ActConfig, Feature, read_json
from lerobot_inference.errors import CheckpointError
from lerobot_inference.records import first_problem
from lerobot_inference.types import FloatArray

PREPROCESSOR_FILE = "policy_preprocessor.json"
POSTPROCESSOR_FILE = "policy_postprocessor.json"
MIGRATION = "python -m lerobot.processor.migrate_policy_normalization --pretrained-path"
SAVE_AGAIN = "save the processors again with the dataset's statistics (lerobot: dataset.meta.stats)"
NORMALIZER, UNNORMALIZER = "normalizer_processor", "unnormalizer_processor"
# What lerobot saves with an ACT policy. Any other step would have to be computed too.
KNOWN_STEPS = (NORMALIZER, UNNORMALIZER, "rename_observations_processor", "to_batch_processor", "device_processor")


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


class Step(BaseModel):
    """One step of a processor file; one that lerobot doesn't register is known by its class."""

    registry_name: str | None = None
    class_name: str | None = Field(None, alias="class")
    config: dict[str, object] = {}
    state_file: str | None = None

    @property
    def name(self) -> str | None:
        """How the file calls it."""
        return self.registry_name or self.class_name


class Processor(BaseModel):
    """policy_preprocessor.json or policy_postprocessor.json."""

    steps: list[Step]


class StepConfig(BaseModel):
    """What decides how a normalising step computes."""

    norm_map: dict[str, NormalizationMode]
    eps: float = Field(1e-8, ge=0, allow_inf_nan=False)
    normalize_observation_keys: None = None


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
    inputs, input_file = _read_step(folder, PREPROCESSOR_FILE, NORMALIZER, config.input_features)
    outputs, output_file = _read_step(folder, POSTPROCESSOR_FILE, UNNORMALIZER, config.output_features)
    return Normalization(
        inputs=inputs,
        action=outputs["action"],
        files=(PREPROCESSOR_FILE, input_file, POSTPROCESSOR_FILE, output_file),
    )


def _read_step(
    folder: Path, processor: str, step_name: str, features: Mapping[str, Feature]
) -> tuple[dict[str, FeatureNormalization], str]:
    path = folder / processor
    step, config = _find_step(path, step_name)
    state_file = step.state_file
    if state_file is None or Path(state_file).name != state_file:
        raise CheckpointError(f"{path}: {step_name}.state_file is {state_file!r}, expected a file name in this folder")
    tensors = _read_tensors(folder / state_file)
    result = {}
    for name, feature in features.items():
        mode = config.norm_map.get(feature.type, NormalizationMode.IDENTITY)
        shape = (feature.shape[0], 1, 1) if feature.type == "VISUAL" else feature.shape
        found = {}
        for statistic in mode.statistics:
            value = tensors.get(f"{name}.{statistic}")
            if value is None:
                raise CheckpointError(
                    f"{folder / state_file}: {name}.{statistic} is missing; {mode} normalisation needs it",
                    hint=SAVE_AGAIN,
                )
            if value.shape != shape:
                raise CheckpointError(
                    f"{folder / state_file}: {name}.{statistic} has shape {value.shape}, expected {shape}"
                )
            if not np.isfinite(value).all():
                raise CheckpointError(f"{folder / state_file}: {name}.{statistic} holds a NaN or an infinity")
            found[statistic] = value
        result[name] = FeatureNormalization(mode, config.eps, found)
    return result, state_file


def _find_step(path: Path, name: str) -> tuple[Step, StepConfig]:
    """The step of that name, once every step of the file is known to be understood."""
    try:
        steps = Processor.model_validate(read_json(path)).steps
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_problem(error)}", hint=SAVE_AGAIN) from error
    if unknown := [step.name for step in steps if step.registry_name not in KNOWN_STEPS]:
        raise CheckpointError(
            f"{path}: step {unknown[0]!r} is not supported",
            hint=f"without it the policy would do something else; supported are {', '.join(KNOWN_STEPS)}",
        )
    found = [step for step in steps if step.registry_name == name]
    if len(found) != 1:
        raise CheckpointError(f"{path}: expected one {name!r} step, found {len(found)}")
    try:
        return found[0], StepConfig.model_validate(found[0].config)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {name}.config.{first_problem(error)}", hint=SAVE_AGAIN) from error


def _read_tensors(path: Path) -> dict[str, FloatArray]:
    try:
        return {name: value.astype(np.float32) for name, value in load(path.read_bytes()).items()}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: file not found; the checkpoint has no normalisation statistics") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged: {error}", hint="download the checkpoint again") from error
