"""A Rerun recording, read back with Rerun's own reader, holds what the results folder and the dataset hold."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_kit import Scripted
from numpy.typing import NDArray
from PIL import Image
from rerun.experimental import RrdReader

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import Evaluation, EvaluationPlan
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results_folder import clear_figures, load_results
from lerobot_inference.report.recording import write_recordings
from lerobot_inference.types import ActionMode

CAMERA = "observation.images.color"
EVERY = 3
"""30 frames a second, 10 pictures."""


@dataclass
class Column:
    """What an entity has of one component. times: (N,) seconds; values: a list each."""

    times: NDArray[np.float64]
    values: list[Any]

    @property
    def frames(self) -> NDArray[np.int64]:
        return np.rint(self.times * 30).astype(np.int64)

    @property
    def scalars(self) -> NDArray[np.float64]:
        return np.array([value[0] for value in self.values])


def read(file: Path) -> dict[str, Column]:
    """`entity:component` -> what was logged over time."""
    found = {}
    for chunk in RrdReader(str(file)).stream():
        if chunk.is_static:
            continue
        batch = chunk.to_record_batch()
        times = batch["episode_time"].cast("int64").to_numpy() / 1e9
        for name in batch.schema.names:
            if ":" in name:
                entity = str(chunk.entity_path).lstrip("/")
                found[f"{entity}:{name.rpartition(':')[2]}"] = Column(times, batch[name].to_pylist())
    return found


@pytest.fixture(scope="module")
def evaluation(checkpoint: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Of a policy that moves a little, and in one episode more than the guards let it."""
    policy, data = open_policy(checkpoint), Dataset.open(dataset_folder)
    plan = EvaluationPlan.make(policy, data, action_mode=ActionMode.DELTA, every_frame=False)
    found = Evaluation(policy, data, plan, tmp_path_factory.mktemp("results") / "results")
    too_far = data.episode(1).states[8]

    def answer(_: object, state: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((8, 6), 1.0 if np.array_equal(state, too_far) else 0.01 * np.sin(state[0]), np.float32)

    evaluate(policy, data, Scripted(policy.spec, answer), found.output, plan)
    return found


@pytest.fixture(scope="module")
def recordings(evaluation: Evaluation) -> dict[int, dict[str, Column]]:
    folder = write_recordings(evaluation)
    assert [path.name for path in sorted(folder.iterdir())] == ["ep000.rrd", "ep001.rrd", "ep002.rrd"]
    return {number: read(folder / f"ep{number:03d}.rrd") for number in range(3)}


@pytest.fixture(scope="module")
def predictions(evaluation: Evaluation) -> dict[int, EpisodePredictions]:
    return {number: EpisodePredictions.load(predictions_path(evaluation.output, number)) for number in range(3)}


def test_actions_and_positions_are_those_of_the_results(
    evaluation: Evaluation, recordings: dict[int, dict[str, Column]], predictions: dict[int, EpisodePredictions]
) -> None:
    for number, data in predictions.items():
        for joint, name in enumerate(evaluation.dataset.joint_names):
            for what, values in (
                (f"action/{name}/recorded", data.ground_truth),
                (f"action/{name}/predicted", data.predicted),
                (f"position/{name}/measured", data.states),
            ):
                column = recordings[number][f"{what}:scalars"]
                assert np.array_equal(column.scalars.astype(np.float32), values[:, joint])
                np.testing.assert_allclose(column.times, data.timestamps, atol=1e-9)


def test_a_chunk_leads_from_where_the_joint_was_measured_and_ends_its_line(
    evaluation: Evaluation, recordings: dict[int, dict[str, Column]], predictions: dict[int, EpisodePredictions]
) -> None:
    data = predictions[0]
    borders = [*data.chunk_starts.tolist(), len(data.predicted)]
    for joint, name in enumerate(evaluation.dataset.joint_names):
        column = recordings[0][f"position/{name}/chunks:scalars"]
        assert (np.diff(column.times) >= 0).all()
        ends = [place for place, value in enumerate(column.values) if not value]
        lines = [column.values[first + 1 : last] for first, last in pairwise([-1, *ends])]
        assert len(lines) == len(borders) - 1 > 3
        for line, (start, end) in zip(lines, pairwise(borders), strict=True):
            led = data.states[start, joint] + np.concatenate([[0], np.cumsum(data.predicted[start:end, joint])])
            np.testing.assert_allclose(np.ravel(line), led, atol=1e-5)


def test_pictures_are_those_of_the_dataset_ten_a_second(
    evaluation: Evaluation, recordings: dict[int, dict[str, Column]]
) -> None:
    column = recordings[2][f"camera/{CAMERA}:blob"]
    assert column.frames.tolist() == list(range(0, 19, EVERY))
    shown = list(evaluation.dataset.episode(2).frames(column.frames.tolist()))
    for value, pictures in zip(column.values, shown, strict=True):
        with Image.open(io.BytesIO(bytes(value[0]))) as image:
            assert image.format == "JPEG"
            assert np.abs(np.asarray(image, float) - pictures[CAMERA]).mean() < 8


def test_guards_speak_where_the_safety_replay_has_them_speak(
    evaluation: Evaluation, recordings: dict[int, dict[str, Column]], predictions: dict[int, EpisodePredictions]
) -> None:
    for number, data in predictions.items():
        said = recordings[number]["guards:text"]
        assert np.array_equal(recordings[number]["guards/severity:scalars"].scalars, data.safety)
        assert all(
            data.safety[frame] or "nothing to say" in text[0]
            for frame, text in zip(said.frames, said.values, strict=True)
        )
    results = load_results(evaluation.output)
    assert results.safety_replay
    for guard, event in results.safety_replay.first_events.items():
        said = recordings[event.episode]["guards:text"]
        first = next(place for place, text in enumerate(said.values) if text[0].startswith(f"{guard}: "))
        assert said.values[first] == [f"{guard}: {event.severity}, {event.reason}"]
        assert said.frames[first] == event.step
    assert recordings[1]["guards:level"].values[-1] == ["ERROR"]
    assert "control is off" in recordings[1]["guards:text"].values[-1][0]


def test_a_recording_opens_laid_out_and_its_name_says_the_error(evaluation: Evaluation) -> None:
    file = evaluation.output / "rerun" / "ep000.rrd"
    reader = RrdReader(str(file))
    assert [entry.application_id for entry in (*reader.recordings(), *reader.blueprints())] == ["lerobot-inference"] * 2
    laid_out = {str(chunk.entity_path) for chunk in reader.stream(store=reader.blueprints()[0])}
    assert sum(path.startswith("/view/") for path in laid_out) >= 1 + 2 + 2 * 6


def test_a_recording_is_replaced_whole_and_goes_with_the_figures_that_it_shows(evaluation: Evaluation) -> None:
    folder = evaluation.output / "rerun"
    (folder / "ep007.rrd").write_bytes(b"of an earlier evaluation")
    write_recordings(evaluation)
    assert sorted(path.name for path in folder.iterdir()) == ["ep000.rrd", "ep001.rrd", "ep002.rrd"]
    clear_figures(evaluation.output)
    assert not folder.exists()
