"""The recorder: a LeRobot dataset that lerobot itself reads."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.video_utils import _CameraEncoderThread

from lerobot_inference.errors import UsageError
from lerobot_inference.sim.cell import CAMERA, Cell
from lerobot_inference.sim.expert import demonstrate
from lerobot_inference.sim.record import RecordSummary, record
from lerobot_inference.sim.scene import sample_scene, scene_rng
from lerobot_inference.types import ImageShape

SMALL = ImageShape(64, 112)
SEED = 5


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordSummary:
    return record(tmp_path_factory.mktemp("sim") / "dataset", episodes=2, seed=SEED, image=SMALL)


def open_dataset(folder: Path) -> LeRobotDataset:
    return LeRobotDataset("local/test", root=folder, video_backend="pyav")


def column(dataset: LeRobotDataset, name: str) -> np.ndarray:
    return np.array(dataset.hf_dataset[name])


def frames(folder: Path) -> Iterator[np.ndarray]:
    for video in sorted(folder.glob("videos/**/*.mp4")):
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24").astype(float)


def test_lerobot_reads_what_was_recorded(recorded: RecordSummary) -> None:
    dataset = open_dataset(recorded.output)
    assert (dataset.num_episodes, dataset.num_frames, dataset.fps) == (2, recorded.frames, 30)
    assert dataset.features["observation.state"]["names"] == [f"joint_{i}" for i in range(6)]
    assert dataset.features["action"]["names"] == [f"joint_{i}" for i in range(6)]
    assert dataset[0][CAMERA].shape == (3, 64, 112)
    assert dataset[0]["task"] == "move the tool to the red ball"


def test_an_action_is_the_step_to_the_next_state_and_the_last_one_is_zero(recorded: RecordSummary) -> None:
    dataset = open_dataset(recorded.output)
    states, actions = column(dataset, "observation.state"), column(dataset, "action")
    episodes = column(dataset, "episode_index")
    for episode in (0, 1):
        state, action = states[episodes == episode], actions[episodes == episode]
        np.testing.assert_allclose(action[:-1], np.diff(state, axis=0), atol=1e-7)
        np.testing.assert_array_equal(action[-1], 0.0)
        assert np.abs(action).max() > 1e-3


def test_the_video_shows_the_episode_that_the_table_tells(recorded: RecordSummary) -> None:
    cell = Cell(SMALL)
    truth = demonstrate(cell, sample_scene(scene_rng("record", SEED, 1)))
    cell.close()
    dataset = open_dataset(recorded.output)
    first = int(np.argmax(column(dataset, "episode_index") == 1))
    np.testing.assert_array_equal(column(dataset, "observation.state")[first:], truth.states)
    for tick in (0, len(truth.states) // 2, len(truth.states) - 1):
        decoded = dataset[first + tick][CAMERA].permute(1, 2, 0).numpy() * 255
        assert np.abs(decoded - truth.images[tick]).mean() < 6  # what lossy video leaves


def test_the_same_seed_records_the_same_table_and_pictures(recorded: RecordSummary, tmp_path: Path) -> None:
    again = record(tmp_path / "dataset", episodes=2, seed=SEED, image=SMALL).output
    tables = sorted(path.relative_to(again) for path in again.glob("data/**/*.parquet"))
    assert tables
    for table in tables:
        assert (again / table).read_bytes() == (recorded.output / table).read_bytes(), table
    # Not the mp4's bytes: the encoder doesn't promise them from run to run, only the picture it was given.
    for left, right in zip(frames(again), frames(recorded.output), strict=True):
        assert np.abs(left - right).mean() < 1


def test_a_slow_encoder_loses_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lerobot's streaming encoder drops the frames that its queue has no room for."""
    encode = _CameraEncoderThread.run

    def run_late(self: _CameraEncoderThread) -> None:
        time.sleep(1)
        encode(self)

    monkeypatch.setattr(_CameraEncoderThread, "run", run_late)
    summary = record(tmp_path / "dataset", episodes=1, seed=SEED, image=SMALL)
    assert summary.frames > 60
    assert len(list(frames(summary.output))) == summary.frames


def test_an_interrupted_recording_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        del what, total
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        record(tmp_path / "dataset", episodes=2, seed=SEED, image=SMALL, progress=interrupt)
    del caught
    gc.collect()  # as at the end of Python, when lerobot's writer writes what it still has
    assert list(tmp_path.iterdir()) == []


def test_another_seed_records_other_episodes(recorded: RecordSummary, tmp_path: Path) -> None:
    other = open_dataset(record(tmp_path / "dataset", episodes=1, seed=SEED + 1, image=SMALL).output)
    start = column(open_dataset(recorded.output), "observation.state")[0]
    assert np.abs(column(other, "observation.state")[0] - start).max() > 0.01


def test_the_codec_is_the_one_that_was_asked_for(recorded: RecordSummary) -> None:
    info = json.loads((recorded.output / "meta" / "info.json").read_text())
    assert info["features"][CAMERA]["info"]["video.codec"] == "h264"
    assert info["robot_type"] == "ur10e"


def test_a_folder_that_is_no_dataset_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds no earlier dataset"):
        record(tmp_path, episodes=1, seed=0, image=SMALL)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_an_odd_image_size_is_refused_before_anything_is_rendered(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="even"):
        record(tmp_path / "dataset", episodes=1, seed=0, image=ImageShape(63, 112))
    assert not list(tmp_path.iterdir())
