"""The same evaluation with worsened pictures: what the policy is shown, what is compared, and that it is repeatable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_kit import Answer, Scripted, figures, run_evaluate
from lerobot_writer import write_dataset

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import UsageError
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.perturbations import Drop, Exposure, Jpeg, Perturbation, SwapRedBlue
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.evaluation.workers import evaluate_with_workers
from lerobot_inference.types import FloatArray, UInt8Array

COLOR, WRIST = "observation.images.color", "observation.images.wrist"
ALL = "jpeg:50,exposure:0.7,swap_rb,delay:3,drop:0.3"


def score(checkpoint: Path, dataset: Path, output: Path, answer: Answer, **options: Any) -> EvalResults:
    policy, data = Checkpoint.open(checkpoint), Dataset.open(dataset)
    plan = EvaluationPlan.make(policy, data, **options)
    return evaluate(policy, data, Scripted(policy.spec, answer), output, plan)


def brightness(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
    """An action that follows the picture, and the state a little, so that it never stands still."""
    return np.full(len(state), images[COLOR].mean() / 1e4) + state / 1e6


def frames(dataset: Path, episode: int, wanted: range) -> list[UInt8Array]:
    return [views[COLOR] for views in Dataset.open(dataset).episode(episode).frames(list(wanted))]


def test_a_policy_that_sees_no_picture_is_as_good_under_every_condition(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    results = score(checkpoint, dataset_folder, tmp_path, lambda _, state: state / 100, perturb=ALL)
    assert list(results.robustness) == ALL.split(",")
    for found in results.robustness.values():
        assert found.error == results.as_deployed.error
        assert found.skill == results.as_deployed.skill
        assert found.mse_ratio == 1
        assert found.interval == pytest.approx((1, 1))
    assert load_results(tmp_path) == results


@pytest.mark.parametrize(
    ("condition", "perturbation"),
    [("jpeg:10", Jpeg(quality=10)), ("exposure:1.4", Exposure(factor=1.4)), ("swap_rb", SwapRedBlue())],
)
def test_the_policy_is_shown_the_worsened_pictures_of_the_frames_it_is_asked_at(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, condition: str, perturbation: Perturbation
) -> None:
    seen: list[UInt8Array] = []

    def look(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
        seen.append(images[COLOR])
        return state

    score(checkpoint, dataset_folder, tmp_path, look, episodes="1-1", every_frame=False, perturb=condition)
    recorded = frames(dataset_folder, 1, range(0, 29, 8))
    shown = [perturbation.worsen(image) for image in recorded]
    assert len(seen) == 8
    for image, expected in zip(seen, [*recorded, *shown], strict=True):
        assert np.array_equal(image, expected)


def test_a_delayed_camera_shows_earlier_frames_beside_the_present_state(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    seen: list[tuple[UInt8Array, FloatArray]] = []

    def look(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
        seen.append((images[COLOR], state))
        return state

    score(checkpoint, dataset_folder, tmp_path, look, episodes="1-1", every_frame=False, perturb="delay:3")
    episode, recorded = Dataset.open(dataset_folder).episode(1), frames(dataset_folder, 1, range(29))
    for (image, state), (asked, shown) in zip(seen[4:], [(0, 0), (8, 5), (16, 13), (24, 21)], strict=True):
        assert np.array_equal(image, recorded[shown])
        assert np.array_equal(state, episode.states[asked])


def test_the_figures_are_those_of_the_worsened_run_over_those_of_the_undisturbed(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    """Computed here by hand, from the pictures: chunks of 8 that hold one action."""
    factor = Exposure(factor=1.4)
    results = score(checkpoint, dataset_folder, tmp_path, brightness, every_frame=False, perturb="exposure:1.4")
    squared: dict[str, list[FloatArray]] = {"without": [], "with": []}
    for index in range(3):
        episode = Dataset.open(dataset_folder).episode(index)
        asked = range(0, episode.length - 1, 8)
        for start, image in zip(asked, frames(dataset_folder, index, asked), strict=True):
            truth = episode.actions[start : min(start + 8, episode.length - 1)]
            for name, seen in (("without", image), ("with", factor.worsen(image))):
                said = brightness({COLOR: seen}, episode.states[start]).astype(np.float32)
                squared[name].append((said - truth.astype(np.float64)) ** 2)
    mse = {name: float(np.concatenate(parts).mean()) for name, parts in squared.items()}
    found = results.robustness["exposure:1.4"]
    assert results.as_deployed.error.mse == pytest.approx(mse["without"])
    assert found.error.mse == pytest.approx(mse["with"])
    assert found.mse_ratio == pytest.approx(mse["with"] / mse["without"])
    best = min(baseline.mse for baseline in results.as_deployed.baselines.values())
    assert found.skill == pytest.approx(1 - mse["with"] / best)
    assert found.interval is not None
    assert found.interval[0] < found.mse_ratio < found.interval[1]


def test_a_perfect_policy_has_no_ratio_and_it_is_said_why(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    data = Dataset.open(dataset_folder)
    episodes = [data.episode(index) for index in data.episode_indices]

    def recall(_: object, state: FloatArray) -> FloatArray:
        episode, frame = next((e, t) for e in episodes for t in np.flatnonzero((e.states == state).all(axis=1)))
        future = episode.actions[frame : frame + 8]
        return np.concatenate([future, np.zeros((8 - len(future), 6), np.float32)])

    results = score(checkpoint, dataset_folder, tmp_path, recall, every_frame=False, perturb="swap_rb")
    assert results.robustness["swap_rb"].error.mse == 0
    assert results.robustness["swap_rb"].skill == 1
    assert results.robustness["swap_rb"].mse_ratio is None
    assert "robustness.swap_rb.mse_ratio" in results.reasons


def test_conditions_change_nothing_in_the_figures_and_predictions_without_them(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    plain = figures(score(checkpoint, dataset_folder, tmp_path / "plain", brightness))
    perturbed = figures(score(checkpoint, dataset_folder, tmp_path / "perturbed", brightness, perturb=ALL))
    assert len(perturbed.pop("robustness")) == 5
    assert plain.pop("robustness") == {}
    assert perturbed == plain
    for index in range(3):
        one, other = (
            EpisodePredictions.load(predictions_path(tmp_path / name, index)) for name in ("plain", "perturbed")
        )
        assert np.array_equal(one.predicted, other.predicted)


def test_workers_and_a_rerun_give_the_same_robustness_with_several_cameras(
    checkpoint_factory: Callable[..., Path], tmp_path: Path
) -> None:
    cameras = {COLOR: (64, 96), WRIST: (32, 48)}
    dataset = Dataset.open(write_dataset(tmp_path / "cell", episodes=[40, 12, 20], cameras=cameras))
    policy = Checkpoint.open(checkpoint_factory(cameras=cameras, n_action_steps=2))
    plan = EvaluationPlan.make(policy, dataset, every_frame=False, perturb=ALL)
    engine = EngineChoice("openvino", "cpu", threads=1)
    told: list[tuple[str, int, int]] = []

    def tell(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    alone = evaluate_with_workers(policy, dataset, engine, tmp_path / "a", plan, workers=1)
    again = evaluate_with_workers(policy, dataset, engine, tmp_path / "b", plan, workers=1)
    shared = evaluate_with_workers(policy, dataset, engine, tmp_path / "c", plan, workers=2, progress=tell)
    assert figures(alone) == figures(again) == figures(shared)
    ratios = [found.mse_ratio for found in alone.robustness.values()]
    assert 1 not in ratios
    assert len(set(ratios)) == 5
    assert told == [(stage, done, 3) for stage in ["evaluate", *ALL.split(",")] for done in range(4)]


def test_what_drop_leaves_to_chance_is_that_of_the_seed_in_the_provenance(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    seen: list[UInt8Array] = []

    def look(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
        seen.append(images[COLOR])
        return state

    results = score(checkpoint, dataset_folder, tmp_path, look, episodes="1-1", every_frame=False, perturb="drop:0.9")
    rng = np.random.default_rng([results.provenance.seed, 1])
    shown = Drop(probability=0.9).shown(30, rng)[0:29:8]
    recorded = frames(dataset_folder, 1, range(30))
    assert shown.tolist() != [0, 8, 16, 24]
    for image, frame in zip(seen[4:], shown, strict=True):
        assert np.array_equal(image, recorded[frame])


def test_an_episode_that_fails_under_a_condition_alone_keeps_its_score_without(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    """Episode 1 alone has pictures whose blue is 90: swapped, that is what red is on average."""

    def fail_on_swapped(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
        red, blue = images[COLOR][..., 0].std(), images[COLOR][..., 2].std()
        swapped = red < blue and 80 < np.median(images[COLOR][..., 0]) < 100
        return np.full(6, np.nan) if swapped else state

    results = score(checkpoint, dataset_folder, tmp_path, fail_on_swapped, every_frame=False, perturb="swap_rb,delay:1")
    assert results.status == "partial"
    assert results.failed_episodes == []
    assert results.episodes_evaluated == 3
    found = results.robustness["swap_rb"]
    assert found.mse_ratio == 1, "compared on episodes 0 and 2, with and without"
    failure = json.loads((tmp_path / "failure_cases.jsonl").read_text().splitlines()[0])
    assert (failure["episode"], failure["kind"]) == (1, "EngineError")
    assert failure["message"] == "under swap_rb: the policy gave a NaN or an infinity"


def test_a_condition_under_which_nothing_can_be_scored_has_no_figures_and_a_reason(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    def constant_in_the_dark(images: Mapping[str, UInt8Array], state: FloatArray) -> FloatArray:
        return np.ones(6) if images[COLOR].mean() < 20 else state

    results = score(checkpoint, dataset_folder, tmp_path, constant_in_the_dark, perturb="exposure:0.01,jpeg:90")
    assert list(results.robustness) == ["jpeg:90"]
    assert results.status == "partial"
    assert "the policy has collapsed" in results.reasons["robustness.exposure:0.01"]
    assert load_results(tmp_path) == results


def test_an_episode_that_cannot_be_read_is_not_tried_again_under_each_condition(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = write_dataset(tmp_path / "cell", episodes=[12, 12, 12], files="one_per_episode")
    sorted((folder / "videos").rglob("*.mp4"))[1].write_bytes(b"not a video")
    results = score(checkpoint, folder, tmp_path / "results", brightness, perturb="jpeg:50,swap_rb")
    assert results.failed_episodes == [1]
    lines = map(json.loads, (tmp_path / "results" / "failure_cases.jsonl").read_text().splitlines())
    assert [line["episode"] for line in lines if line["kind"] == "DatasetError"] == [1]
    assert len(results.robustness) == 2


def test_a_condition_that_is_not_understood_is_refused_before_any_work(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="'blur:2' is unknown"):
        score(checkpoint, dataset_folder, tmp_path / "results", brightness, perturb="jpeg:50,blur:2")
    assert not (tmp_path / "results").exists()


def test_the_command_line_prints_a_line_for_each_condition(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    options = ("--protocol", "as-deployed", "--perturb", "jpeg:5,delay:2")
    done = run_evaluate(checkpoint, dataset_folder, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    found = load_results(tmp_path).robustness["jpeg:5"]
    (line,) = (line for line in done.stdout.splitlines() if "jpeg:5" in line)
    assert f"{1000 * found.error.mae:.3f}" in line
    assert f"{found.mse_ratio:.2f} (" in line
    assert "delay:2: 3/3" in done.stderr
