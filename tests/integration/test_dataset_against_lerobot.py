"""Everything that the reader gives equals what lerobot's own dataset class gives."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot_writer import COLOR, make_timestamps_cumulative, write_dataset

from lerobot_inference.dataset import Dataset, Episode, infer_action_mode
from lerobot_inference.types import ActionMode, ImageShape, UInt8Array

LENGTHS = (20, 35, 12)
CAMERAS = {COLOR: (64, 96), "observation.images.wrist": (48, 64)}
KINDS: dict[str, dict[str, Any]] = {
    "packed-h264": {"vcodec": "h264"},
    "packed-av1": {"vcodec": "libsvtav1"},
    "packed-hevc": {"vcodec": "hevc"},
    "one-file-per-episode-h264": {"vcodec": "h264", "files": "one_per_episode"},
    "one-file-per-episode-av1": {"vcodec": "libsvtav1", "files": "one_per_episode"},
    "images-in-the-table": {"vcodec": None},
}

type Factory = Callable[[str], Path]


@pytest.fixture(scope="module")
def dataset_of(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """Kind -> folder of a dataset that lerobot wrote; each is written once. Read only."""
    written: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in written:
            root = tmp_path_factory.mktemp("dataset") / kind
            written[kind] = write_dataset(root, episodes=LENGTHS, cameras=CAMERAS, **KINDS[kind])
        return written[kind]

    return make


def lerobot_dataset(root: Path, **options: Any) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("local/test", root=root, return_uint8=True, **options)


def lerobot_image(item: dict[str, Any], camera: str) -> UInt8Array:
    """(3, H, W) uint8 from a video, float in [0, 1] from a picture -> (H, W, 3) uint8."""
    image = item[camera].permute(1, 2, 0).numpy()
    return image if image.dtype == np.uint8 else np.round(image * 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_and_every_row_equals_lerobots(dataset_of: Factory, kind: str) -> None:
    root = dataset_of(kind)
    theirs, ours = lerobot_dataset(root, video_backend="pyav"), Dataset.open(root)
    assert ours.fps == theirs.fps
    assert list(ours.cameras) == theirs.meta.camera_keys
    row = 0
    for index, length in zip(ours.episode_indices, LENGTHS, strict=True):
        episode = ours.episode(index)
        assert (episode.length, episode.task) == (length, "reach")
        for frame, images in enumerate(episode.frames()):
            item = theirs[row]
            assert item["episode_index"] == index
            assert episode.timestamps[frame] == item["timestamp"].item()
            np.testing.assert_array_equal(episode.states[frame], item["observation.state"].numpy())
            np.testing.assert_array_equal(episode.actions[frame], item["action"].numpy())
            for camera in CAMERAS:
                np.testing.assert_array_equal(images[camera], lerobot_image(item, camera))
            row += 1
        assert frame == length - 1
    assert row == len(theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_wanted_frames_equal_the_same_frames_of_a_full_read(dataset_of: Factory, kind: str) -> None:
    episode = Dataset.open(dataset_of(kind)).episode(1)
    everything = list(episode.frames())
    for wanted in ([0], [34], [0, 10, 20, 30], [7, 8, 33], []):
        found = list(episode.frames(wanted))
        assert len(found) == len(wanted)
        for number, images in zip(wanted, found, strict=True):
            assert images.keys() == CAMERAS.keys()
            assert all((images[camera] == everything[number][camera]).all() for camera in CAMERAS)


@pytest.mark.parametrize("vcodec", ["h264", "av1"])
def test_one_file_per_episode_with_cumulative_timestamps_is_read_from_each_files_start(
    dataset_of: Factory, tmp_path: Path, caplog: pytest.LogCaptureFixture, vcodec: str
) -> None:
    plain = dataset_of(f"one-file-per-episode-{vcodec}")
    cumulative = shutil.copytree(plain, tmp_path / "cumulative")
    make_timestamps_cumulative(cumulative)
    ours, expected = Dataset.open(cumulative), lerobot_dataset(plain, video_backend="pyav")
    row = 0
    with caplog.at_level(logging.INFO, logger="lerobot_inference"):
        for index in ours.episode_indices:
            for images in ours.episode(index).frames():
                for camera in CAMERAS:
                    np.testing.assert_array_equal(images[camera], lerobot_image(expected[row], camera))
                row += 1
    assert row == sum(LENGTHS)
    said = {record.args[0] for record in caplog.records if record.args}
    assert said == {
        cumulative / f"videos/{camera}/chunk-000/file-{file:03d}.mp4" for camera in CAMERAS for file in (1, 2)
    }


@pytest.mark.parametrize("kind", ["packed-h264", "packed-av1"])
def test_frames_equal_torchcodecs_to_the_rounding_of_its_colour_conversion(dataset_of: Factory, kind: str) -> None:
    try:
        import torchcodec  # noqa: F401
    except (ImportError, RuntimeError):
        pytest.skip("torchcodec needs the system's ffmpeg libraries")
    root = dataset_of(kind)
    theirs = lerobot_dataset(root, video_backend="torchcodec")
    images = [frame for index in range(3) for frame in Dataset.open(root).episode(index).frames()]
    for row, ours in enumerate(images):
        difference = np.abs(ours[COLOR].astype(int) - lerobot_image(theirs[row], COLOR))
        assert difference.max() <= 3
        assert difference.mean() < 0.5


def test_metadata_equals_lerobots(dataset_of: Factory) -> None:
    root = dataset_of("packed-h264")
    ours, theirs = Dataset.open(root), lerobot_dataset(root).meta
    assert ours.cameras == {COLOR: ImageShape(64, 96), "observation.images.wrist": ImageShape(48, 64)}
    assert ours.joint_names == tuple(theirs.features["action"]["names"])
    assert (ours.state_dim, ours.action_dim) == (6, 6)
    for feature, statistics in theirs.stats.items():
        for name, value in statistics.items():
            np.testing.assert_array_equal(ours.statistics[feature][name], value)


def test_the_recorded_action_convention_is_found(dataset_of: Factory) -> None:
    dataset = Dataset.open(dataset_of("packed-h264"))
    evidence = infer_action_mode(dataset.episode(index) for index in dataset.episode_indices)
    assert evidence.mode is ActionMode.DELTA
    assert evidence.delta_misfit < 1e-4


def test_an_all_zero_last_action_is_not_scored(dataset_of: Factory) -> None:
    assert Dataset.open(dataset_of("packed-h264")).episode(0).scored_length == 19


def test_a_single_joint_is_read_as_a_vector_of_one(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "dataset", episodes=[5], state_dim=1, action_dim=1)
    episode = Dataset.open(root).episode(0)
    assert episode.states.shape == episode.actions.shape == (5, 1)
    assert episode.scored_length == 4


def test_only_the_asked_cameras_are_decoded(dataset_of: Factory) -> None:
    images = next(Dataset.open(dataset_of("packed-h264")).episode(0).frames([3], cameras=[COLOR]))
    assert list(images) == [COLOR]


def test_stopping_early_ends_the_decoding_threads(dataset_of: Factory) -> None:
    import threading

    frames = Dataset.open(dataset_of("packed-h264")).episode(1).frames()
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_file_hashes_name_every_file(dataset_of: Factory) -> None:
    hashes = Dataset.open(dataset_of("one-file-per-episode-h264")).file_hashes()
    assert len(hashes) == 3 + 1 + 3 + 3 * len(CAMERAS)  # info, stats, tasks; episodes; tables; videos
    assert all(len(sha256) == 64 for sha256 in hashes.values())
    assert "meta/info.json" in hashes


def test_files_behind_a_link_to_another_disk_are_hashed_too(dataset_of: Factory, tmp_path: Path) -> None:
    root = shutil.copytree(dataset_of("packed-h264"), tmp_path / "dataset")
    expected = Dataset.open(root).file_hashes()
    for camera in list((root / "videos").iterdir()):
        elsewhere = camera.rename(tmp_path / camera.name)
        camera.symlink_to(elsewhere)
    assert Dataset.open(root).file_hashes() == expected


def test_several_metadata_files_are_read_as_one(dataset_of: Factory, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    root = shutil.copytree(dataset_of("packed-h264"), tmp_path / "dataset")
    first = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(first)
    pq.write_table(table.slice(0, 2), first)
    pq.write_table(table.slice(2), first.with_name("file-001.parquet"))
    dataset = Dataset.open(root)
    assert dataset.episode_indices == (0, 1, 2)
    assert isinstance(dataset.episode(2), Episode)
