"""What the page's episode explorer is given: curves of some episodes, and camera frames that fit into the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.predictions import EpisodePredictions
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.records import Figure, Record
from lerobot_inference.report.page.frames import Frames, embed_frames
from lerobot_inference.types import FloatArray, Progress

MOST_EPISODES = 20
MOST_VALUES = 1_000_000
"""Predicted and recorded values of all episodes together: some 6 MB of page."""
PER_RADIAN = 1_000_000

ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


class ExplorerEpisode(Record):
    """One episode. predicted, recorded: for each joint its values, in microradians. times: seconds, of each step.

    frame_numbers: of each step, in the recording. frames: camera -> JPEGs in base64, of each `every`-th step.
    """

    episode: int
    mae: Figure
    times: list[Figure]
    frame_numbers: list[int]
    chunk_starts: list[int]
    predicted: list[list[int]]
    recorded: list[list[int]]
    frames: dict[str, list[str]]


class Explorer(Record):
    """Everything the explorer's script reads. left_out: episodes that were scored and are not in here.

    first: the episode shown first, the one with the largest error. every: steps from one embedded frame to the next.
    frames_size: characters of base64.
    """

    fps: Figure
    mode: Literal["delta", "absolute"]
    joints: list[str]
    cameras: list[str]
    every: int | None
    frames_size: int
    first: int
    episodes: dict[int, ExplorerEpisode]
    left_out: list[int]

    def script_json(self) -> str:
        """JSON that no name in it can end early within a script element."""
        text = self.model_dump_json()
        for character, escape in ESCAPES.items():
            text = text.replace(character, escape)
        return text


def explore(
    results: EvalResults, data: Mapping[int, EpisodePredictions], dataset: Dataset | None, progress: Progress
) -> Explorer:
    """The worst episodes and then the first ones, as many as the page can hold. data: of every scored episode.

    Raises DatasetError when a frame can't be read.
    """
    chosen = choose_episodes(results)
    frames = embed_frames(dataset, {episode: data[episode].frames for episode in chosen}, progress) if dataset else None
    mae = {score.episode: score.mae for score in results.per_episode}
    return Explorer(
        fps=results.fps,
        mode=results.action_mode,
        joints=results.joint_names,
        cameras=list(dataset.cameras) if dataset else [],
        every=frames.every if frames else None,
        frames_size=frames.size if frames else 0,
        first=max(chosen, key=lambda episode: mae[episode]),
        episodes={episode: _episode(episode, mae[episode], data[episode], frames) for episode in chosen},
        left_out=[episode for episode in data if episode not in chosen],
    )


def choose_episodes(results: EvalResults) -> list[int]:
    """Numbers of the episodes to show, ascending: at most MOST_EPISODES and MOST_VALUES, at least one."""
    steps = {score.episode: score.steps for score in results.per_episode}
    chosen: list[int] = []
    values = 0
    for episode in dict.fromkeys([*(e for e in results.worst_episodes if e in steps), *sorted(steps)]):
        values += 2 * steps[episode] * len(results.joint_names)
        if chosen and (len(chosen) == MOST_EPISODES or values > MOST_VALUES):
            break
        chosen.append(episode)
    return sorted(chosen)


def _episode(episode: int, mae: float, data: EpisodePredictions, frames: Frames | None) -> ExplorerEpisode:
    return ExplorerEpisode(
        episode=episode,
        mae=mae,
        times=np.round(data.timestamps, 4).tolist(),
        frame_numbers=data.frames.tolist(),
        chunk_starts=data.chunk_starts.tolist(),
        predicted=_microradians(data.predicted),
        recorded=_microradians(data.ground_truth),
        frames=frames.jpegs[episode] if frames else {},
    )


def _microradians(values: FloatArray) -> list[list[int]]:
    """(T, A) radians -> A lists of T."""
    rounded: list[list[int]] = np.rint(values.T.astype(np.float64) * PER_RADIAN).astype(np.int64).tolist()
    return rounded
