"""The figures of a whole run, as they would stand in a column of a paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from results_factory import write_results

from lerobot_inference.control import Severity
from lerobot_inference.evaluation.results import EvalResults, PerturbedResult
from lerobot_inference.evaluation.results_folder import load_predictions
from lerobot_inference.report import (
    border_jumps,
    error_by_horizon,
    joint_errors,
    latency,
    robustness,
    safety_replay,
    worst_episodes,
)
from lerobot_inference.report.catalogue import RUN_PLOTS, run_plots
from lerobot_inference.report.style import BASELINES, CALL, PREDICTED, styled
from lerobot_inference.report.text import significant
from lerobot_inference.report.view import RunView

COLUMN_PLOTS = [name for name in RUN_PLOTS if name != "aggregate_summary"]
HAIR = 0.02
"""Inches."""
TIMES = "\N{MULTIPLICATION SIGN}"


def run_view(folder: Path, **options: Any) -> RunView:
    results = write_results(folder, **options)
    return view_of(folder, results)


def view_of(folder: Path, results: EvalResults) -> RunView:
    return RunView(results, [load_predictions(folder, results, episode) for episode in results.per_episode])


def drawn(draw: Callable[[RunView], Figure], view: RunView) -> Figure:
    with styled():
        figure = draw(view)
        FigureCanvasAgg(figure).draw()
    return figure


def texts(figure: Figure) -> list[str]:
    shown = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    return [text.replace("\n", " ") for text in shown]


def header(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for key in figure.legends for text in key.get_texts()]


def lines_of(ax: Axes, colour: str) -> list[Line2D]:
    return [line for line in ax.lines if to_hex(str(line.get_color())).upper() == colour.upper()]


def perturbed(view_folder: Path, ratios: dict[str, tuple[float | None, tuple[float, float] | None]]) -> EvalResults:
    plain = write_results(view_folder)
    error = plain.as_deployed.error
    return write_results(
        view_folder,
        robustness={
            name: PerturbedResult(error=error, skill=None, mse_ratio=ratio, interval=interval)
            for name, (ratio, interval) in ratios.items()
        },
    )


@pytest.mark.parametrize("mode", ["delta", "absolute"])
@pytest.mark.parametrize("joints", [1, 2, 6, 7, 14, 20])
def test_figures_fit_a_column_in_type_that_can_be_read(tmp_path: Path, joints: int, mode: Any) -> None:
    names = [f"left_arm/a_joint_with_quite_a_long_name_{index}" for index in range(joints)]
    view = run_view(
        tmp_path, joint_names=names, mode=mode, policy="an-organisation/a-policy-with-quite-a-long-name-2026"
    )
    for name in COLUMN_PLOTS[:-1]:
        figure = drawn(RUN_PLOTS[name], view)
        width, height = figure.get_size_inches()
        assert (width, figure.dpi) == (3.5, 300)
        inches = figure.dpi_scale_trans.inverted()
        keys = [key.get_window_extent().transformed(inches) for key in figure.legends]
        left, bottom, right, top = Bbox.union([figure.get_tightbbox(), *keys]).extents
        assert min(left, bottom, width - right, height - top) > -HAIR, name
        assert min(text.get_fontsize() for text in figure.findobj(Text) if isinstance(text, Text)) >= 7, name
        for key in figure.legends:
            above = key.get_window_extent()
            assert all(not above.overlaps(ax.get_window_extent()) for ax in figure.axes), name
            assert all(not above.overlaps(text.get_window_extent()) for text in figure.texts), name


@pytest.mark.parametrize("name", COLUMN_PLOTS[:-1])
def test_a_single_episode_of_a_single_step_is_drawn(tmp_path: Path, name: str) -> None:
    figure = drawn(RUN_PLOTS[name], run_view(tmp_path, lengths=(1,), n_action_steps=1))
    assert len(figure.axes) >= 1


@pytest.mark.parametrize("name", COLUMN_PLOTS[:-1])
def test_several_hundred_episodes_are_drawn(tmp_path: Path, name: str) -> None:
    figure = drawn(RUN_PLOTS[name], run_view(tmp_path, lengths=(3,) * 300, n_action_steps=2, joints=2))
    assert "300 episodes" in header(figure)


def test_the_horizon_s_band_is_its_interval_and_each_baseline_a_line(tmp_path: Path) -> None:
    view = run_view(tmp_path)
    protocol = view.results.protocols["every_frame"]
    assert protocol.intervals is not None
    assert protocol.horizon_mae is not None
    figure = drawn(error_by_horizon.draw, view)
    (ax,) = figure.axes
    (curve,) = lines_of(ax, PREDICTED)
    unit = 1000 if "mrad" in ax.get_ylabel() else 1
    np.testing.assert_allclose(curve.get_ydata(), np.asarray(protocol.horizon_mae) * unit)
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices[:, 1]
    lows, highs = np.asarray(protocol.intervals.horizon_mae).T * unit
    assert corners.min() == pytest.approx(lows.min())
    assert corners.max() == pytest.approx(highs.max())
    for name, figures in protocol.baselines.items():
        (level,) = lines_of(ax, BASELINES[name][1])
        assert np.allclose(level.get_ydata(), figures.mae * unit)
        assert name.replace("_", " ") in legend(figure)
    assert ax.lines[-1].get_xdata()[0] == view.results.n_action_steps - 0.5
    assert "executed up to here" in legend(figure)
    assert "33.3 ms" in ax.get_xlabel()


def test_without_the_every_frame_protocol_the_figure_says_why_it_is_empty(tmp_path: Path) -> None:
    figure = drawn(error_by_horizon.draw, run_view(tmp_path, every_frame=False))
    assert any("not drawn: not asked for" in text for text in texts(figure))


@pytest.mark.parametrize("draw", [error_by_horizon.draw, joint_errors.draw, worst_episodes.draw])
def test_without_intervals_the_figure_says_why(tmp_path: Path, draw: Callable[[RunView], Figure]) -> None:
    figure = drawn(draw, run_view(tmp_path, lengths=(60,)))
    assert "no interval: fewer than two episodes were scored" in header(figure)
    assert not any("95 %" in label for label in legend(figure))


def test_each_joint_has_its_interval_and_every_baseline(tmp_path: Path) -> None:
    view = run_view(tmp_path)
    protocol = view.results.as_deployed
    assert protocol.intervals is not None
    figure = drawn(joint_errors.draw, view)
    (ax,) = figure.axes
    unit = 1000 if "mrad" in ax.get_xlabel() else 1
    (bars,) = [one for one in ax.collections if isinstance(one, LineCollection)]
    ends = np.asarray([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.asarray(protocol.intervals.per_joint_mae) * unit)
    np.testing.assert_allclose(ax.lines[-1].get_xdata(), np.asarray(protocol.error.per_joint_mae) * unit)
    assert legend(figure) == ["policy", "hold still", "repeat last", "dataset mean", "nearest neighbour"]
    assert "nearest_neighbour" in protocol.baselines


def test_border_jumps_say_their_ratio_for_the_policy_and_the_demonstrator(tmp_path: Path) -> None:
    view = run_view(tmp_path)
    smoothness = view.results.as_deployed.smoothness
    figure = drawn(border_jumps.draw, view)
    for name, motion in (("predicted", smoothness.predicted), ("recorded", smoothness.recorded)):
        assert motion.border_jump is not None
        assert motion.interior_jump is not None
        assert f"{name} {significant(motion.border_jump / motion.interior_jump)}{TIMES}" in header(figure)
    (ratios,) = figure.axes[0].child_axes
    pairs = zip(
        smoothness.predicted.per_joint_border_jump or [],
        smoothness.predicted.per_joint_interior_jump or [],
        strict=True,
    )
    expected = [f"{significant(border / inside)}{TIMES}" for border, inside in pairs]
    assert [label.get_text() for label in ratios.get_yticklabels()] == expected


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"lengths": (20, 20), "n_action_steps": 30}, "no chunk begins after an episode's first step"),
        ({"lengths": (20, 20), "n_action_steps": 1}, "a new chunk begins at every step"),
    ],
)
def test_border_jumps_without_borders_or_insides_say_so(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    figure = drawn(border_jumps.draw, run_view(tmp_path, **options))
    assert any(f"not drawn: {why}" in text for text in texts(figure))


def test_the_latency_axis_holds_every_step_the_deadline_and_the_cold_call(tmp_path: Path) -> None:
    view = run_view(tmp_path)
    figure = drawn(latency.draw, view)
    calls, pops = latency.wall_times(view)
    assert len(calls) + len(pops) == view.results.as_deployed.steps
    for ax, times in zip(figure.axes, (calls, pops), strict=True):
        low, high = ax.get_xlim()
        assert low < times.min()
        assert high > max(times.max(), view.results.timing.deadline_ms, view.results.timing.cold_forward_ms)
        counts = [bar.get_height() for bar in ax.patches if isinstance(bar, Rectangle)]
        assert sum(counts) == len(times)
        assert max(counts) <= ax.get_ylim()[1]
        p50, p95, p99 = np.percentile(times, [50, 95, 99])
        marked = [float(np.asarray(line.get_xdata())[0]) for line in ax.lines]
        for value in (p50, p95, p99, times.max(), view.results.timing.deadline_ms):
            assert np.isclose(marked, value).any()
    assert "first call, cold: 180 ms" in legend(figure)
    assert "deadline 33.3 ms" in legend(figure)


def test_a_policy_that_is_called_at_every_step_has_no_queue_pops(tmp_path: Path) -> None:
    figure = drawn(latency.draw, run_view(tmp_path, lengths=(30,), n_action_steps=1))
    assert "none: the network is called at every step" in texts(figure)


def test_episodes_are_sorted_and_the_worst_are_coloured_and_named(tmp_path: Path) -> None:
    view = run_view(tmp_path, lengths=(30, 40, 50, 35, 45, 55, 60))
    results = view.results
    figure = drawn(worst_episodes.draw, view)
    (ax,) = figure.axes
    bars = [bar for bar in ax.patches if isinstance(bar, Rectangle) and bar.get_width() == 0.8]
    heights = [bar.get_height() for bar in bars]
    assert heights == sorted((episode.mae * 1000 for episode in results.per_episode), reverse=True)
    coloured = [to_hex(bar.get_facecolor()).upper() == CALL for bar in bars]
    assert coloured == [True] * 5 + [False] * 2
    assert f"worst: episodes {', '.join(map(str, results.worst_episodes))}" in legend(figure)
    assert [label.get_text() for label in ax.get_xticklabels()][:5] == list(map(str, results.worst_episodes))
    assert results.as_deployed.intervals is not None
    (band,) = [bar for bar in ax.patches if isinstance(bar, Rectangle) and bar not in bars]
    low, high = results.as_deployed.intervals.mae
    assert (band.get_y(), band.get_height()) == pytest.approx((1000 * low, 1000 * (high - low)))


def test_robustness_is_only_there_for_worsened_pictures(tmp_path: Path) -> None:
    assert "robustness" not in run_plots(write_results(tmp_path / "a"))
    assert "robustness" in run_plots(perturbed(tmp_path / "b", {"jpeg:50": (1.4, (1.1, 1.9))}))


def test_robustness_shows_each_ratio_with_its_interval_on_a_logarithmic_axis(tmp_path: Path) -> None:
    results = perturbed(tmp_path, {"jpeg:50": (1.4, (1.1, 1.9)), "delay:5": (37.0, (20.0, 81.0)), "swap": (None, None)})
    figure = drawn(robustness.draw, view_of(tmp_path, results))
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert low < 1 < 81 < high
    assert [label.get_text() for label in ax.get_yticklabels()] == ["jpeg:50", "delay:5", "swap"]
    segments = [list(one.get_segments()[0][:, 0]) for one in ax.collections if isinstance(one, LineCollection)]
    assert segments == [[1.1, 1.9], [20.0, 81.0]]
    assert {f"1.40{TIMES}", f"37.0{TIMES}", "n/a"} <= set(texts(figure))


def test_the_safety_replay_s_timeline_shows_what_became_of_each_step_and_ends_with_each_episode(tmp_path: Path) -> None:
    view = run_view(tmp_path, lengths=(20, 12))
    answers = [np.zeros(20, np.int64), np.zeros(12, np.int64)]
    answers[0][3:5], answers[0][7], answers[0][9:] = Severity.SCALE, Severity.REJECT, Severity.LATCH
    answers[1][0] = Severity.WARN
    episodes = [replace(data, safety=each) for data, each in zip(view.episodes, answers, strict=True)]
    figure = drawn(safety_replay.draw, replace(view, episodes=episodes))
    (ax,) = figure.axes
    (image,) = ax.images
    shown = np.ma.filled(np.ma.asarray(image.get_array()), -1).astype(int)
    looks = list(safety_replay.LOOKS)
    slowed, held, latched = (looks.index(name) for name in ("slowed down", "held", "latched"))
    assert shown[0].tolist() == [0, 0, 0, slowed, slowed, 0, 0, held, 0] + [latched] * 11
    assert shown[1].tolist() == [0] * 12 + [-1] * 8
    assert image.get_extent()[1] == pytest.approx(20 / 30)
    assert legend(figure) == looks
    assert "0 episodes stopped, of 32 ticks 4 slowed down and 0 held; joint_velocity 4" in header(figure)


def test_a_run_with_no_safety_replay_says_why_not(tmp_path: Path) -> None:
    view = run_view(tmp_path)
    results = view.results.model_copy(update={"safety_replay": None, "reasons": {"safety_replay": "two arms"}})
    assert "not drawn: two arms" in texts(drawn(safety_replay.draw, replace(view, results=results)))
