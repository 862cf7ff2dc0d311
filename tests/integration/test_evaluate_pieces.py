"""An evaluation that several processes did in pieces equals one process' to the last digit, or says what it lacks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from evaluation_kit import evaluate_command, require_equal, run_evaluate
from lerobot_writer import write_dataset

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import ConfigError, EvaluationError, UsageError
from lerobot_inference.evaluation.aggregate import aggregate
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.evaluation.shard import Shard, evaluate_shard
from lerobot_inference.evaluation.work_items import ItemEvaluator, WorkItem, split

PERTURB = "jpeg:50,drop:0.3"
ONE_THREAD = EngineChoice("openvino", "cpu", threads=1)
EPISODES = 5
BROKEN = 3


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five episodes, the fourth unreadable."""
    folder = write_dataset(
        tmp_path_factory.mktemp("cell") / "cell", episodes=[30, 12, 20, 12, 20], files="one_per_episode"
    )
    sorted((folder / "videos").rglob("*.mp4"))[BROKEN].write_bytes(b"not a video")
    return folder


@pytest.fixture(scope="module")
def whole(checkpoint: Path, cell: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one process."""
    results = tmp_path_factory.mktemp("whole") / "results"
    done = run_evaluate(checkpoint, cell, results, "--perturb", PERTURB)
    assert done.returncode == 4, done.stderr
    return results


@pytest.fixture(scope="module")
def pieces(checkpoint: Path, cell: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A piece for each work item of two episodes. Read only."""
    folder = tmp_path_factory.mktemp("pieces")
    evaluate_items(checkpoint, cell, folder / "items", folder / "pieces")
    return folder / "pieces"


def evaluate_items(
    checkpoint: Path,
    dataset: Path,
    items: Path,
    pieces: Path,
    choice: EngineChoice = ONE_THREAD,
    first: int = 0,
    **options: object,
) -> list[str]:
    policy, data = Checkpoint.open(checkpoint), Dataset.open(dataset)
    plan = EvaluationPlan.make(policy, data, **{"perturb": PERTURB, **options})  # type: ignore[arg-type]
    evaluator = ItemEvaluator.load(policy, data, choice, pieces)
    return [evaluator.evaluate(path) for path in split(plan, items, 2)[first:]]


def put_together(checkpoint: Path, dataset: Path, pieces: Path, output: Path) -> EvalResults:
    return aggregate(Checkpoint.open(checkpoint), Dataset.open(dataset), pieces, output)


def failures(results: Path) -> list[dict[str, object]]:
    lines = (results / "failure_cases.jsonl").read_text().splitlines()
    return [case for case in map(json.loads, lines) if case["kind"] not in ("worst_episode", "stopped")]


def program(*arguments: object, environment: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lerobot_inference", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )


def test_work_items_put_together_are_what_one_process_writes(
    checkpoint: Path, cell: Path, whole: Path, pieces: Path, tmp_path: Path
) -> None:
    results = put_together(checkpoint, cell, pieces, tmp_path / "results")
    require_equal(tmp_path / "results", whole)
    assert results.failed_episodes == [BROKEN]
    assert results.provenance.workers == 1


def test_shards_put_together_are_what_one_process_writes(
    checkpoint: Path, cell: Path, whole: Path, tmp_path: Path
) -> None:
    options = ["--perturb", PERTURB, "--workers", 1, "--sharded"]
    command = evaluate_command(checkpoint, cell, tmp_path / "pieces", *options)
    shards = [subprocess.Popen(command, env={**os.environ, "RANK": rank, "WORLD_SIZE": "2"}) for rank in "01"]
    assert [shard.wait(120) for shard in shards] == [0, 0], "a bad episode is no reason to end the other shards"
    done = program(
        *("aggregate", "--policy", checkpoint, "--dataset", cell),
        *("--pieces", tmp_path / "pieces", "--output", tmp_path / "results"),
    )
    assert done.returncode == 4
    assert f"episodes [{BROKEN}] failed" in done.stderr
    require_equal(tmp_path / "results", whole)
    assert load_results(tmp_path / "results").provenance.workers == 2, "they shared this machine"


def test_more_shards_than_episodes_do_no_harm(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    policy, data = Checkpoint.open(checkpoint), Dataset.open(dataset_folder)
    plan = EvaluationPlan.make(policy, data, episodes="1", every_frame=False)
    for rank in range(2):
        assert evaluate_shard(policy, data, ONE_THREAD, tmp_path / "pieces", plan, Shard(rank, 2), workers=1) == []
    results = aggregate(policy, data, tmp_path / "pieces", tmp_path / "results")
    assert (results.status, results.episodes_evaluated) == ("completed", 1)


def test_an_episode_that_no_piece_has_is_a_partial_result_and_named(
    checkpoint: Path, cell: Path, pieces: Path, tmp_path: Path
) -> None:
    """The piece of episodes 0 and 1 is lost; that of 2 and 3 was interrupted under its first perturbation."""
    shutil.copytree(pieces, tmp_path / "pieces")
    shutil.rmtree(tmp_path / "pieces" / "item_000")
    (tmp_path / "pieces" / "item_001" / "scores" / "drop_0.3" / "ep002.npz").unlink()
    results = put_together(checkpoint, cell, tmp_path / "pieces", tmp_path / "results")
    assert results.status == "partial"
    assert results.failed_episodes == [0, 1, BROKEN]
    assert [episode.episode for episode in results.per_episode] == [2, 4]
    found = [(case["episode"], case["kind"]) for case in failures(tmp_path / "results")]
    assert found == [(0, "missing_piece"), (1, "missing_piece"), (BROKEN, "DatasetError"), (2, "missing_piece")]
    assert str(failures(tmp_path / "results")[-1]["message"]).startswith("under drop:0.3: no piece has it")


def test_a_damaged_piece_is_named(checkpoint: Path, cell: Path, pieces: Path, tmp_path: Path) -> None:
    shutil.copytree(pieces, tmp_path / "pieces")
    (tmp_path / "pieces" / "item_002" / "predictions" / "ep004_predictions.npz").write_bytes(b"half")
    results = put_together(checkpoint, cell, tmp_path / "pieces", tmp_path / "results")
    assert results.failed_episodes == [BROKEN, 4]
    assert "item_002/predictions/ep004_predictions.npz" in str(failures(tmp_path / "results")[1]["message"])


def test_pieces_without_one_score_are_an_error(checkpoint: Path, cell: Path, pieces: Path, tmp_path: Path) -> None:
    shutil.copytree(pieces, tmp_path / "pieces")
    for scores in (tmp_path / "pieces").glob("*/scores"):
        shutil.rmtree(scores)
    with pytest.raises(EvaluationError, match="none of the 5 episodes could be scored, all for the same reason"):
        put_together(checkpoint, cell, tmp_path / "pieces", tmp_path / "results")
    assert len(failures(tmp_path / "results")) == EPISODES


def test_an_item_that_is_tried_again_goes_on_where_the_first_attempt_ended(
    checkpoint: Path, cell: Path, whole: Path, pieces: Path, tmp_path: Path
) -> None:
    """Nor does it matter where a first attempt failed, once a second has a score."""
    copy = shutil.copytree(pieces, tmp_path / "pieces")
    finished = copy / "item_000" / "scores" / "ep000.npz"
    before = finished.read_bytes()
    shutil.copyfile(copy / "item_001" / "scores" / f"ep{BROKEN:03d}.json", finished.with_suffix(".json"))
    (copy / "item_000" / "scores" / "ep001.npz").unlink()
    evaluate_items(checkpoint, cell, tmp_path / "items", copy)
    assert finished.read_bytes() == before, "with the times of the first attempt"
    put_together(checkpoint, cell, copy, tmp_path / "results")
    require_equal(tmp_path / "results", whole)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"choice": EngineChoice("openvino", "cpu", threads=2)}, "threads is 2 there, expected 1"),
        ({"choice": EngineChoice("onnxruntime", "cpu", threads=1)}, "engine is onnxruntime there, expected openvino"),
        ({"stride": 2}, "stride is 2 there, expected 1"),
        ({"episodes": "0,1,2,4"}, "episodes is"),
        ({"perturb": "jpeg:50"}, "perturbations is"),
    ],
    ids=["threads", "engine", "stride", "episodes", "perturb"],
)
def test_a_piece_of_another_evaluation_is_refused_by_name(
    checkpoint: Path, cell: Path, pieces: Path, tmp_path: Path, changed: dict[str, object], field: str
) -> None:
    evaluate_items(checkpoint, cell, tmp_path / "items", tmp_path / "pieces", first=-1, **changed)  # type: ignore[arg-type]
    shutil.copytree(pieces / "item_000", tmp_path / "pieces" / "item_000")
    with pytest.raises(ConfigError, match=r"item_00[12]/plan.json is of another evaluation") as caught:
        put_together(checkpoint, cell, tmp_path / "pieces", tmp_path / "results")
    assert field in caught.value.message
    assert not (tmp_path / "results").exists()


def test_pieces_of_another_policy_or_dataset_are_refused_by_name(
    checkpoint: Path, cell: Path, dataset_folder: Path, pieces: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(checkpoint, tmp_path / "other")
    (other / "config.json").write_text((checkpoint / "config.json").read_text() + "\n")
    with pytest.raises(ConfigError, match=r"item_000/plan.json is of another evaluation: policy_files.config.json is"):
        put_together(other, cell, pieces, tmp_path / "results")
    with pytest.raises(ConfigError, match=r"item_000/plan.json is of another evaluation: dataset_files\."):
        put_together(checkpoint, dataset_folder, pieces, tmp_path / "results")


def test_a_folder_without_pieces_and_a_piece_as_output_are_refused(
    checkpoint: Path, cell: Path, pieces: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="holds no piece of an evaluation"):
        put_together(checkpoint, cell, tmp_path, tmp_path / "results")
    with pytest.raises(UsageError, match="is a piece itself"):
        put_together(checkpoint, cell, pieces, pieces / "item_000")


def test_work_items_replace_those_of_an_earlier_split(checkpoint: Path, cell: Path, tmp_path: Path) -> None:
    options = ["split", "--policy", checkpoint, "--dataset", cell, "--output", tmp_path]
    assert program(*options).returncode == 0
    assert len(list(tmp_path.iterdir())) == EPISODES
    done = program(*options, "--size", 2, "--perturb", PERTURB, "--stride", 3)
    assert done.stdout == f"work items: 3 of 5 episodes, in {tmp_path}\n"
    items = [WorkItem.load(path) for path in sorted(tmp_path.iterdir())]
    assert [item.part for item in items] == [[0, 1], [2, 3], [4]]
    assert {(item.stride, item.plan.perturbations == items[0].plan.perturbations) for item in items} == {(3, True)}


def test_a_split_of_episodes_that_are_not_there_writes_nothing(checkpoint: Path, cell: Path, tmp_path: Path) -> None:
    options = ["split", "--policy", checkpoint, "--dataset", cell, "--output", tmp_path / "items"]
    assert program(*options, "--episodes", "3-9").returncode == 3
    assert not (tmp_path / "items").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "Invalid JSON"), ("{}", "episodes: Field required")],
)
def test_a_damaged_work_item_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "item_000.json").write_text(text)
    with pytest.raises(ConfigError, match=f"item_000.json: {said}"):
        WorkItem.load(tmp_path / "item_000.json")


def test_shards_take_every_episode_once() -> None:
    episodes = list(range(10))
    shards = [Shard(rank, 3).share(episodes) for rank in range(3)]
    assert shards == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]


@pytest.mark.parametrize(
    "environment", [{}, {"RANK": "0"}, {"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "-1", "WORLD_SIZE": "2"}], ids=str
)
def test_a_shard_without_a_place_among_the_others_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="--sharded: RANK is"):
        Shard.from_environment(environment)
