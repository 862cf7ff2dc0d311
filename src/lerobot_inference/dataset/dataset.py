"""The dataset as a whole: what it is, and its episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.dataset.episode import Episode
from lerobot_inference.dataset.features import image_shape, is_reordered, joint_names
from lerobot_inference.dataset.metadata import (
    INFO_FILE,
    STATS_FILE,
    EpisodeEntry,
    Info,
    read_episodes,
    read_info,
    read_statistics,
)
from lerobot_inference.errors import DatasetError, require
from lerobot_inference.files import files_below, sha256_file
from lerobot_inference.types import ACTION, STATE, ImageShape


@dataclass(frozen=True, eq=False)
class Dataset:
    """A LeRobot v3.0 dataset in a folder.

    fps: frames per second. cameras: feature name -> image size. joint_names: of the action, in training order.
    statistics: feature -> mean, std, min, max, q01 ... -> values, as meta/stats.json has them.
    """

    root: Path
    fps: float
    cameras: Mapping[str, ImageShape]
    joint_names: tuple[str, ...]
    state_dim: int
    action_dim: int
    statistics: Mapping[str, Mapping[str, NDArray[np.float64]]]
    _entries: Mapping[int, EpisodeEntry] = field(repr=False)

    @classmethod
    def open(cls, root: Path) -> Dataset:
        """Read the metadata; tables and videos are read by episode.

        Raises UsageError without what reads tables and videos, DatasetError when the folder is no LeRobot v3.0
        dataset with a state, actions, a camera and episodes.
        """
        for module in ("pyarrow", "av"):
            require(module, "dataset")
        info = read_info(root)
        state_dim, action_dim = (_dimension(root, info, name) for name in (STATE, ACTION))
        if not info.cameras:
            raise DatasetError(f"{root / INFO_FILE}: no feature is a colour camera (dtype video or image)")
        try:
            names = joint_names(info.features[ACTION].names, action_dim)
        except ValueError as error:
            raise DatasetError(f"{root / INFO_FILE}: features.{ACTION}.names: {error}") from error
        if is_reordered(info.features[STATE].names, names):
            raise DatasetError(
                f"{root / INFO_FILE}: features.{STATE}.names are those of the action in another order; "
                f"expected {', '.join(names)}",
                hint="state and action of a joint are compared and added up by their place: record both in one order",
            )
        return cls(
            root=root,
            fps=info.fps,
            cameras={name: _image_shape(root, info, name) for name in info.cameras},
            joint_names=names,
            state_dim=state_dim,
            action_dim=action_dim,
            statistics=read_statistics(root),
            _entries=read_episodes(root, info),
        )

    @property
    def episode_indices(self) -> tuple[int, ...]:
        """Numbers of the recorded episodes, ascending."""
        return tuple(self._entries)

    def episode(self, index: int) -> Episode:
        """Read one episode's table. Raises DatasetError when it isn't there or can't be read; others still can."""
        if index not in self._entries:
            first, last = self.episode_indices[0], self.episode_indices[-1]
            raise DatasetError(f"{self.root}: no episode {index}; the dataset has {first} to {last}")
        return Episode.read(
            self._entries[index],
            state_dim=self.state_dim,
            action_dim=self.action_dim,
            cameras=self.cameras,
            fps=self.fps,
        )

    def statistic(self, feature: str, name: str) -> NDArray[np.float64]:
        """One of meta/stats.json's vectors: (joints,) of the state or the action, finite.

        Raises DatasetError when it is missing, of another size, or holds a null, NaN or infinity.
        """
        size = {STATE: self.state_dim, ACTION: self.action_dim}[feature]
        values = self.statistics.get(feature, {}).get(name)
        if values is None:
            found = "is missing"
        elif values.shape != (size,):
            found = f"has shape {values.shape}, expected ({size},)"
        elif not np.isfinite(values).all():
            found = f"is {values.tolist()}, expected numbers"
        else:
            return values
        raise DatasetError(
            f"{self.root / STATS_FILE}: {feature}.{name} {found}",
            hint="compute the dataset's statistics again with lerobot, or fetch the dataset again",
        )

    def file_hashes(self) -> dict[str, str]:
        """Path within the dataset -> hex sha256, for every file of meta, data and videos."""
        parts = (self.root / part for part in ("meta", "data", "videos"))
        files = (path for part in parts for path in files_below(part))
        return {path.relative_to(self.root).as_posix(): sha256_file(path) for path in files}


def _dimension(root: Path, info: Info, name: str) -> int:
    if name not in info.features:
        raise DatasetError(f"{root / INFO_FILE}: no feature {name!r}; found {', '.join(info.features)}")
    shape = info.features[name].shape
    if len(shape) != 1 or shape[0] < 1:
        raise DatasetError(f"{root / INFO_FILE}: features.{name}.shape is {list(shape)}, expected [number of joints]")
    return shape[0]


def _image_shape(root: Path, info: Info, camera: str) -> ImageShape:
    feature = info.features[camera]
    try:
        return image_shape(feature.shape, feature.names)
    except ValueError as error:
        raise DatasetError(f"{root / INFO_FILE}: features.{camera}: {error}") from error
