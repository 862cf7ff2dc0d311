"""Whether a bundle fits a dataset: sizes are not enough, since its contract says what robot it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundle_kit import COLOR, CONTRACT, write_bundle
from results_factory import make_up

from lerobot_inference.checkpoint import Bundle
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import DatasetError
from lerobot_inference.evaluation.fit import check_fit, choose_action_mode
from lerobot_inference.types import ActionMode, ImageShape


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "bundle"))


@pytest.fixture
def dataset() -> Dataset:
    """One that the bundle was exported for."""
    made_up = make_up(joints=2, joint_names=CONTRACT.joint_names, lengths=(8,), n_action_steps=4)
    return replace(made_up.dataset, cameras={COLOR: ImageShape(48, 64)})


def test_the_dataset_that_a_bundle_was_exported_for_fits(bundle: Bundle, dataset: Dataset) -> None:
    check_fit(bundle, dataset)
    assert choose_action_mode(bundle, dataset, [], ActionMode.DELTA) is ActionMode.DELTA


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"fps": 15.0}, "frames a second: 15; the bundle was exported for 30"),
        ({"joint_names": ("lift", "pan")}, "joints: lift, pan; the bundle was exported for pan, lift"),
    ],
)
def test_a_dataset_of_another_rate_or_other_joints_is_refused(
    bundle: Bundle, dataset: Dataset, other: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        check_fit(bundle, replace(dataset, **other))


def test_a_bundle_of_deltas_is_not_scored_as_positions(bundle: Bundle, dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="actions are absolute, the bundle was exported for delta ones"):
        choose_action_mode(bundle, dataset, [], ActionMode.ABSOLUTE)
