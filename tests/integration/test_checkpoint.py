"""Checkpoints that lerobot wrote open; damaged ones are refused with the file and the field."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lerobot_inference.checkpoint import Checkpoint, NormalizationMode
from lerobot_inference.errors import CheckpointError
from lerobot_inference.types import ImageShape

COLOR = "observation.images.color"
STEP_FILE = "policy_preprocessor_step_3_normalizer_processor.safetensors"


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "policy"))


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, match: str) -> CheckpointError:
    with pytest.raises(CheckpointError, match=match) as caught:
        Checkpoint.open(folder)
    assert caught.value.exit_code == 3
    return caught.value


def test_a_checkpoint_says_what_it_takes_and_gives(checkpoint: Path) -> None:
    opened = Checkpoint.open(checkpoint)
    assert opened.spec.cameras == {COLOR: ImageShape(64, 96)}
    assert (opened.spec.state_dim, opened.spec.action_dim) == (6, 6)
    assert (opened.spec.chunk_size, opened.spec.n_action_steps) == (8, 8)
    assert opened.normalization.action.mode is NormalizationMode.MEAN_STD
    assert opened.normalization.inputs[COLOR].statistics["mean"].shape == (3, 1, 1)


def test_every_file_that_decides_the_result_is_hashed(checkpoint: Path) -> None:
    hashed = Checkpoint.open(checkpoint).file_hashes
    assert set(hashed) == {path.name for path in checkpoint.iterdir()}


def test_the_statistics_are_those_that_lerobot_saved(checkpoint: Path) -> None:
    saved = load_file(checkpoint / STEP_FILE)
    read = Checkpoint.open(checkpoint).normalization.inputs["observation.state"].statistics
    assert np.array_equal(read["mean"], saved["observation.state.mean"])
    assert np.array_equal(read["std"], saved["observation.state.std"])


def test_two_cameras_keep_the_policy_order_and_other_joint_counts_open(
    checkpoint_factory: Callable[..., Path],
) -> None:
    cameras = {"observation.images.wrist": (32, 48), "observation.images.color": (32, 48)}
    opened = Checkpoint.open(checkpoint_factory(cameras=cameras, state_dim=7, action_dim=14))
    assert list(opened.spec.cameras) == list(cameras)
    assert (opened.spec.state_dim, opened.spec.action_dim) == (7, 14)


def test_keys_that_other_lerobot_versions_lack_or_add_are_no_matter(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["use_peft"], config["pretrained_revision"]
    (folder / "config.json").write_text(json.dumps(config | {"a_key_of_tomorrow": 1}))
    assert Checkpoint.open(folder).spec.state_dim == 6


def test_a_missing_folder_says_how_to_fetch_one(tmp_path: Path) -> None:
    assert "lerobot-inference download" in str(refused(tmp_path / "none", "no such folder").hint)


def test_a_folder_above_the_checkpoint_names_the_right_one(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "pretrained_model")
    assert "pretrained_model?" in str(refused(tmp_path, "config.json: file not found").hint)


def test_a_policy_of_another_type_is_refused(folder: Path) -> None:
    edit_json(folder / "config.json", type="diffusion")
    refused(folder, "config.json: type is 'diffusion', expected 'act'")


def test_a_config_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"type": "act",')
    refused(folder, "config.json: not readable as JSON")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_size": 0}, "config.json: chunk_size"),
        ({"n_action_steps": 9}, "n_action_steps 9 is more than chunk_size 8"),
        ({"input_features": {}}, "input_features has no 'observation.state'"),
        ({"vision_backbone": "vit"}, "config.json: vision_backbone"),
    ],
)
def test_a_config_value_that_cannot_be_names_its_field(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_json(folder / "config.json", **changes)
    refused(folder, message)


def test_an_input_of_another_kind_is_refused(folder: Path) -> None:
    inputs = json.loads((folder / "config.json").read_text())["input_features"]
    inputs["observation.force"] = {"type": "STATE", "shape": [4]}
    edit_json(folder / "config.json", input_features=inputs)
    refused(folder, "input_features.observation.force is STATE; only 'observation.state'")


def test_a_policy_that_sees_nothing_is_refused(folder: Path) -> None:
    state = json.loads((folder / "config.json").read_text())["input_features"]["observation.state"]
    edit_json(folder / "config.json", input_features={"observation.state": state})
    refused(folder, "input_features has no camera")


def test_missing_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "model.safetensors: file not found")


def test_a_pickle_in_place_of_weights_is_named_and_never_loaded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "pytorch_model.bin, and pickled weights are never loaded")


def test_a_pickle_under_the_weights_name_is_recognised(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"weights": [1.0]}, protocol=4))
    refused(folder, "a pickle or zip archive, which is never loaded")


@pytest.mark.parametrize("keep", [0, 4, 1000, 1_000_000])
def test_truncated_weights_are_refused(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "download the checkpoint again" in str(refused(folder, "model.safetensors: damaged").hint)


def test_weights_of_another_policy_are_refused(folder: Path, checkpoint_factory: Callable[..., Path]) -> None:
    shutil.copy(checkpoint_factory(action_dim=7) / "model.safetensors", folder)
    refused(folder, r"model.action_head.weight has shape \(7, 32\), config.json says \(6, 32\)")


def test_missing_processors_point_to_lerobots_migration(folder: Path) -> None:
    (folder / "policy_preprocessor.json").unlink()
    assert "migrate_policy_normalization" in str(refused(folder, "no normalisation statistics").hint)


def test_a_missing_statistics_file_is_refused(folder: Path) -> None:
    (folder / STEP_FILE).unlink()
    refused(folder, STEP_FILE)


def test_a_missing_statistic_is_named(folder: Path) -> None:
    tensors = load_file(folder / STEP_FILE)
    del tensors["observation.state.std"]
    save_file(tensors, folder / STEP_FILE)
    refused(folder, "observation.state.std is missing; MEAN_STD normalisation needs it")


@pytest.mark.parametrize("value", [np.zeros(5, np.float32), np.full(6, np.nan, np.float32)])
def test_a_statistic_of_the_wrong_size_or_not_finite_is_named(folder: Path, value: np.ndarray) -> None:
    tensors = load_file(folder / STEP_FILE)
    save_file(tensors | {"observation.state.mean": value}, folder / STEP_FILE)
    found = "holds a NaN or an infinity" if len(value) == 6 else r"has shape \(5,\), expected \(6,\)"
    refused(folder, f"observation.state.mean {found}")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"norm_map": {"STATE": "ZSCORE"}}, "norm_map.STATE: Input should be 'MEAN_STD'"),
        ({"norm_map": None}, "norm_map: Input should be a valid dictionary"),
        ({"eps": "small"}, "eps: Input should be a valid number"),
        ({"normalize_observation_keys": ["observation.state"]}, "normalize_observation_keys: Input should be None"),
    ],
)
def test_a_normalisation_that_is_not_understood_is_named(folder: Path, config: dict[str, Any], problem: str) -> None:
    content = json.loads((folder / "policy_preprocessor.json").read_text())
    content["steps"][3]["config"] |= config
    (folder / "policy_preprocessor.json").write_text(json.dumps(content))
    refused(folder, f"policy_preprocessor.json: normalizer_processor.config.{problem}")


@pytest.mark.parametrize("steps", [None, "normalizer_processor", [7], [{"registry_name": 7}]])
def test_a_processor_file_of_another_form_is_refused(folder: Path, steps: object) -> None:
    edit_json(folder / "policy_preprocessor.json", steps=steps)
    refused(folder, "policy_preprocessor.json: steps")


@pytest.mark.parametrize(
    "step", [{"registry_name": "absolute_actions_processor", "config": {}}, {"class": "lab.steps.Clip", "config": {}}]
)
def test_a_processor_step_that_would_change_the_actions_is_not_left_out_silently(
    folder: Path, step: dict[str, Any]
) -> None:
    content = json.loads((folder / "policy_postprocessor.json").read_text())
    edit_json(folder / "policy_postprocessor.json", steps=[*content["steps"], step])
    name = step.get("registry_name") or step["class"]
    refused(folder, f"policy_postprocessor.json: step '{name}' is not supported")


def test_a_statistics_file_outside_the_folder_is_refused(folder: Path) -> None:
    content = json.loads((folder / "policy_preprocessor.json").read_text())
    content["steps"][3]["state_file"] = "../elsewhere.safetensors"
    (folder / "policy_preprocessor.json").write_text(json.dumps(content))
    refused(folder, "state_file is '../elsewhere.safetensors'")


def test_a_file_name_with_another_step_index_is_followed(folder: Path) -> None:
    content = json.loads((folder / "policy_preprocessor.json").read_text())
    content["steps"][3]["state_file"] = "other_step_7.safetensors"
    (folder / "policy_preprocessor.json").write_text(json.dumps(content))
    (folder / STEP_FILE).rename(folder / "other_step_7.safetensors")
    assert "other_step_7.safetensors" in Checkpoint.open(folder).file_hashes
