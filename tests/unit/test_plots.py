from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from matplotlib.transforms import Bbox, Transform
from results_factory import write_results

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results_folder import load_predictions, load_results
from lerobot_inference.report import render_plots, wide
from lerobot_inference.report.catalogue import EPISODE_PLOTS, run_plots
from lerobot_inference.report.error_heatmap import pool_columns
from lerobot_inference.report.style import styled
from lerobot_inference.report.text import significant
from lerobot_inference.report.view import EpisodeView, RunView

RUN = [
    "aggregate_summary",
    "error_by_horizon",
    "joint_errors",
    "border_jumps",
    "latency",
    "worst_episodes",
    "safety_replay",
]
HAIR = 0.02
"""Inches; less than three pixels."""


def episode_view(folder: Path, index: int = 0, **options: Any) -> EpisodeView:
    results = write_results(folder, **options)
    episode = results.per_episode[index]
    return EpisodeView(results, episode, load_predictions(folder, results, episode))


def drawn(fig: Figure) -> Figure:
    FigureCanvasAgg(fig).draw()
    return fig


def pixels(fig: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def overhang(fig: Figure) -> float:
    """Inches by which anything drawn, legends included, sticks out of the picture."""
    boxes = [fig.get_tightbbox(), *(key.get_window_extent().transformed(to_inches(fig)) for key in fig.legends)]
    (left, bottom), (right, top) = Bbox.union(boxes).get_points()
    width, height = fig.get_size_inches()
    return max(0.0, -left, -bottom, right - width, top - height)


def to_inches(fig: Figure) -> Transform:
    return fig.dpi_scale_trans.inverted()


def colliding_titles(fig: Figure) -> list[str]:
    """Panels whose title touches the remark, or the legend, on its right."""
    found = []
    for ax in fig.axes:
        place = {text.get_text(): text.get_window_extent() for text in ax.findobj(Text) if text.get_text()}
        title, remark, key = ax.get_title("left"), ax.get_title("right"), ax.get_legend()
        if title and remark and place[title].x1 > place[remark].x0:
            found.append(title)
        if title and key and place[title].overlaps(key.get_window_extent()):
            found.append(title)
    return found


def test_every_episode_gets_its_four_plots_and_the_run_its_own(tmp_path: Path) -> None:
    write_results(tmp_path / "results", lengths=(20, 10))
    written = render_plots(tmp_path / "results", tmp_path / "report")
    plots = tmp_path / "report" / "plots"
    names = ["action_deltas", "cumulative_positions", "error_heatmap", "summary_panel"]
    expected = [plots / f"episode_{e:03d}" / f"{name}.png" for e in range(2) for name in names]
    assert written == [*(plots / f"{name}.png" for name in RUN), *expected]
    assert sorted(written) == sorted(plots.rglob("*.png"))
    for path in written:
        height, width, _ = imread(path).shape
        assert width > 1000
        assert height > 200


def test_drawing_again_replaces_the_plots_of_the_run_before(tmp_path: Path) -> None:
    write_results(tmp_path / "long", lengths=(10, 10))
    write_results(tmp_path / "short", lengths=(10,))
    render_plots(tmp_path / "long", tmp_path)
    render_plots(tmp_path / "short", tmp_path)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"episode_000", *(f"{name}.png" for name in RUN)}


@pytest.mark.parametrize("mode", ["delta", "absolute"])
@pytest.mark.parametrize("joints", [1, 2, 6, 7, 14, 20])
def test_no_text_is_clipped_or_touches_another(tmp_path: Path, joints: int, mode: Any) -> None:
    names = [f"left_arm/a_joint_with_quite_a_long_name_{index}" for index in range(joints)]
    policy = "an-organisation-with-a-long-name/and-a-policy-with-a-longer-one-2026-01-01"
    view = episode_view(tmp_path, joint_names=names, mode=mode, lengths=(70,), policy=policy)
    with styled():
        figures = [drawn(draw(view)) for draw in EPISODE_PLOTS.values()]
        figures += [drawn(draw(RunView(view.results, [view.data]))) for draw in run_plots(view.results).values()]
    for figure in figures:
        assert overhang(figure) < HAIR
        assert colliding_titles(figure) == []


@pytest.mark.parametrize("steps", [1, 2, 3000])
def test_very_short_and_very_long_episodes_are_drawn(tmp_path: Path, steps: int) -> None:
    view = episode_view(tmp_path, joints=2, lengths=(steps,), n_action_steps=1, every_frame=False)
    with styled():
        figures = [drawn(draw(view)) for draw in EPISODE_PLOTS.values()]
        figures += [drawn(draw(RunView(view.results, [view.data]))) for draw in run_plots(view.results).values()]
    assert max(overhang(figure) for figure in figures) < HAIR


def test_a_dot_marks_each_network_call_on_the_predicted_curve(tmp_path: Path) -> None:
    view = episode_view(tmp_path, lengths=(95,), n_action_steps=30)
    with styled():
        axes = EPISODE_PLOTS["action_deltas"](view).axes
    dots = axes[0].lines[-1]
    assert np.allclose(dots.get_xdata(), view.data.timestamps[[0, 30, 60, 90]])
    assert np.allclose(dots.get_ydata(), 1000 * view.data.predicted[[0, 30, 60, 90], 0])


def test_headers_say_policy_dataset_episode_and_error(tmp_path: Path) -> None:
    view = episode_view(tmp_path, lengths=(12,))
    for part in ("demo/act-ur10e-cell", "demo/ur10e-cell", "episode 0", "12 steps at 30 Hz"):
        assert part in view.subtitle
    assert f"MAE {significant(1000 * view.episode.mae)} mrad" in view.subtitle


def test_perfect_deltas_lead_along_the_measured_positions(tmp_path: Path) -> None:
    view = episode_view(tmp_path, lengths=(80,), error=0.0)
    times, positions = view.predicted_path(0, 80)
    assert times.shape == (81,)
    np.testing.assert_allclose(positions[:-1], view.data.states, atol=1e-5)


def test_perfect_absolute_targets_lead_along_the_measured_positions(tmp_path: Path) -> None:
    view = episode_view(tmp_path, lengths=(80,), error=0.0, mode="absolute")
    np.testing.assert_allclose(view.predicted_path(0, 80)[1][:-1], view.data.states, atol=1e-6)


def test_a_long_heatmap_keeps_the_worst_step_of_each_column() -> None:
    error = np.zeros((2500, 3), np.float32)
    error[1234, 1] = 7.0
    pooled, steps = pool_columns(error, 1200)
    assert steps == 3
    assert pooled.shape == (834, 3)
    assert pooled[411, 1] == 7.0
    assert pooled.sum() == 7.0


@pytest.mark.parametrize("array", ["predicted", "ground_truth", "states", "inference_times"])
def test_a_nan_is_an_error_that_names_the_array_and_nothing_is_drawn(tmp_path: Path, array: str) -> None:
    write_results(tmp_path, lengths=(20,))
    path = predictions_path(tmp_path, 0)
    data = EpisodePredictions.load(path)
    getattr(data, array)[3] = np.nan
    data.save(path)
    with pytest.raises(ConfigError, match=f"{array} holds a NaN"):
        render_plots(tmp_path, tmp_path)
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize("array", ["predicted", "states", "inference_times", "timestamps", "frames"])
def test_predictions_of_another_length_are_refused(tmp_path: Path, array: str) -> None:
    write_results(tmp_path, lengths=(20,))
    path = predictions_path(tmp_path, 0)
    arrays = dict(np.load(path))
    arrays[array] = arrays[array][:-1]
    EpisodePredictions(**arrays).save(path)
    with pytest.raises(ConfigError, match=rf"{array} has shape \(19"):
        render_plots(tmp_path, tmp_path)


def test_missing_predictions_are_named(tmp_path: Path) -> None:
    write_results(tmp_path, lengths=(20,))
    predictions_path(tmp_path, 0).unlink()
    with pytest.raises(ConfigError, match="ep000_predictions.npz"):
        render_plots(tmp_path, tmp_path)


def test_results_survive_the_round_trip_for_any_number_of_joints(tmp_path: Path) -> None:
    written = write_results(tmp_path, joints=14, lengths=(20,))
    assert load_results(tmp_path) == written


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.0123"), (1.2, "1.20"), (99.96, "100"), (1234.4, "1234"), (-12.34, "\N{MINUS SIGN}12.3")],
)
def test_figures_have_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


def test_a_figure_shows_nothing_of_the_one_before_it(tmp_path: Path) -> None:
    """Axes are used again: what is drawn must not depend on what was drawn before."""
    first = episode_view(tmp_path / "first", lengths=(200,), n_action_steps=1, error=0.5)
    second = episode_view(tmp_path / "second", lengths=(40,), n_action_steps=8)
    with styled():
        for draw in EPISODE_PLOTS.values():
            wide._sheet.cache_clear()
            alone = pixels(draw(second))
            drawn(draw(first))
            assert np.array_equal(pixels(draw(second)), alone)


def test_joints_that_are_not_measured_are_displacements_and_are_said_to_be(tmp_path: Path) -> None:
    view = episode_view(tmp_path, joints=3, lengths=(40,))
    view = replace(view, data=replace(view.data, states=view.data.states[:, :2]))
    with styled():
        figure = drawn(EPISODE_PLOTS["cumulative_positions"](view))
    remarks = [ax.get_title("right") for ax in figure.axes]
    assert [remark.startswith("gap: end") for remark in remarks] == [True, True, False]
    assert remarks[2] == "not measured: displacement, not position"
    assert figure.axes[2].lines[0].get_ydata()[0] == 0


def test_more_measured_joints_than_actions_are_drawn(tmp_path: Path) -> None:
    view = episode_view(tmp_path, joints=2, lengths=(40,), mode="absolute")
    view = replace(view, data=replace(view.data, states=np.repeat(view.data.states, 3, axis=1)))
    with styled():
        for draw in EPISODE_PLOTS.values():
            assert overhang(drawn(draw(view))) < HAIR


@pytest.mark.parametrize(("n_action_steps", "said"), [(1, "at every step"), (2, "150 times in 300 steps")])
def test_very_many_network_calls_are_counted_in_words_not_dots(tmp_path: Path, n_action_steps: int, said: str) -> None:
    view = episode_view(tmp_path, joints=2, lengths=(300,), n_action_steps=n_action_steps)
    with styled():
        figure = drawn(EPISODE_PLOTS["action_deltas"](view))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"the network is called {said} (not marked)" in labels
    assert all(len(ax.lines) == 2 for ax in figure.axes)


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    """Matplotlib sets what stands between two dollars as one, and fails where it isn't."""
    results = write_results(tmp_path, joint_names=["$\\frac$", "arm$1$"], lengths=(40,), policy="/data/$USER$")
    episode = results.per_episode[0]
    view = EpisodeView(results, episode, load_predictions(tmp_path, results, episode))
    run = RunView(results, [view.data])
    with styled():
        for figure in [draw(view) for draw in EPISODE_PLOTS.values()] + [
            draw(run) for draw in run_plots(results).values()
        ]:
            assert not any(text.get_parse_math() for text in drawn(figure).findobj(Text))


@pytest.mark.parametrize(
    ("mode", "label"), [("delta", "joint step per control period (mrad)"), ("absolute", "joint position target (rad)")]
)
def test_axes_say_what_an_action_is_and_its_unit(tmp_path: Path, mode: Any, label: str) -> None:
    view = episode_view(tmp_path, lengths=(40,), mode=mode)
    with styled():
        assert label in [text.get_text() for text in EPISODE_PLOTS["action_deltas"](view).texts]
        assert EPISODE_PLOTS["summary_panel"](view).axes[0].get_ylabel() == label


def test_the_heatmap_marks_the_largest_error_and_says_how_large_it_is(tmp_path: Path) -> None:
    view = episode_view(tmp_path, lengths=(40,))
    view.data.predicted[17, 2] += 0.1
    with styled():
        figure = drawn(EPISODE_PLOTS["error_heatmap"](view))
    x, y = next(line.get_xydata()[0] for line in figure.axes[0].lines if line.get_marker() == "o")
    assert (x, y) == (pytest.approx(17.5 / 30), 2)
    assert any(text.get_text().startswith("largest: 1") for text in figure.legends[0].get_texts())


def test_no_latency_lies_outside_the_summary_s_axes(tmp_path: Path) -> None:
    view = episode_view(tmp_path, lengths=(40,))
    view.data.inference_times[7] = 30.0
    with styled():
        axes = drawn(EPISODE_PLOTS["summary_panel"](view)).axes[2]
    low, high = axes.get_ylim()
    assert low < 1000 * view.data.inference_times.min()
    assert high > 10 * 30_000


def test_a_joint_that_never_moves_is_drawn_without_powers_of_ten(tmp_path: Path) -> None:
    view = episode_view(tmp_path, joints=2, lengths=(40,))
    for array in (view.data.predicted, view.data.ground_truth):
        array[:, 1] = 0
    view.data.predicted[5, 1] = 1e-8
    with styled():
        for draw in EPISODE_PLOTS.values():
            figure = drawn(draw(view))
            assert overhang(figure) < HAIR
            assert all(not ax.yaxis.get_offset_text().get_text() for ax in figure.axes)
