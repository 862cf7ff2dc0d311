"""Writes datasets with lerobot's own writer: what the reader is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

COLOR = "observation.images.color"
SMALL = {COLOR: (64, 96)}


def write_dataset(
    root: Path,
    *,
    episodes: Sequence[int],
    cameras: Mapping[str, tuple[int, int]] = SMALL,
    fps: int = 30,
    state_dim: int = 6,
    action_dim: int = 6,
    vcodec: str | None = "h264",
    files: Literal["packed", "one_per_episode"] = "packed",
    seed: int = 0,
) -> Path:
    """Record `episodes` (their lengths in frames) into `root` and return it.

    Joints follow smooth sines; action[t] = state[t+1] - state[t], the last one zero (zero beyond the state's joints).
    cameras: feature name -> (height, width); see `picture` for what they show. vcodec: a lerobot encoder name, or
    None to store the images in the table as PNG. files: "one_per_episode" gives every episode its own table
    and video.
    """
    from lerobot.configs.video import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    def joints(name: str, size: int) -> dict[str, Any]:
        return {name: {"dtype": "float32", "shape": (size,), "names": [f"joint_{j}" for j in range(size)]}}

    channels = ["height", "width", "channels"]
    dtype = "image" if vcodec is None else "video"
    features = {
        **joints("observation.state", state_dim),
        **joints("action", action_dim),
        **{name: {"dtype": dtype, "shape": (*size, 3), "names": channels} for name, size in cameras.items()},
    }
    tiny = 1e-6 if files == "one_per_episode" else None
    dataset = LeRobotDataset.create(
        "local/test",
        fps=fps,
        features=features,
        root=root,
        use_videos=vcodec is not None,
        rgb_encoder=None if vcodec is None else RGBEncoderConfig(vcodec=vcodec),
        encoder_threads=1,
        video_files_size_in_mb=tiny,  # type: ignore[arg-type]
        data_files_size_in_mb=tiny,  # type: ignore[arg-type]
    )
    for episode, length in enumerate(episodes):
        states, actions = trajectory(length, state_dim, action_dim, fps, seed + episode)
        for t in range(length):
            images = {
                name: picture(size, frame=t, episode=episode, camera=c)
                for c, (name, size) in enumerate(cameras.items())
            }
            dataset.add_frame({"observation.state": states[t], "action": actions[t], "task": "reach", **images})
        dataset.save_episode(parallel_encoding=False)
    dataset.finalize()
    return root


def trajectory(
    length: int, state_dim: int, action_dim: int, fps: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Smooth joint angles (length, state_dim) and the steps between them (length, action_dim), radians."""
    rng = np.random.default_rng(seed)
    time = np.arange(length)[:, None] / fps
    rate, phase, middle = rng.uniform(0.5, 2.0, state_dim), rng.uniform(0, 6, state_dim), rng.uniform(-2, 2, state_dim)
    states = (middle + 0.5 * np.sin(rate * time + phase)).astype(np.float32)
    actions = np.zeros((length, action_dim), np.float32)
    shared = min(state_dim, action_dim)
    actions[:-1, :shared] = np.diff(states[:, :shared], axis=0)
    return states, actions


def picture(size: tuple[int, int], *, frame: int, episode: int, camera: int) -> NDArray[np.uint8]:
    """A shaded background with a bright square whose place tells the frame; the shade tells episode and camera."""
    height, width = size
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(20, 120, width)
    image[..., 1] = np.linspace(20, 120, height)[:, None]
    image[..., 2] = 40 + 50 * (episode % 4) + 20 * camera
    side = height // 4
    cells = (width - side) // 4
    top, left = (frame // cells) * 4 % (height - side), (frame % cells) * 4
    image[top : top + side, left : left + side] = 235
    return image


def make_timestamps_cumulative(root: Path) -> None:
    """Imitate datasets that give each episode its own video but count its timestamps from the first episode's start."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    for name in table.column_names:
        if name.endswith("/to_timestamp"):
            ends = np.cumsum(table[name].to_numpy())
            starts = np.concatenate([[0.0], ends[:-1]])
            start_name = name.replace("/to_", "/from_")
            table = table.set_column(table.column_names.index(name), name, pa.array(ends))
            table = table.set_column(table.column_names.index(start_name), start_name, pa.array(starts))
    pq.write_table(table, path)
