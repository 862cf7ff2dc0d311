"""A Rerun recording of each evaluated episode, to be looked at in Rerun's viewer: rerun/ep000.rrd, opening laid out.

    camera/<camera>                  pictures, JPEG, some a second
    position/<joint>/measured        radians
    position/<joint>/chunks          where each chunk leads from where the joint was measured when it was predicted
    action/<joint>/recorded          what the demonstrator did, radians
    action/<joint>/predicted         what the policy said, as deployed, radians
    guards                           what the guards of the safety replay say, each time one begins to
    guards/severity                  what becomes of each step, numbers of control.Severity

Its timeline is `episode_time`, seconds since the episode's start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.control import Severity
from lerobot_inference.dataset import Episode
from lerobot_inference.errors import require
from lerobot_inference.evaluation.plan import Evaluation
from lerobot_inference.evaluation.replay import AsDeployed
from lerobot_inference.evaluation.results import RECORDINGS_FOLDER
from lerobot_inference.evaluation.results_folder import load_predictions, load_results
from lerobot_inference.evaluation.safety_replay import GuardedArm
from lerobot_inference.files import atomic_folder
from lerobot_inference.report.page.frames import to_jpeg
from lerobot_inference.report.text import MRAD
from lerobot_inference.report.view import EpisodeView
from lerobot_inference.types import FloatArray, Progress, TimeArray, silent

if TYPE_CHECKING:
    import rerun as rr
    import rerun.blueprint as rrb

EXTRA = "rerun"
APPLICATION = "lerobot-inference"
TIME = "episode_time"
PICTURES_HZ = 10
"""Of each camera, at most. As wide as the report's a photograph takes 8 to 12 kB, the simulated cell 2 kB."""
SEVERITIES = "each step: 0 as asked, 2 slower, 3 held, 6 latched"
# Told apart on Rerun's dark ground and on its light one.
RECORDED, PREDICTED, CHUNKS = (150, 150, 150), (86, 180, 233), (230, 159, 0)

type Said = tuple[int, Severity, str]
"""Step, how severe, and the words."""


class Fan(NamedTuple):
    """Where the executed part of each chunk leads: times (N,) seconds, positions (P, A) radians.

    points: (N,), how many of the positions each time has. Behind a chunk's last comes a time with none, which ends its
    line.
    """

    times: TimeArray
    positions: FloatArray
    points: list[int]


def write_recordings(evaluation: Evaluation, progress: Progress = silent) -> Path:
    """Write `rerun/` into the results folder that this evaluation wrote, and return it; it replaces an earlier one.

    Raises UsageError without the extra `rerun`, ConfigError when the results can't be read, DatasetError when a picture
    can't, StorageError; the recordings that were there stay then.
    """
    require("rerun", EXTRA)
    results = load_results(evaluation.output)
    arm = GuardedArm.of(evaluation.policy, evaluation.dataset, evaluation.plan)
    views = [
        EpisodeView(results, score, load_predictions(evaluation.output, results, score))
        for score in results.per_episode
    ]
    layout = _layout(views, list(evaluation.dataset.cameras))
    folder = evaluation.output / RECORDINGS_FOLDER
    with atomic_folder(folder) as temporary:
        for done, view in enumerate(views):
            progress(EXTRA, done, len(views))
            number = view.episode.episode
            recording = _record(view, evaluation.dataset.episode(number), layout, arm)
            (temporary / f"ep{number:03d}.rrd").write_bytes(recording)
    progress(EXTRA, len(views), len(views))
    return folder


def _record(view: EpisodeView, episode: Episode, layout: rrb.Blueprint, arm: GuardedArm | str) -> bytes:
    """One episode as the bytes of an .rrd file. arm: that of the safety replay, or why there is none."""
    import rerun as rr

    stream = rr.RecordingStream(APPLICATION)
    file = stream.binary_stream()
    stream.send_blueprint(layout)
    stream.send_recording_name(f"episode {view.episode.episode}, MAE {MRAD.text(view.episode.mae)}")
    _record_pictures(stream, view, episode)
    fan = chunk_fan(view)
    for joint, name in enumerate(view.results.joint_names):
        _record_joint(stream, view, fan, joint, _part(name))
    _record_guards(stream, view, arm)
    recording: bytes = file.read()
    return recording


def _record_pictures(stream: rr.RecordingStream, view: EpisodeView, episode: Episode) -> None:
    import rerun as rr

    every = math.ceil(view.results.fps / PICTURES_HZ)
    steps = slice(None, None, every)
    jpegs: dict[str, list[bytes]] = {}
    for pictures in episode.frames(view.data.frames[steps].tolist()):
        for camera, picture in pictures.items():
            jpegs.setdefault(camera, []).append(to_jpeg(picture))
    times = _times(view.data.timestamps[steps])
    for camera, blobs in jpegs.items():
        images = rr.EncodedImage.columns(blob=blobs, media_type=["image/jpeg"] * len(blobs))
        stream.send_columns(f"camera/{_part(camera)}", times, images)


def _record_joint(stream: rr.RecordingStream, view: EpisodeView, fan: Fan, joint: int, name: str) -> None:
    """joint: its number in training order; name: part of an entity's path."""
    data = view.data
    times = _times(data.timestamps)
    for what, values, colour in (("recorded", data.ground_truth, RECORDED), ("predicted", data.predicted, PREDICTED)):
        _plot(stream, f"action/{name}/{what}", times, values[:, joint], colour)
    if joint < data.states.shape[1]:
        _plot(stream, f"position/{name}/measured", times, data.states[:, joint], RECORDED)
    led = fan.positions[:, joint]
    _plot(stream, f"position/{name}/chunks", _times(fan.times), led, CHUNKS, fan.points)


def chunk_fan(view: EpisodeView) -> Fan:
    """Each chunk from the pose measured when it was predicted."""
    data = view.data
    times, positions = [], []
    points: list[int] = []
    for start, end in pairwise([*data.chunk_starts.tolist(), len(data.predicted)]):
        moments, reached = view.predicted_path(start, end)
        times.append(np.append(moments, moments[-1]))
        positions.append(reached)
        points += [1] * len(reached) + [0]
    return Fan(np.concatenate(times), np.concatenate(positions), points)


def _record_guards(stream: rr.RecordingStream, view: EpisodeView, arm: GuardedArm | str) -> None:
    import rerun as rr

    data = view.data
    if isinstance(arm, str):
        said = [(0, Severity.ACCEPT, f"no safety replay: {arm}")]
    else:
        said = list(guards_said(view, arm)) or [(0, Severity.ACCEPT, "no guard has anything to say")]
        _plot(stream, "guards/severity", _times(data.timestamps), data.safety, PREDICTED)
    steps = [step for step, _, _ in said]
    texts, levels = [text for _, _, text in said], [_level(severity) for _, severity, _ in said]
    columns = rr.TextLog.columns(text=texts, level=levels)
    stream.send_columns("guards", _times(data.timestamps[steps]), columns)


def guards_said(view: EpisodeView, arm: GuardedArm) -> Iterator[Said]:
    """Each time a guard of the safety replay begins to speak, or says another thing, up to where control goes off."""
    data = view.data
    before: set[tuple[str, Severity]] = set()
    decisions = arm.decide(AsDeployed(data.predicted, data.inference_times, data.chunk_starts), data.states[0])
    for step, (decision, answer) in enumerate(zip(decisions, data.safety, strict=True)):
        words = {(event.guard, event.severity): event.reason for event in decision.events}
        for (guard, severity), reason in words.items():
            if (guard, severity) not in before:
                yield step, severity, f"{guard}: {severity.name.lower()}, {reason}"
        if answer >= Severity.DISARM:
            yield step, Severity(answer), "control is off, the arm stands still from here on"
            return
        before = set(words)


def _level(severity: Severity) -> str:
    """Rerun's own words: INFO is as asked, WARN is slower or later than asked, ERROR is not at all."""
    return "ERROR" if severity >= Severity.DISARM else "WARN" if severity >= Severity.SCALE else "INFO"


def _plot(
    stream: rr.RecordingStream,
    path: str,
    times: Sequence[rr.TimeColumn],
    values: NDArray[np.generic],
    colour: tuple[int, int, int],
    points: Sequence[int] | None = None,
) -> None:
    """A line of a plot. points: how many of the values each time has; None: one."""
    import rerun as rr

    name = path.rpartition("/")[2]
    stream.log(path, rr.SeriesLines(colors=[colour], names=[name]), static=True)
    scalars = rr.Scalars.columns(scalars=values.astype(np.float64))
    stream.send_columns(path, times, scalars if points is None else scalars.partition(points))


def _times(seconds: TimeArray) -> list[rr.TimeColumn]:
    import rerun as rr

    return [rr.TimeColumn(TIME, duration=seconds)]


def _part(name: str) -> str:
    """A name as one part of an entity's path."""
    import rerun as rr

    escaped: str = rr.escape_entity_path_part(name)
    return escaped


def _layout(views: Sequence[EpisodeView], cameras: Sequence[str]) -> rrb.Blueprint:
    """Cameras over the guards on the left; beside them a row a joint, its action and its position.

    One for all episodes: the viewer lays them all out as the one that it opened last.
    """
    import rerun.blueprint as rrb

    linked, keyless = rrb.TimeAxis(link="LinkToGlobal"), rrb.PlotLegend(visible=False)
    seen = [rrb.Spatial2DView(origin=f"camera/{_part(camera)}", name=camera) for camera in cameras]
    words = rrb.TextLogColumns(timeline_columns=[TIME], text_log_columns=["LogLevel", "Body"])
    guards = rrb.TextLogView(origin="guards", name="guards of the safety replay", columns=words)
    severity = rrb.TimeSeriesView(origin="guards", name=SEVERITIES, axis_x=linked, plot_legend=keyless)
    actions, positions = [], []
    for number, (joint, span) in enumerate(zip(views[0].results.joint_names, _spans(views), strict=True)):
        key = keyless if number else None  # all joints have the key of the first
        actions.append(
            rrb.TimeSeriesView(
                origin=f"action/{_part(joint)}", name=f"{joint}: action (rad)", axis_x=linked, plot_legend=key
            )
        )
        positions.append(
            rrb.TimeSeriesView(
                origin=f"position/{_part(joint)}",
                name=f"{joint}: position (rad)",
                axis_x=linked,
                axis_y=rrb.ScalarAxis(range=span),
                plot_legend=key,
            )
        )
    left = rrb.Vertical(*seen, guards, severity, row_shares=[2] * len(seen) + [2, 1])
    return rrb.Blueprint(
        rrb.Horizontal(left, rrb.Vertical(*actions), rrb.Vertical(*positions), column_shares=[2, 3, 3]),
        rrb.BlueprintPanel(state="expanded"),  # with the list of episodes on top
        rrb.SelectionPanel(state="collapsed"),
        rrb.TimePanel(timeline=TIME, state="collapsed", play_state="paused"),
    )


def _spans(views: Sequence[EpisodeView]) -> list[tuple[float, float]]:
    """Lowest and highest of each joint's positions, and a little room: Rerun's own choice takes in the 0 of a gap."""
    led = np.concatenate([chunk_fan(view).positions for view in views])
    measured = np.concatenate([view.data.states for view in views])
    spans = []
    for joint in range(led.shape[1]):
        shown = np.concatenate([led[:, joint], *measured.T[joint : joint + 1]])
        low, high = float(shown.min()), float(shown.max())
        room = max(0.05 * (high - low), 0.001)
        spans.append((low - room, high + room))
    return spans
