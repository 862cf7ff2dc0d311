"""Direction, drift and smoothness of an episode, against second implementations and by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.evaluation.metrics import Chunks, Deployed, Mean, Windows, measure_chunks, measure_deployed
from lerobot_inference.evaluation.metrics.arc_length import spectral_arc_length
from lerobot_inference.types import ActionMode

FPS = 30.0
DELTA, ABSOLUTE = ActionMode.DELTA, ActionMode.ABSOLUTE
joints = st.sampled_from([1, 2, 7, 14])
seeds = st.integers(0, 2**32 - 1)


def deployed(
    predicted: np.ndarray,
    recorded: np.ndarray,
    *,
    states: np.ndarray | None = None,
    starts: tuple[int, ...] = (0,),
    mode: ActionMode = DELTA,
) -> dict[str, Mean]:
    states = np.zeros_like(recorded) if states is None else states
    run = Deployed(predicted, recorded, states, np.array(starts), mode, FPS)
    return measure_deployed(run)


def random_motion(seed: int, steps: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, size)).cumsum(axis=0)


@given(seeds, joints, st.integers(1, 12))
def test_a_constant_offset_is_the_drift_times_the_chunks_length_and_no_jerk_or_jump(
    seed: int, size: int, chunk: int
) -> None:
    recorded, offset = random_motion(seed, 24, size), np.linspace(0.01, 0.02, size)
    means = deployed(recorded + offset, recorded, starts=tuple(range(0, 24, chunk)))
    lengths = [min(chunk, 24 - start) for start in range(0, 24, chunk)]
    assert means["drift.chunk_end"].value == pytest.approx(offset * np.mean(lengths))
    assert means["drift.episode_end"].value == pytest.approx(24 * offset)
    for name in ("jerk", "border_jump", "interior_jump"):
        assert means[f"predicted.{name}"].value == pytest.approx(means[f"recorded.{name}"].value, nan_ok=True)


def test_drift_is_the_distance_at_each_chunks_end_by_hand() -> None:
    """Errors 1, 1, -3 | 2, -2: the first chunk ends 1 away, the second 0, the episode 1."""
    error = np.array([[1.0], [1.0], [-3.0], [2.0], [-2.0]])
    means = deployed(error, np.zeros_like(error), starts=(0, 3))
    assert means["drift.chunk_end"].value.tolist() == [0.5]
    assert means["drift.episode_end"].value.tolist() == [1]


def test_absolute_actions_have_no_drift() -> None:
    actions = random_motion(0, 10, 3)
    means = deployed(actions + 1, actions, mode=ABSOLUTE)
    assert means["drift.chunk_end"].count == means["drift.episode_end"].count == 0


@given(seeds, joints, st.sampled_from(ActionMode), st.integers(1, 12))
def test_jerk_is_the_third_difference_of_the_positions(seed: int, size: int, mode: ActionMode, steps: int) -> None:
    actions = random_motion(seed, steps, size)
    positions = np.concatenate([np.zeros((1, size)), actions.cumsum(axis=0)]) if mode is DELTA else actions
    jerk = (positions[3:] - 3 * positions[2:-1] + 3 * positions[1:-2] - positions[:-3]) / (1 / FPS) ** 3
    found = deployed(actions, actions, mode=mode)["predicted.jerk"]
    assert found.count == len(jerk)
    if len(jerk):
        assert np.sqrt(found.value) == pytest.approx(np.sqrt((jerk**2).mean(axis=0)), rel=1e-6)


def test_a_cubic_has_its_own_jerk() -> None:
    time = np.arange(20) / FPS
    positions = (0.7 * time**3)[:, None]
    assert np.sqrt(deployed(positions, positions, mode=ABSOLUTE)["predicted.jerk"].value) == pytest.approx([4.2])


def test_jumps_are_told_apart_by_where_chunks_begin() -> None:
    actions = np.array([[0.0], [1.0], [2.0], [12.0], [13.0], [3.0]])
    means = deployed(actions, np.zeros_like(actions), starts=(0, 3, 5))
    assert means["predicted.border_jump"].value.tolist() == [10]
    assert means["predicted.interior_jump"].value.tolist() == [1]
    assert means["recorded.border_jump"].value.tolist() == [0]
    at_every_step = deployed(actions, actions, starts=tuple(range(6)))
    assert at_every_step["predicted.border_jump"].count == 5
    assert at_every_step["predicted.interior_jump"].count == 0


@given(seeds, joints, st.integers(2, 40))
def test_border_and_interior_jumps_together_are_all_jumps(seed: int, size: int, steps: int) -> None:
    actions = random_motion(seed, steps, size)
    means = deployed(actions, actions, starts=tuple(range(0, steps, 4)))
    both = means["predicted.border_jump"] + means["predicted.interior_jump"]
    assert both.value == pytest.approx(np.abs(np.diff(actions, axis=0)).mean(axis=0))


@given(seeds, joints, st.sampled_from(ActionMode))
def test_the_direction_cosine_is_that_of_the_two_motions(seed: int, size: int, mode: ActionMode) -> None:
    predicted, recorded, states = (random_motion(seed + part, 9, size) for part in range(3))
    origin = states if mode is ABSOLUTE else np.zeros_like(states)
    cosines = [
        float(np.dot(p, r) / np.sqrt(np.dot(p, p) * np.dot(r, r)))
        for p, r in zip(predicted - origin, recorded - origin, strict=True)
    ]
    found = deployed(predicted, recorded, states=states, mode=mode)["direction_cosine"]
    assert found.value == pytest.approx(np.mean(cosines))


def test_steps_in_which_either_side_rests_have_no_direction() -> None:
    predicted = np.array([[1.0, 0.0], [0.0, 1e-10], [0.0, 1.0], [1.0, 1.0]])
    recorded = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, -1.0]])
    found = deployed(predicted, recorded)["direction_cosine"]
    assert found.count == 2
    assert found.value == pytest.approx((1 - np.sqrt(0.5)) / 2)
    assert deployed(np.zeros((4, 2)), recorded)["direction_cosine"].count == 0


@pytest.mark.parametrize("state_dim", [2, 4])
def test_absolute_actions_move_in_the_joints_that_have_a_state(state_dim: int) -> None:
    """Action joints 0 to 2; with two states, the third action (a gripper command) is no motion from a state."""
    states = np.zeros((1, state_dim))
    predicted, recorded = np.array([[1.0, 0.0, 5.0]]), np.array([[1.0, 0.0, -5.0]])
    found = deployed(predicted, recorded, states=states, mode=ABSOLUTE)["direction_cosine"].value
    assert found == pytest.approx(1 if state_dim == 2 else (1 - 25) / 26)


def arc_length_by_direct_sums(speed: np.ndarray, fps: float) -> float:
    """The definition, with the Fourier sums written out."""
    size = 1
    while size < len(speed):
        size *= 2
    size *= 16
    spectrum = []
    for k in range(size // 2 + 1):
        frequency = k * fps / size
        turns = np.exp(-2j * np.pi * k * np.arange(len(speed)) / size)
        spectrum.append((frequency, abs((speed * turns).sum())))
    loudest = max(amplitude for _, amplitude in spectrum)
    audible = [(f, a / loudest) for f, a in spectrum if f <= 10]
    kept = [index for index, (_, amplitude) in enumerate(audible) if amplitude >= 0.05]
    band = audible[kept[0] : kept[-1] + 1]
    width = band[-1][0] - band[0][0]
    length = 0.0
    for (f, a), (next_f, next_a) in pairwise(band):
        length += (((next_f - f) / width) ** 2 + (next_a - a) ** 2) ** 0.5
    return -length


@pytest.mark.parametrize("fps", [10.0, 30.0, 100.0])
@pytest.mark.parametrize("steps", [2, 3, 31, 64, 100])
def test_the_spectral_arc_length_equals_the_direct_sums(steps: int, fps: float) -> None:
    speed = np.abs(np.random.default_rng(steps).normal(size=steps).cumsum()) + 0.1
    assert spectral_arc_length(speed, fps) == pytest.approx(arc_length_by_direct_sums(speed, fps))


def test_the_spectral_arc_length_is_of_the_speed_of_all_joints_and_a_tremor_makes_it_worse() -> None:
    time = np.arange(90) / FPS
    speed = (time * (time[-1] - time)) ** 2
    steps = speed[:, None] * [3.0, 4.0] / FPS
    of_delta = deployed(steps, steps)["predicted.spectral_arc_length"]
    assert of_delta.value == pytest.approx(arc_length_by_direct_sums(5 * speed, FPS))
    positions = np.concatenate([np.zeros((1, 2)), steps.cumsum(axis=0)])
    of_absolute = deployed(positions, positions, mode=ABSOLUTE)["predicted.spectral_arc_length"]
    assert of_absolute.value == pytest.approx(of_delta.value)
    trembling = steps * (1 + 0.5 * np.sin(2 * np.pi * 6 * time))[:, None]
    assert deployed(trembling, steps)["predicted.spectral_arc_length"].value < of_delta.value


def test_an_arm_at_rest_has_no_arc_length() -> None:
    still = np.zeros((30, 2))
    assert deployed(still, still)["predicted.spectral_arc_length"].count == 0
    assert deployed(still[:1], still[:1], mode=ABSOLUTE)["predicted.spectral_arc_length"].count == 0


def test_chunks_that_disagree_by_a_constant_disagree_by_that_constant() -> None:
    """Two chunks of 4, asked 1 apart; the second says 0.5 more. The last step lies past the episode's end."""
    predicted = np.array([[[1.0], [2], [3], [4]], [[2.5], [3.5], [4.5], [9]]])
    scored = np.array([[True] * 4, [True, True, True, False]])
    windows = Windows(predicted, predicted, predicted, scored, DELTA, FPS)
    found = measure_chunks(Chunks(windows, predicted[:0], stride=1))["overlap_disagreement"]
    assert (found.total.tolist(), found.count) == ([0.75], 3)
    assert measure_chunks(Chunks(windows, predicted[:0], stride=4))["overlap_disagreement"].count == 0
    three_apart = measure_chunks(Chunks(windows, predicted[:1], stride=3))["overlap_disagreement"]
    assert (three_apart.total.tolist(), three_apart.count) == ([(4 - 1) ** 2 + (4 - 2.5) ** 2], 2)
