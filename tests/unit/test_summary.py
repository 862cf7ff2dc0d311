"""From the scores of episodes to results: pooled, resampled, explained; and scores on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_factory import MadeUp, make_up, write_results

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.episode_score import EpisodeScore
from lerobot_inference.evaluation.metrics import ErrorSum
from lerobot_inference.evaluation.replay import Stopwatch
from lerobot_inference.evaluation.results import Failure
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.evaluation.summary import timing

LENGTHS = (40, 25, 60, 33, 50, 21, 45)


@pytest.fixture(scope="module")
def made_up() -> MadeUp:
    """Seven episodes of different lengths."""
    return make_up(lengths=LENGTHS, n_action_steps=10)


@settings(max_examples=10)
@given(order=st.permutations(range(len(LENGTHS))))
def test_the_order_of_episodes_changes_no_figure_and_no_interval(made_up: MadeUp, order: list[int]) -> None:
    assert made_up.pooled([made_up.scores[number] for number in order]) == made_up.pooled()


@pytest.mark.parametrize("joints", [1, 2, 7, 14])
@pytest.mark.parametrize("mode", ["delta", "absolute"])
def test_results_of_any_number_of_joints_and_either_mode_are_read_back_as_written(
    tmp_path: Path, joints: int, mode: str
) -> None:
    written = write_results(tmp_path, joints=joints, mode=mode, lengths=(30, 20), n_action_steps=10)
    assert load_results(tmp_path) == written
    for protocol in written.protocols.values():
        assert len(protocol.per_joint_skill) == joints
        assert (protocol.drift is None) == (mode == "absolute")
        assert protocol.intervals is not None
        assert len(protocol.intervals.per_joint_mae) == joints


def test_figures_pool_over_steps_and_lie_in_their_intervals(made_up: MadeUp) -> None:
    results = made_up.pooled()
    error = np.concatenate([data.predicted.astype(np.float64) - data.ground_truth for data in made_up.episodes])
    found, intervals = results.as_deployed, results.as_deployed.intervals
    assert intervals is not None
    assert found.error.mse == results.aggregate_mse == pytest.approx((error**2).mean())
    best = found.baselines[found.best_baseline]
    assert best.mse == min(baseline.mse for baseline in found.baselines.values())
    assert found.skill == pytest.approx(1 - found.error.mse / best.mse)
    assert found.per_joint_skill[2] == pytest.approx(1 - found.error.per_joint_mse[2] / best.per_joint_mse[2])
    for name in ("mse", "mae", "rmse"):
        low, high = getattr(intervals, name)
        assert low < getattr(found.error, name) < high
    assert intervals.skill is not None
    assert intervals.skill[0] < found.skill < intervals.skill[1]
    horizon = results.protocols["every_frame"].horizon_mae
    by_step = results.protocols["every_frame"].intervals
    assert horizon is not None
    assert by_step is not None
    assert by_step.horizon_mae is not None
    assert all(low <= mae <= high for (low, high), mae in zip(by_step.horizon_mae, horizon, strict=True))


def test_equal_episodes_have_intervals_of_no_width(made_up: MadeUp) -> None:
    same = [replace(made_up.scores[0], episode=number) for number in range(4)]
    intervals = made_up.pooled(same).as_deployed.intervals
    assert intervals is not None
    assert intervals.mae[0] == pytest.approx(intervals.mae[1], rel=1e-12)


def nulls(value: object, path: str = "") -> Iterator[str]:
    """Paths of what is null in a record's JSON; a list counts as one."""
    if value is None or (isinstance(value, list) and None in value):
        yield path.removeprefix(".")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from nulls(part, f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            number = part["episode"] if isinstance(part, dict) else ""
            yield from nulls(part, f"{path}.{number}")


@pytest.mark.parametrize("mode", ["delta", "absolute"])
@pytest.mark.parametrize("lengths", [(30,), (1, 1), (2, 30)])
def test_every_figure_that_is_null_has_its_reason_and_no_other_has_one(mode: str, lengths: tuple[int, ...]) -> None:
    results = make_up(mode=mode, lengths=lengths, n_action_steps=10).pooled()
    content = json.loads(results.model_dump_json(exclude={"provenance", "reasons"}))
    missing = {f"protocols.{p}.baselines.nearest_neighbour" for p in results.protocols if len(lengths) == 1}
    assert results.reasons.keys() == set(nulls(content)) | missing
    assert all(results.reasons.values())


def test_reasons_name_what_is_missing() -> None:
    alone = make_up(mode="absolute", lengths=(30,), n_action_steps=10, every_frame=False).pooled()
    assert alone.reasons["protocols.as_deployed.drift"] == "actions are absolute positions"
    assert alone.reasons["protocols.as_deployed.intervals"] == "fewer than two episodes were scored"
    assert alone.reasons["protocols.every_frame"] == "not asked for"
    assert "no other" in alone.reasons["protocols.as_deployed.baselines.nearest_neighbour"]
    assert alone.as_deployed.best_baseline in alone.as_deployed.baselines


def test_a_joint_in_which_the_best_baseline_is_perfect_has_no_skill(made_up: MadeUp) -> None:
    zeros = np.zeros((10, 6))
    of_baseline = np.tile([0.0, 1, 1, 1, 1, 1], (10, 1)) * 1e-4
    scores = [
        replace(
            score,
            as_deployed=replace(
                score.as_deployed,
                error=ErrorSum.of(zeros + 1e-5, zeros),
                baselines={"hold_still": ErrorSum.of(of_baseline, zeros)},
            ),
            every_frame=None,
        )
        for score in made_up.scores
    ]
    results = made_up.pooled(scores)
    assert results.as_deployed.per_joint_skill == [None, *[pytest.approx(0.99)] * 5]
    assert results.as_deployed.skill == pytest.approx(1 - 6 / 5 * 0.01)
    assert results.as_deployed.intervals is not None
    assert results.as_deployed.intervals.per_joint_skill[0] is None
    assert "protocols.as_deployed.per_joint_skill" in results.reasons


def test_the_worst_five_episodes_are_named_worst_first_and_are_no_failures(tmp_path: Path) -> None:
    failure = Failure(episode=9, kind="DatasetError", message="the video can't be read")
    results = write_results(tmp_path, lengths=LENGTHS, n_action_steps=10, failed=[failure])
    mae = {episode.episode: episode.mae for episode in results.per_episode}
    assert results.worst_episodes == sorted(mae, key=lambda number: -mae[number])[:5]
    assert results.failed_episodes == [9]
    assert results.status == "partial"
    lines = [Failure.model_validate_json(line) for line in (tmp_path / "failure_cases.jsonl").read_text().splitlines()]
    assert lines[0] == failure
    assert [line.episode for line in lines[1:]] == results.worst_episodes
    assert {line.kind for line in lines[1:]} == {"worst_episode"}
    assert f"MAE {mae[results.worst_episodes[0]]:.4g} rad, skill 0." in lines[1].message


def test_an_episodes_skill_is_against_the_runs_best_baseline(made_up: MadeUp) -> None:
    results = made_up.pooled()
    for episode in results.per_episode:
        best = episode.baselines[results.as_deployed.best_baseline]
        assert episode.skill == pytest.approx(1 - episode.mse / best.mse)


@pytest.mark.parametrize(("forward_s", "lead"), [(0.0, 0), (0.010, 1), (0.030, 1), (0.031, 2), (0.064, 3)])
def test_a_prefetching_schedule_asks_as_many_periods_ahead_as_p99_of_a_call_takes(forward_s: float, lead: int) -> None:
    """2 ms before and 1 ms after each forward count too; a period is 33.3 ms. One slow call in 200 is above p99."""
    around = 1.0 if forward_s else 0.0
    times = Stopwatch(
        preprocess=[0.002 * around] * 200,
        forward=[forward_s] * 199 + [10 * forward_s],
        postprocess=[0.001 * around] * 200,
        queue_pop=[1e-6],
        decode=[1e-3],
        policy_step=[0.04],
        total_s=1.0,
    )
    assert timing(times, 0.1, 30.0).prefetch_lead_steps == lead


@pytest.mark.parametrize("every_frame", [True, False])
@pytest.mark.parametrize("mode", ["delta", "absolute"])
def test_scores_read_back_from_disk_give_the_very_same_results(tmp_path: Path, mode: str, every_frame: bool) -> None:
    made_up = make_up(mode=mode, lengths=(25, 40), n_action_steps=10, every_frame=every_frame, seed=3)
    for score in made_up.scores:
        score.save(tmp_path / f"{score.episode}.npz")
    loaded = [EpisodeScore.load(tmp_path / f"{score.episode}.npz") for score in made_up.scores]
    assert made_up.pooled(loaded).model_dump_json() == made_up.pooled().model_dump_json()
    assert loaded[0].times == made_up.scores[0].times
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["0.npz", "1.npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "missing", "lacking"])
def test_a_damaged_score_is_named_and_never_half_read(tmp_path: Path, made_up: MadeUp, damage: str) -> None:
    path = tmp_path / "score.npz"
    made_up.scores[0].save(path)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "lacking":
        with np.load(path) as file:
            np.savez(path, **{name: array for name, array in file.items() if not name.endswith("largest")})
    else:
        middle = len(content) // 2
        flipped = bytes(255 - byte for byte in content[middle : middle + 200])
        path.write_bytes(
            {
                "cut": content[:middle],
                "flipped": content[:middle] + flipped + content[middle + 200 :],
                "empty": b"",
                "text": b"{}",
            }[damage]
        )
    with pytest.raises(ConfigError, match="score.npz: not an episode's score"):
        EpisodeScore.load(path)
