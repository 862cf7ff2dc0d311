"""Damaged, incomplete and foreign datasets are refused with a message that says what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_writer import COLOR, make_timestamps_cumulative, picture, write_dataset

from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import DatasetError

INFO = "meta/info.json"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
TABLE = "data/chunk-000/file-000.parquet"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("good") / "dataset", episodes=[20, 20, 20])


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("good") / "dataset", episodes=[20, 20, 20], files="one_per_episode")


@pytest.fixture
def root(packed: Path, tmp_path: Path) -> Path:
    """A copy of a good dataset, three episodes of 20 frames in one file, to be damaged."""
    return shutil.copytree(packed, tmp_path / "dataset")


@pytest.fixture
def split(separate: Path, tmp_path: Path) -> Path:
    """The same with one file per episode."""
    return shutil.copytree(separate, tmp_path / "dataset")


def edit_info(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    info = json.loads((root / INFO).read_text())
    edit(info)
    (root / INFO).write_text(json.dumps(info))


def edit_column(path: Path, name: str, edit: Callable[[list[Any]], object]) -> None:
    table = pq.read_table(path)
    values = table[name].to_pylist()
    edit(values)
    column = pa.array(values, type=table.schema.field(name).type)
    pq.write_table(table.set_column(table.column_names.index(name), name, column), path)


def video(root: Path, file: int = 0) -> Path:
    return root / f"videos/{COLOR}/chunk-000/file-{file:03d}.mp4"


def write_video(path: Path, frames: int, size: tuple[int, int] = (64, 96)) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for t in range(frames):
            image = av.VideoFrame.from_ndarray(picture(size, frame=t, episode=0, camera=0), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def assert_readable(root: Path, *episodes: int) -> None:
    for index in episodes:
        assert len(list(Dataset.open(root).episode(index).frames())) == 20


def test_a_folder_without_info_json_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"meta/info\.json: no such file") as error:
        Dataset.open(tmp_path)
    assert "LeRobot v3.0" in (error.value.hint or "")
    assert error.value.exit_code == 3


@pytest.mark.parametrize("content", ["", '{"fps": 30', "\x00\xff", "[1, 2]", "null"])
@pytest.mark.parametrize("file", [INFO, "meta/stats.json"])
def test_broken_json_is_named(root: Path, file: str, content: str) -> None:
    (root / file).write_text(content)
    with pytest.raises(DatasetError, match=file):
        Dataset.open(root)


@pytest.mark.parametrize("field", ["fps", "features", "codebase_version", "data_path", "total_episodes"])
def test_a_missing_field_of_info_json_is_named(root: Path, field: str) -> None:
    edit_info(root, lambda info: info.pop(field))
    with pytest.raises(DatasetError, match=rf"info\.json: {field}: "):
        Dataset.open(root)


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_version_2_is_refused_with_lerobots_converter(root: Path, version: str) -> None:
    import importlib.util

    edit_info(root, lambda info: info.update(codebase_version=version))
    with pytest.raises(DatasetError, match=rf"{version}, expected v3\.0") as error:
        Dataset.open(root)
    module = (error.value.hint or "").split("python -m ")[1].split()[0]
    assert importlib.util.find_spec(module), "the converter that the hint names must exist"


def test_a_version_of_the_future_is_refused(root: Path) -> None:
    edit_info(root, lambda info: info.update(codebase_version="v4.0"))
    with pytest.raises(DatasetError, match=r"v4\.0, expected v3\.0"):
        Dataset.open(root)


@pytest.mark.parametrize("feature", ["observation.state", "action"])
def test_a_missing_feature_is_named(root: Path, feature: str) -> None:
    edit_info(root, lambda info: info["features"].pop(feature))
    with pytest.raises(DatasetError, match=f"no feature '{feature}'"):
        Dataset.open(root)


def test_a_dataset_without_a_camera_is_refused(root: Path) -> None:
    edit_info(root, lambda info: info["features"].pop(COLOR))
    with pytest.raises(DatasetError, match="no feature is a colour camera"):
        Dataset.open(root)


def test_joint_names_that_do_not_fit_the_action_are_refused(root: Path) -> None:
    edit_info(root, lambda info: info["features"]["action"].update(names=["a", "b"]))
    with pytest.raises(DatasetError, match=r"features\.action\.names: expected 6 different names"):
        Dataset.open(root)


def test_an_empty_dataset_is_refused(root: Path) -> None:
    shutil.rmtree(root / "meta/episodes")
    edit_info(root, lambda info: info.update(total_episodes=0))
    with pytest.raises(DatasetError, match=r"empty \(0 episodes\)"):
        Dataset.open(root)


def test_a_lost_part_of_the_episode_metadata_is_noticed(root: Path) -> None:
    pq.write_table(pq.read_table(root / EPISODES).slice(0, 2), root / EPISODES)
    with pytest.raises(DatasetError, match=r"2 episodes, but meta/info\.json says 3"):
        Dataset.open(root)


def test_an_episode_that_is_listed_twice_is_refused(root: Path) -> None:
    edit_column(root / EPISODES, "episode_index", lambda values: values.__setitem__(1, 0))
    with pytest.raises(DatasetError, match="meta/episodes: episode 0 is listed twice"):
        Dataset.open(root)


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("length", ["20", "20", "20"], "length is string, expected whole numbers"),
        ("data/file_index", [0.0, 0.5, 1.0], "data/file_index is double, expected whole numbers"),
        (f"videos/{COLOR}/from_timestamp", ["0", "1", "2"], "from_timestamp is string, expected seconds"),
        (f"videos/{COLOR}/from_timestamp", [0.0, float("nan"), 2.0], "from_timestamp is not finite for an episode"),
    ],
)
def test_episode_metadata_of_another_type_is_named(root: Path, column: str, values: list[object], problem: str) -> None:
    table = pq.read_table(root / EPISODES)
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), root / EPISODES)
    with pytest.raises(DatasetError, match=rf"{EPISODES}: .*{problem}") as error:
        Dataset.open(root)
    assert "fetch the dataset again" in (error.value.hint or "")


@pytest.mark.parametrize("index", [-1, 3, 1000])
def test_an_episode_out_of_range_is_refused_with_the_range(root: Path, index: int) -> None:
    with pytest.raises(DatasetError, match=rf"no episode {index}; the dataset has 0 to 2"):
        Dataset.open(root).episode(index)


@pytest.mark.parametrize("wanted", [[-1], [20], [3, 2], [3, 3]])
def test_frames_out_of_range_or_order_are_refused(root: Path, wanted: list[int]) -> None:
    with pytest.raises(DatasetError, match="expected ascending numbers from 0 to 19"):
        Dataset.open(root).episode(0).frames(wanted)


def test_an_unknown_camera_is_refused(root: Path) -> None:
    with pytest.raises(DatasetError, match=rf"no camera 'top'; it has {COLOR}"):
        Dataset.open(root).episode(0).frames(cameras=["top"])


@pytest.mark.parametrize("file", [EPISODES, TABLE])
def test_a_truncated_table_is_named(root: Path, file: str) -> None:
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=f"{file}: not a readable parquet file"):
        Dataset.open(root).episode(0)


def test_a_missing_table_is_named_and_the_other_episodes_still_read(split: Path) -> None:
    (split / "data/chunk-000/file-001.parquet").unlink()
    with pytest.raises(DatasetError, match=r"file-001\.parquet: no such file"):
        Dataset.open(split).episode(1)
    assert_readable(split, 0, 2)


def test_a_table_without_actions_is_named(root: Path) -> None:
    pq.write_table(pq.read_table(root / TABLE).drop_columns(["action"]), root / TABLE)
    with pytest.raises(DatasetError, match="no column 'action'"):
        Dataset.open(root).episode(0)


def test_missing_rows_are_noticed(root: Path) -> None:
    pq.write_table(pq.read_table(root / TABLE).slice(0, 50), root / TABLE)
    with pytest.raises(DatasetError, match="episode 2 should have 20 rows in order; found 10"):
        Dataset.open(root).episode(2)
    assert_readable(root, 0, 1)


def test_rows_are_found_by_index_where_the_episode_column_was_renumbered(root: Path) -> None:
    expected = Dataset.open(root).episode(1).states

    def renumber(values: list[int]) -> None:
        values[:] = [value + 7 for value in values]

    edit_column(root / TABLE, "episode_index", renumber)
    assert (Dataset.open(root).episode(1).states == expected).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
@pytest.mark.parametrize("column", ["observation.state", "action"])
def test_a_number_that_is_not_finite_is_named_by_frame_and_joint(root: Path, column: str, value: float | None) -> None:
    def spoil(rows: list[list[float | None]]) -> None:
        rows[25][4] = value

    edit_column(root / TABLE, column, spoil)
    with pytest.raises(DatasetError, match=rf"episode 1: {column} is (nan|inf) at frame 5, element 4"):
        Dataset.open(root).episode(1)
    assert_readable(root, 0, 2)


def test_vectors_of_another_size_are_refused(root: Path) -> None:
    edit_info(root, lambda info: info["features"]["observation.state"].update(shape=[7]))
    with pytest.raises(DatasetError, match=r"observation\.state holds 120 numbers in 20 rows, expected 7 each"):
        Dataset.open(root).episode(0)


@pytest.mark.parametrize("field", ["data_path", "video_path"])
@pytest.mark.parametrize("template", ["../{file_index}", "/etc/{file_index}", "data/{nothing}", "data/{file_index:q}"])
def test_path_templates_stay_within_the_dataset(root: Path, field: str, template: str) -> None:
    edit_info(root, lambda info: info.update({field: template}))
    with pytest.raises(DatasetError, match=r"info\.json: path"):
        Dataset.open(root)


def test_a_missing_video_is_named_and_the_other_episodes_still_read(split: Path) -> None:
    video(split, 1).unlink()
    with pytest.raises(DatasetError, match=rf"{video(split, 1)}: frame 0 can't be decoded"):
        list(Dataset.open(split).episode(1).frames())
    assert_readable(split, 0, 2)


def test_an_unreadable_video_is_named_and_the_other_episodes_still_read(split: Path) -> None:
    video(split, 1).write_bytes(b"not a video" * 100)
    with pytest.raises(DatasetError, match=rf"{video(split, 1)}: frame 0 can't be decoded"):
        list(Dataset.open(split).episode(1).frames())
    assert_readable(split, 0, 2)


def test_a_video_cut_short_loses_only_the_episodes_after_the_cut(root: Path) -> None:
    content = video(root).read_bytes()
    video(root).write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(DatasetError, match=r"frame \d+ can't be decoded"):
        list(Dataset.open(root).episode(1).frames())
    assert_readable(root, 0)


def test_damaged_pictures_are_an_error_never_a_guess(root: Path) -> None:
    content = bytearray(video(root).read_bytes())
    middle = content.index(b"mdat") + len(content[content.index(b"mdat") :]) // 2
    content[middle : middle + 200] = bytes(200)
    video(root).write_bytes(content)
    with pytest.raises(DatasetError, match=r"can't be decoded|damaged"):
        list(Dataset.open(root).episode(1).frames())
    assert_readable(root, 0)


@pytest.mark.parametrize("cumulative", [False, True])
def test_a_video_with_fewer_frames_than_the_table_says_which_frame_is_missing(split: Path, cumulative: bool) -> None:
    if cumulative:
        make_timestamps_cumulative(split)
    write_video(video(split, 1), frames=15)
    with pytest.raises(DatasetError, match="no picture for frame"):
        list(Dataset.open(split).episode(1).frames())
    assert_readable(split, 0, 2)


def test_frames_before_the_missing_one_are_still_given(split: Path) -> None:
    write_video(video(split, 1), frames=15)
    assert len(list(Dataset.open(split).episode(1).frames(range(15)))) == 15


def test_a_video_of_another_size_is_refused(split: Path) -> None:
    write_video(video(split, 0), frames=20, size=(48, 96))
    with pytest.raises(DatasetError, match=r"pictures are 48x96, meta/info\.json says 64x96"):
        list(Dataset.open(split).episode(0).frames())


def test_a_file_without_pictures_is_refused(split: Path) -> None:
    with av.open(str(video(split, 0)), "w") as container:
        stream = container.add_stream("aac", 44100)
        silence = np.zeros((2, 1024), np.float32)
        sound = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(DatasetError, match="holds no video stream"):
        list(Dataset.open(split).episode(0).frames())


def test_joints_of_the_state_in_another_order_than_the_actions_are_refused(root: Path) -> None:
    """Steps would be added to other joints than they are of, and no size would tell."""
    edit_info(root, lambda info: info["features"]["observation.state"]["names"].reverse())
    with pytest.raises(DatasetError, match=r"observation\.state\.names are those of the action in another order"):
        Dataset.open(root)


def test_frames_that_are_not_as_far_apart_as_the_rate_says_are_refused(root: Path) -> None:
    edit_info(root, lambda info: info.update(fps=15))
    with pytest.raises(DatasetError, match=r"frames are 0\.03333 s apart, meta/info\.json says 15 a second"):
        Dataset.open(root).episode(0)


def test_a_number_beyond_float32_is_named(root: Path) -> None:
    table = pq.read_table(root / TABLE)
    values = table["action"].to_pylist()
    values[3][2] = 1e39
    column = pa.array(values, type=pa.list_(pa.float64()))
    pq.write_table(table.set_column(table.column_names.index("action"), "action", column), root / TABLE)
    with pytest.raises(DatasetError, match=r"action is 1e\+39 at frame 3, element 2"):
        Dataset.open(root).episode(0)


def test_a_picture_that_the_table_lacks_is_named_by_its_frame(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "dataset", episodes=[5], vcodec=None)

    def lose(pictures: list[Any]) -> None:
        pictures[3] = None

    edit_column(root / TABLE, COLOR, lose)
    with pytest.raises(DatasetError, match="color of frame 3 is not stored in the table"):
        list(Dataset.open(root).episode(0).frames())


def test_a_folder_named_by_the_time_of_day_is_no_protocol(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(packed, tmp_path / "2026-02-27T10:30 käfig")
    monkeypatch.chdir(tmp_path)
    assert_readable(Path("2026-02-27T10:30 käfig"), 0)
