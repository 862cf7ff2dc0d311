"""What the benchmarks compute, apart from what they time."""

from __future__ import annotations

import os
import platform
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from claim import Claim, Record, Timing, replace_table, table, times
from every_frame import Tally
from flops import count_flops
from intervals import coverage
from machine import core_share, describe
from splicing import play, ways
from ticks import Ticks
from worker import Worker, workers

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.engine.base import available_cores


def model(nodes: list[onnx.NodeProto], x: list[int | str], weights: dict[str, list[int]]) -> onnx.ModelProto:
    """A graph from `x` to `y`; weights: name -> shape."""
    initializers = [onnx.numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def test_a_convolution_counts_two_operations_for_each_product() -> None:
    # Output 2 x 4 x 5 x 5 (stride 2, padding 1 on 9 x 9), each summing 6 / 3 channels x 3 x 3 products.
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], group=3)
    grouped = model([node], [2, 6, 9, 9], {"w": [6, 2, 3, 3]})
    assert count_flops(grouped) == {"Conv": 2 * (2 * 6 * 5 * 5) * (2 * 3 * 3)}


@given(st.tuples(*[st.integers(1, 9)] * 4))
def test_a_batched_matrix_product_counts_every_matrix(sizes: tuple[int, int, int, int]) -> None:
    batch, rows, inner, columns = sizes
    product = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [batch, rows, inner], {"w": [inner, columns]})
    assert count_flops(product) == {"MatMul": 2 * batch * rows * inner * columns}


def test_gemm_sums_over_the_rows_of_a_transposed_first_matrix() -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)
    assert count_flops(model([node], [7, 3], {"w": [7, 5]})) == {"Gemm": 2 * 3 * 5 * 7}


def test_a_dynamic_batch_grows_the_count_in_proportion_and_the_model_stays_as_it_was() -> None:
    product = model([helper.make_node("MatMul", ["x", "w"], ["y"])], ["batch", 4, 3], {"w": [3, 2]})
    before = product.SerializeToString()
    assert count_flops(product, 8).total() == 8 * count_flops(product, 1).total()
    assert product.SerializeToString() == before


def test_a_graph_whose_operations_would_be_missed_is_refused() -> None:
    einsum = helper.make_node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik")
    with pytest.raises(ValueError, match="Einsum can't be counted"):
        count_flops(model([einsum], [2, 3], {"w": [3, 4]}))
    unknown = helper.make_node("MatMul", ["x", "w"], ["y"])
    with pytest.raises(ValueError, match="shape of 'y' is unknown"):
        count_flops(model([unknown], ["batch", "tokens", 3], {"w": [3, 4]}))


def test_the_ratio_is_of_medians_so_that_one_slow_pass_does_not_count() -> None:
    eager, ours = Timing([0.4, 0.4, 9.0]), Timing([0.2, 0.1, 0.2])
    assert ours.speedup(eager) == pytest.approx(2)
    assert eager.speedup(eager) == 1


def test_the_spread_is_the_interquartile_range() -> None:
    assert Timing([1.0, 2.0, 3.0, 4.0, 5.0]).spread == 2
    assert Timing([1.0]).spread == 0


def test_ratios_are_written_with_three_digits() -> None:
    assert [times(ratio) for ratio in (1.696, 14.26, 256.8)] == ["1.70 times", "14.3 times", "257 times"]


def test_a_ratio_below_its_bar_is_called_missed_in_the_table() -> None:
    held = Claim.with_bar("f32", 1.7, 1.7, "1.70 times")
    missed = Claim.with_bar("bf16", 3.29, 3.3, "3.29 times")
    free = Claim.with_bar("compiled", 1.0, None, "1.00 times")
    lines = table([Record("chunk_latency", "2 cores, load 0.0", [held, missed, free])]).splitlines()
    assert lines[0] == "2 cores, load 0.0:"
    assert lines[4:] == [
        "| f32 | 1.70 times | >= 1.7 times | `chunk_latency.py` |",
        "| bf16 | 3.29 times | >= 3.3 times: **missed** | `chunk_latency.py` |",
        "| compiled | 1.00 times |  | `chunk_latency.py` |",
    ]


def test_the_table_is_replaced_between_its_markers_and_nothing_else_changes() -> None:
    document = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"
    once = replace_table(document, "new")
    assert once == "before\n<!-- bench -->\n\nnew\n\n<!-- /bench -->\nafter\n"
    assert replace_table(once, "new") == once


@pytest.mark.parametrize("document", ["", "<!-- bench -->", "<!-- /bench --> <!-- bench -->", "<!-- bench -->" * 2])
def test_a_document_without_its_markers_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="<!-- bench -->"):
        replace_table(document, "new")


@pytest.mark.parametrize("name", ["README.md", "benchmarks/README.md"])
def test_both_documents_have_the_markers(name: str) -> None:
    replace_table((Path(__file__).parents[2] / name).read_text(encoding="utf-8"), "")


def test_the_short_table_has_only_what_a_bar_was_set_for() -> None:
    claims = [Claim.with_bar("f32", 1.7, 1.7, "1.70 times"), Claim("compiled", "1.00 times")]
    lines = table([Record("chunk_latency", "2 cores", claims)], promised=True).splitlines()
    assert lines[4:] == ["| f32 | 1.70 times | >= 1.7 times | `chunk_latency.py` |"]


def test_a_way_that_ran_at_every_step_is_not_extrapolated() -> None:
    tally = Tally(lambda _: 1)
    tally.add(range(0, 3), (1.0, 2.0))
    tally.add(range(3, 5), (0.5, 1.0))
    assert tally.extrapolated(range(5)) == (1.5, 3.0)


def test_decoding_is_extrapolated_by_pictures_and_the_policy_by_steps() -> None:
    tally = Tally(lambda step: step + 1)
    tally.add(range(2, 4), (7.0, 4.0))  # 3 + 4 pictures decoded, 2 steps
    assert tally.extrapolated(range(4)) == (10.0, 8.0)  # 1 + 2 + 3 + 4 pictures, 4 steps


def test_each_contender_is_built_once_in_a_process_of_its_own() -> None:
    with Worker(partial, divmod, 7) as sevens, Worker(partial, os.getpid) as pid, Worker(partial, os.getpid) as other:
        assert [sevens(2), sevens(3)] == [(3, 1), (2, 1)]
        assert len({pid(), pid(), other(), os.getpid()}) == 3


def test_a_contender_s_error_reaches_the_benchmark() -> None:
    with Worker(partial, divmod, 7) as sevens, pytest.raises(ZeroDivisionError):
        sevens(0)


def test_a_contender_that_can_not_run_here_is_named_with_its_reason(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent"
    with workers(open_policy, [checkpoint, absent]) as able:
        assert list(able) == [checkpoint]
    assert capsys.readouterr().out == f"skipped: {absent}: {absent}: no such folder\n"


def test_the_first_line_says_what_the_figures_depend_on() -> None:
    line, installed = describe(), version("onnxruntime")
    assert line.startswith(f"{available_cores()} cores of ")
    assert all(word in line for word in (f"Python {platform.python_version()}", f"onnxruntime {installed}", "load "))


def test_a_thread_per_core_can_not_get_more_than_the_cores() -> None:
    assert 0 < core_share() <= 1.05


@pytest.mark.parametrize("episodes", [5, 10, 30])
def test_intervals_of_few_episodes_hold_the_truth_about_as_often_as_they_say(episodes: int) -> None:
    (held, _), _ = coverage(lambda random, count: random.normal(size=count), 0.0, episodes)
    assert 90.0 <= held <= 98.0


def test_chunks_from_a_lagging_arm_spliced_as_they_come_yank_it_back_and_ours_do_not() -> None:
    naive, aligned, ours = (play(schedule, 180) for schedule in ways().values())
    assert naive.borders == aligned.borders == ours.borders > 10
    assert naive.border_change > 5 * aligned.border_change > 20 * ours.border_change
    assert ours.border <= ours.interior


def test_a_gap_of_four_periods_is_three_missed_ticks() -> None:
    ticks = Ticks(0.01, np.array([0.01, 0.011, 0.04, 0.009, 0.014]))
    assert (ticks.missed, ticks.due, ticks.longest_ms) == (3, 8, pytest.approx(40))
    assert ticks.jitter_ms(100) == pytest.approx(30)
    assert ticks.jitter_ms(50) == pytest.approx(1)
