"""Record the expert's episodes as a LeRobot dataset, through lerobot's own writer."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from lerobot_inference.errors import UsageError, require
from lerobot_inference.files import atomic_folder, require_replaceable
from lerobot_inference.sim.cell import CAMERA, CONTROL_HZ, DEFAULT_IMAGE, Cell
from lerobot_inference.sim.expert import demonstrate
from lerobot_inference.sim.scene import sample_scene, scene_rng
from lerobot_inference.types import ACTION, STATE, ImageShape, Progress, silent

JOINT_NAMES = [f"joint_{i}" for i in range(6)]
TASK = "move the tool to the red ball"


class RecordSummary(BaseModel):
    """What `sim record` wrote."""

    output: Path
    episodes: int
    frames: int
    fps: int
    image_size: str
    vcodec: str
    seed: int


def record(
    output: Path,
    episodes: int,
    seed: int,
    image: ImageShape = DEFAULT_IMAGE,
    vcodec: str = "h264",
    progress: Progress = silent,
) -> RecordSummary:
    """Write `episodes` demonstrations to the folder `output` (replaced when it already holds a dataset).

    The same arguments give the same states, actions and images.
    Raises UsageError for fewer than one episode, an odd image size, or an output folder that isn't a dataset;
    StorageError when the disk is full.
    """
    _check(output, episodes, image)
    require("lerobot", "sim")
    from lerobot.configs.video import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    _quiet()
    cell = Cell(image)
    frames = 0
    with atomic_folder(output) as folder:
        folder.rmdir()  # lerobot insists on making it
        dataset = LeRobotDataset.create(
            repo_id=f"local/{output.name}",
            fps=CONTROL_HZ,
            features=features(image),
            root=folder,
            robot_type="ur10e",
            video_backend="pyav",
            rgb_encoder=RGBEncoderConfig(vcodec=vcodec),
            streaming_encoding=True,
            encoder_queue_maxsize=0,  # no bound: lerobot drops the frames that a full queue can't take
        )
        try:
            for episode in range(episodes):
                progress("recording episodes", episode, episodes)
                demonstration = demonstrate(cell, sample_scene(scene_rng("record", seed, episode)))
                actions = demonstration.actions
                for tick, state in enumerate(demonstration.states):
                    dataset.add_frame(
                        {STATE: state, ACTION: actions[tick], CAMERA: demonstration.images[tick], "task": TASK}
                    )
                dataset.save_episode()
                frames += len(actions)
        finally:
            dataset.finalize()  # else it writes what is left when Python ends, into a folder that is gone
    cell.close()
    progress("recording episodes", episodes, episodes)
    return RecordSummary(
        output=output,
        episodes=episodes,
        frames=frames,
        fps=CONTROL_HZ,
        image_size=str(image),
        vcodec=vcodec,
        seed=seed,
    )


def features(image: ImageShape) -> dict[str, dict[str, object]]:
    """The dataset's columns in lerobot's terms."""
    joints: dict[str, object] = {"dtype": "float32", "shape": (6,), "names": JOINT_NAMES}
    camera: dict[str, object] = {
        "dtype": "video",
        "shape": (image.height, image.width, 3),
        "names": ["height", "width", "channels"],
    }
    return {STATE: joints, ACTION: joints, CAMERA: camera}


def _quiet() -> None:
    """Keep the encoder's chatter and the table writer's bar for each episode off the terminal."""
    import av.logging
    import datasets  # type: ignore[import-untyped]

    av.logging.set_libav_level(av.logging.ERROR)
    datasets.disable_progress_bars()


def _check(output: Path, episodes: int, image: ImageShape) -> None:
    if episodes < 1:
        raise UsageError(f"can't record {episodes} episodes", hint="give --episodes 1 or more")
    if image.height % 2 or image.width % 2:
        raise UsageError(f"image size {image}: video needs even numbers", hint="give for example --image-size 96x160")
    require_replaceable(output, "dataset", "meta/info.json")
