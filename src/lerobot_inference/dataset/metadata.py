"""`meta/`: what the dataset contains and which file each episode's rows and frames lie in.

Paths come from info.json's templates and each episode's own chunk and file numbers, never from its index.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from lerobot_inference.dataset.features import Feature
from lerobot_inference.dataset.tables import INCOMPLETE, read_table
from lerobot_inference.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

INFO_FILE = "meta/info.json"
STATS_FILE = "meta/stats.json"
EPISODES_FOLDER = "meta/episodes"


class Info(BaseModel):
    """The part of info.json that reading needs."""

    codebase_version: str
    fps: float = Field(gt=0, allow_inf_nan=False)
    total_episodes: int
    features: dict[str, Feature]
    data_path: str
    video_path: str | None = None

    @property
    def cameras(self) -> dict[str, Feature]:
        """The colour image features, in the dataset's order."""
        return {name: feature for name, feature in self.features.items() if feature.is_camera}


@dataclass(frozen=True)
class VideoSpan:
    """Where an episode's frames lie in a video file, in seconds as the metadata counts them.

    start_s: of this episode. file_start_s, file_end_s: of the first and last episode in the same file.
    """

    file: Path
    start_s: float
    file_start_s: float
    file_end_s: float


@dataclass(frozen=True)
class EpisodeEntry:
    """One row of meta/episodes. rows: its first row and the one after its last, counted over the whole dataset."""

    index: int
    length: int
    task: str
    data_file: Path
    rows: tuple[int, int]
    videos: Mapping[str, VideoSpan]


def read_info(root: Path) -> Info:
    """Raises DatasetError when info.json is missing, not JSON, lacks a field or is of another format version."""
    path = root / INFO_FILE
    content = _read_json(path)
    version = content.get("codebase_version")
    if isinstance(version, str) and not version.startswith("v3."):
        raise DatasetError(
            f"{path}: codebase_version is {version}, expected v3.0",
            hint="convert it with lerobot's own converter: "
            "python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=<repo> --root=<folder>"
            if version.startswith("v2.")
            else None,
        )
    try:
        return Info.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise DatasetError(f"{path}: {field or 'content'}: {problem['msg']}") from error


def read_statistics(root: Path) -> dict[str, dict[str, NDArray[np.float64]]]:
    """meta/stats.json: feature -> statistic -> values. Raises DatasetError when it is missing or not numeric."""
    path = root / STATS_FILE
    content = _read_json(path)
    try:
        return {
            feature: {name: np.asarray(value, dtype=np.float64) for name, value in statistics.items()}
            for feature, statistics in content.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: expected numbers by feature and statistic: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path}: no such file", hint="give the folder of a LeRobot v3.0 dataset: the one that holds meta/"
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not readable as JSON: {error}", hint=INCOMPLETE) from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: holds a {type(content).__name__}, expected an object", hint=INCOMPLETE)
    return content


def read_episodes(root: Path, info: Info) -> dict[int, EpisodeEntry]:
    """Every episode that meta/episodes lists, by index.

    Raises DatasetError when there is none, some are missing, or an entry can't be right.
    """
    videos = [name for name, feature in info.cameras.items() if feature.dtype == "video"]
    rows = _episode_rows(root / EPISODES_FOLDER, videos)
    if not rows:
        raise DatasetError(f"{root}: the dataset is empty (0 episodes)", hint="record or download at least one episode")
    if len(rows) != info.total_episodes:
        raise DatasetError(
            f"{root / EPISODES_FOLDER}: {len(rows)} episodes, but {INFO_FILE} says {info.total_episodes}",
            hint=INCOMPLETE,
        )
    spans = {camera: _video_spans(root, info, camera, rows) for camera in videos}
    return {
        row["episode_index"]: EpisodeEntry(
            index=row["episode_index"],
            length=row["length"],
            task=", ".join(row["tasks"]),
            data_file=_locate(
                root, info.data_path, chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
            ),
            rows=(row["dataset_from_index"], row["dataset_to_index"]),
            videos={camera: spans[camera][row["episode_index"]] for camera in videos},
        )
        for row in rows
    }


def _episode_rows(folder: Path, videos: Sequence[str]) -> list[dict[str, Any]]:
    columns = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    columns += ["dataset_from_index", "dataset_to_index"]
    columns += [f"videos/{name}/{part}" for name in videos for part in ("chunk_index", "file_index", "from_timestamp")]
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*/*.parquet")):
        table = read_table(path, columns)
        for name in columns:
            if problem := _problem(name, table[name]):
                raise DatasetError(f"{path}: {name} is {problem}", hint=INCOMPLETE)
        rows += table.to_pylist()
    rows.sort(key=lambda row: int(row["episode_index"]))
    for one, next_one in pairwise(rows):
        if one["episode_index"] == next_one["episode_index"]:
            raise DatasetError(f"{folder}: episode {one['episode_index']} is listed twice", hint=INCOMPLETE)
    return rows


def _problem(name: str, column: pa.ChunkedArray) -> str | None:
    """What is wrong with a column of meta/episodes; None when nothing is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        return "empty for an episode"
    whole = pa.types.is_integer(column.type)
    if name.endswith("/from_timestamp"):
        if not whole and not pa.types.is_floating(column.type):
            return f"{column.type}, expected seconds"
        return None if pc.all(pc.is_finite(column), min_count=0).as_py() else "not finite for an episode"
    return None if whole or name == "tasks" else f"{column.type}, expected whole numbers"


def _video_spans(root: Path, info: Info, camera: str, rows: Sequence[dict[str, Any]]) -> dict[int, VideoSpan]:
    if info.video_path is None:
        raise DatasetError(f"{root / INFO_FILE}: video_path is null, but {camera} is a video")
    by_file: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_file[row[f"videos/{camera}/chunk_index"], row[f"videos/{camera}/file_index"]].append(row)
    spans = {}
    for (chunk, file), sharing in by_file.items():
        path = _locate(root, info.video_path, video_key=camera, chunk_index=chunk, file_index=file)
        starts = [row[f"videos/{camera}/from_timestamp"] for row in sharing]
        end = max(start + row["length"] / info.fps for start, row in zip(starts, sharing, strict=True))
        for start, row in zip(starts, sharing, strict=True):
            spans[row["episode_index"]] = VideoSpan(path, start, min(starts), end)
    return spans


def _locate(root: Path, template: str, **parts: int | str) -> Path:
    """Fill in a path template of info.json. Raises DatasetError when it is malformed or leaves the dataset's folder."""
    try:
        relative = PurePosixPath(template.format(**parts))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise DatasetError(f"{root / INFO_FILE}: path template {template!r} can't be filled in: {error!r}") from error
    # Lexical on purpose: the Hub's cache keeps its files behind symbolic links that lead outside.
    if relative.is_absolute() or ".." in relative.parts:
        raise DatasetError(f"{root / INFO_FILE}: path {str(relative)!r} leaves the dataset's folder")
    return root / relative
