"""A bundle is the checkpoint: same chunks, proven on recorded frames, or nothing is written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from full_disk import run_with_small_files
from hypothesis import given
from hypothesis import strategies as st
from lerobot.configs.types import NormalizationMode
from lerobot_writer import write_dataset
from numpy.typing import NDArray
from results_factory import write_results
from safetensors.numpy import load_file

from lerobot_inference.checkpoint import Bundle, Checkpoint
from lerobot_inference.control import QueueSchedule
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import Engine, EngineChoice
from lerobot_inference.errors import ConfigError, DatasetError, EngineError, UsageError
from lerobot_inference.evaluation.gate import GateVerdict
from lerobot_inference.evaluation.plan import EvaluationPlan
from lerobot_inference.evaluation.replay import Stopwatch, replay_as_deployed
from lerobot_inference.evaluation.safety_replay import GuardedArm
from lerobot_inference.export import ExportOptions, export
from lerobot_inference.export.accuracy import Yardstick, measure_accuracy
from lerobot_inference.export.overlap import stretch
from lerobot_inference.export.parity import Comparison, action_std, compare, spread
from lerobot_inference.files import sha256_file
from lerobot_inference.records import save_record
from lerobot_inference.registry import Registration
from lerobot_inference.ros2.parameters import Parameters
from lerobot_inference.types import ActionChunk, ActionMode, FloatArray, PolicySpec, Precision, UInt8Array

COLOR, WRIST = "observation.images.color", "observation.images.wrist"


@pytest.fixture(scope="module")
def verified(checkpoint: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The checkpoint's bundle, compared with lerobot. Read only."""
    output = tmp_path_factory.mktemp("export") / "bundle"
    return export(Checkpoint.open(checkpoint), Dataset.open(dataset_folder), output, ExportOptions(verify=True))


def exported(checkpoint: Path, dataset: Path, output: Path, **options: Any) -> Bundle:
    chosen = ExportOptions(**{"engine": "onnxruntime"} | options)
    return export(Checkpoint.open(checkpoint), Dataset.open(dataset), output, chosen)


def observations(spec: PolicySpec, batch: int) -> tuple[dict[str, UInt8Array], FloatArray]:
    random = np.random.default_rng(0)
    images = {
        name: random.integers(0, 256, (batch, shape.height, shape.width, 3), np.uint8)
        for name, shape in spec.cameras.items()
    }
    return images, random.standard_normal((batch, spec.state_dim)).astype(np.float32)


def test_a_bundle_and_its_checkpoint_give_the_same_chunks(verified: Bundle, checkpoint: Path) -> None:
    images, states = observations(verified.spec, 3)
    for name in ("onnxruntime", "openvino"):
        of_bundle = EngineChoice(name).load(verified).predict(images, states).actions
        of_checkpoint = EngineChoice(name).load(Checkpoint.open(checkpoint)).predict(images, states).actions
        assert np.array_equal(of_bundle, of_checkpoint)


def test_the_bundle_says_how_near_it_is_to_lerobot_on_recorded_frames(verified: Bundle) -> None:
    parity = verified.manifest.parity
    assert parity is not None
    assert (parity.reference, parity.frames) == ("lerobot", 16)
    assert parity.max_abs_in_std < 1e-4
    assert 0 < parity.rmse <= parity.max_abs == max(parity.per_joint_max_abs)
    assert parity.cosine == pytest.approx(1)
    assert len(parity.per_joint_rmse) == len(parity.per_joint_cosine) == len(parity.action_std) == 6
    assert verified.manifest.accuracy is None
    assert verified.manifest.reasons["accuracy"] == "f32 loses nothing"


def test_the_bundle_names_what_it_was_made_of(verified: Bundle, checkpoint: Path, dataset_folder: Path) -> None:
    manifest = verified.manifest
    assert manifest.policy_files == Checkpoint.open(checkpoint).file_hashes
    assert (manifest.policy_source, manifest.dataset_source) == (str(checkpoint), str(dataset_folder))
    assert manifest.engine in ("openvino", "onnxruntime")
    assert manifest.versions["onnx"] == onnx.__version__
    assert manifest.opset == onnx.load(verified.graph).opset_import[0].version
    saved = load_file(verified.folder / "statistics.safetensors")
    normalization = Checkpoint.open(checkpoint).normalization
    assert np.array_equal(saved["action.std"], normalization.action.statistics["std"])
    assert np.array_equal(saved[f"{COLOR}.mean"], normalization.inputs[COLOR].statistics["mean"])


def test_the_contract_is_what_dataset_and_checkpoint_say(
    verified: Bundle, checkpoint: Path, dataset_folder: Path
) -> None:
    contract, dataset = verified.contract, Dataset.open(dataset_folder)
    assert verified.spec == Checkpoint.open(checkpoint).spec
    assert contract.joint_names == [f"joint_{j}" for j in range(6)]
    assert contract.action_mode is ActionMode.DELTA
    assert contract.signs == [1] * 6
    assert contract.fps == 30
    recorded = np.concatenate([dataset.episode(index).states for index in dataset.episode_indices])
    envelope = contract.state_envelope
    assert envelope.min == pytest.approx(recorded.min(axis=0))
    assert envelope.max == pytest.approx(recorded.max(axis=0))
    assert envelope.mean == pytest.approx(recorded.mean(axis=0), abs=1e-6)
    assert envelope.std == pytest.approx(recorded.std(axis=0), abs=1e-6)


def test_the_contract_says_how_much_chunks_in_a_row_may_disagree_by_what_was_recorded(
    verified: Bundle, dataset_folder: Path
) -> None:
    """Worked out once more, frame by frame and with nothing of ours but the engine's chunks."""
    dataset, engine = Dataset.open(dataset_folder), EngineChoice().load(verified)
    chunks = []
    for index in dataset.episode_indices:
        episode = dataset.episode(index)
        pairs = zip(episode.frames(), episode.states, strict=True)
        one_by_one = [engine.predict({COLOR: seen[COLOR][None]}, state[None]).actions[0] for seen, state in pairs]
        chunks.append(np.array(one_by_one, np.float64))
    expected = []
    for stride in range(1, 8):
        found = []
        for each in chunks:
            for t in range(len(each) - stride):
                difference = each[t, stride:] - each[t + stride, : 8 - stride]
                found.append((difference**2).mean() ** 0.5)
        expected.append(4 * np.quantile(found, 0.99))
    thresholds = verified.contract.guard_thresholds
    assert thresholds is not None
    assert thresholds.chunk_overlap == pytest.approx(expected, rel=0.006)  # three digits are kept
    assert (thresholds.episodes, thresholds.frames) == ([0, 1, 2], 90)
    said = (verified.folder / "README.md").read_text()
    assert f"disagree by more than {thresholds.chunk_overlap[-1]:g} rad (7 steps apart)" in said


def test_node_and_safety_replay_take_the_thresholds_of_the_contract_and_the_recorded_episodes_keep_to_them(
    verified: Bundle, dataset_folder: Path
) -> None:
    dataset, engine = Dataset.open(dataset_folder), EngineChoice().load(verified)
    thresholds = verified.contract.guard_thresholds
    assert thresholds is not None
    node = Parameters(policy_repo=str(verified.folder)).guard_chain(verified)
    assert node.settings["chunk_overlap"] == {"by_stride": thresholds.chunk_overlap}
    for guards, speaks in (({}, False), ({"by_stride": [1e-9]}, True)):
        plan = EvaluationPlan(list(dataset.episode_indices), ActionMode.DELTA, guards={"chunk_overlap": guards})
        arm = GuardedArm.of(verified, dataset, plan)
        assert isinstance(arm, GuardedArm)
        assert arm.left_out == {}
        for index in plan.episodes:
            episode = dataset.episode(index)
            steps = range(episode.scored_length)
            deployed = replay_as_deployed(episode, steps, engine, QueueSchedule(4), Stopwatch())
            score = arm.replay(deployed, episode.states[0]).score
            assert ("chunk_overlap" in score.guards) is speaks


def test_a_policy_whose_chunks_never_overlap_has_no_thresholds_and_its_bundle_says_so(
    checkpoint_factory: Callable[..., Path], dataset_folder: Path, tmp_path: Path
) -> None:
    bundle = exported(checkpoint_factory(chunk_size=1, n_action_steps=1), dataset_folder, tmp_path / "bundle")
    assert bundle.contract.guard_thresholds is None
    assert "guard chunk_overlap has no limits: no two chunks overlap" in (bundle.folder / "README.md").read_text()


@given(st.integers(1, 8), st.integers(1, 2000))
def test_the_frames_that_guards_are_calibrated_on_are_bounded_and_reach_from_first_to_last(
    count: int, length: int
) -> None:
    steps = [stretch(length, number, count) for number in range(count)]
    assert sum(map(len, steps)) <= 800
    assert all(0 <= each.start < each.stop <= length for each in steps)
    assert steps[0].start == 0
    assert steps[-1].stop == length or count == 1


def test_whoever_runs_the_robots_container_may_read_the_bundle(verified: Bundle) -> None:
    for path in verified.folder.iterdir():
        assert path.stat().st_mode & 0o044 == 0o044, path
    assert verified.folder.stat().st_mode & 0o055 == 0o055


def test_exporting_twice_gives_the_same_bytes(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    first, second = (exported(checkpoint, dataset_folder, tmp_path / name) for name in ("first", "second"))
    assert first.manifest == second.manifest
    assert first.file_hashes == second.file_hashes


def test_two_cameras_other_joints_and_an_inverted_one_are_in_the_contract(
    checkpoint_factory: Callable[..., Path], tmp_path: Path
) -> None:
    cameras = {WRIST: (48, 40), COLOR: (64, 96)}
    policy = checkpoint_factory(cameras=cameras, state_dim=7, action_dim=4)
    dataset = write_dataset(tmp_path / "cell", episodes=[12], cameras=cameras, state_dim=7, action_dim=4)
    options = {"action_mode": ActionMode.ABSOLUTE, "inverted_joints": ("joint_1", "joint_2"), "verify": True}
    bundle = exported(policy, dataset, tmp_path / "bundle", **options)
    assert list(bundle.spec.cameras) == [WRIST, COLOR]
    assert (bundle.spec.state_dim, bundle.spec.action_dim) == (7, 4)
    assert bundle.contract.signs == [1, -1, -1, 1]
    assert bundle.contract.action_mode is ActionMode.ABSOLUTE
    assert bundle.manifest.parity is not None


# Parity


def steps(shape: tuple[int, ...] = (5, 8, 2), seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_equal_chunks_have_no_error_even_where_a_joint_never_moves() -> None:
    chunks = steps()
    chunks[..., 1] = 0
    comparison = Comparison(chunks, chunks.copy(), np.array([1.0, 1e-6]))
    comparison.require_exact()
    parity = comparison.record("lerobot")
    assert (parity.max_abs, parity.rmse, parity.max_abs_in_std) == (0, 0, 0)
    assert parity.cosine == 1
    assert parity.per_joint_cosine == [1, 1]


def test_an_error_in_one_joint_shows_up_there_and_relative_to_its_own_spread() -> None:
    chunks = steps()
    wrong = chunks + np.array([0, 0.003], np.float32)
    parity = Comparison(wrong, chunks, np.array([1.0, 0.01])).record("lerobot")
    assert parity.per_joint_max_abs == pytest.approx([0, 0.003], abs=1e-6)
    assert parity.per_joint_rmse == pytest.approx([0, 0.003], abs=1e-6)
    assert parity.rmse == pytest.approx(0.003 / np.sqrt(2), rel=1e-3)
    assert parity.max_abs_in_std == pytest.approx(0.3, rel=1e-3)
    assert parity.per_joint_cosine[0] == 1
    assert 0.9 < parity.per_joint_cosine[1] < 1


def test_one_wrong_value_is_enough_to_be_inexact_and_its_joint_is_named() -> None:
    chunks = steps()
    wrong = chunks.copy()
    wrong[3, 7, 1] += 2e-4
    Comparison(wrong, chunks, np.array([1.0, 3.0])).require_exact()
    with pytest.raises(EngineError, match=r"not exact: joint 1 is 0\.0002 rad off.* allowed are 0\.0001 rad"):
        Comparison(wrong, chunks, np.array([1.0, 1.0])).require_exact()


def test_what_float32_cannot_resolve_is_not_an_error() -> None:
    """A joint held at 3 rad to within a microradian: a hundred-thousandth of that is less than one float32 step."""
    chunks = np.full((1, 4, 1), 3, np.float32)
    Comparison(np.nextafter(chunks, np.float32(4)), chunks, np.array([1e-6])).require_exact()


def test_errors_are_relative_to_the_training_actions_where_the_policy_knows_them(
    checkpoint: Path, checkpoint_factory: Callable[..., Path], dataset_folder: Path
) -> None:
    dataset, known = Dataset.open(dataset_folder), Checkpoint.open(checkpoint)
    assert action_std(known, dataset) == pytest.approx(known.normalization.action.statistics["std"])
    modes = {
        "VISUAL": NormalizationMode.MEAN_STD,
        "STATE": NormalizationMode.MEAN_STD,
        "ACTION": NormalizationMode.MIN_MAX,
    }
    by_range = Checkpoint.open(checkpoint_factory(normalization_mapping=modes))
    assert action_std(by_range, dataset) == pytest.approx(dataset.statistics["action"]["std"])


@given(st.integers(1, 60), st.integers(1, 40))
def test_the_frames_that_are_compared_are_spread_over_all_episodes(episodes: int, count: int) -> None:
    moments = spread(tuple(range(episodes)), count)
    fractions = [fraction for chosen in moments.values() for fraction in chosen]
    assert len(fractions) == len(set(fractions)) == count
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert len(moments) == min(episodes, count)
    assert max(map(len, moments.values())) - min(map(len, moments.values())) <= 1


# Lower precision


@dataclass
class Shifted:
    """Answers what was recorded, plus an offset."""

    spec: PolicySpec
    dataset: Dataset
    offset: float
    precision: Precision
    name: str = "shifted"
    device: str = "cpu"
    threads: int = 1

    def warm_up(self) -> float:
        return 0.0

    def predict(
        self, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None = None
    ) -> ActionChunk:
        assert environment is None
        assert all(len(image) == len(states) for image in images.values())
        return ActionChunk(np.stack([self._recorded(state) for state in states]) + np.float32(self.offset))

    def _recorded(self, state: FloatArray) -> NDArray[np.float32]:
        for index in self.dataset.episode_indices:
            episode = self.dataset.episode(index)
            for frame in np.flatnonzero((episode.states == state).all(axis=1)):
                future = episode.actions[frame : frame + self.spec.chunk_size]
                return np.pad(future, ((0, self.spec.chunk_size - len(future)), (0, 0)))
        raise AssertionError("a state that was never recorded")


@pytest.fixture
def engines(checkpoint: Path, dataset_folder: Path) -> Callable[[float], tuple[Engine, Engine]]:
    """(bf16, f32): the first one's error is larger by `change`."""
    spec, dataset = Checkpoint.open(checkpoint).spec, Dataset.open(dataset_folder)

    def make(change: float) -> tuple[Engine, Engine]:
        return (
            Shifted(spec, dataset, 0.01 * (1 + change), Precision.BF16),
            Shifted(spec, dataset, 0.01, Precision.F32),
        )

    return make


@pytest.mark.parametrize("change", [0.015, -0.015])
def test_a_precision_that_changes_the_error_too_much_is_refused_with_the_figures_unless_forced(
    engines: Callable[[float], tuple[Engine, Engine]], dataset_folder: Path, change: float
) -> None:
    yardstick = Yardstick.over(Dataset.open(dataset_folder), ActionMode.DELTA, 20)
    with pytest.raises(
        EngineError, match=rf"bf16 changes the mean absolute error by \{change:+.2%}, from 0\.01 to"
    ) as error:
        measure_accuracy(*engines(change), yardstick, force=False)
    assert "--force bf16" in str(error.value.hint)
    forced = measure_accuracy(*engines(change), yardstick, force=True)
    assert forced.forced
    assert forced.change == pytest.approx(change, abs=1e-4)
    assert forced.mae_f32 == pytest.approx(0.01, abs=1e-6)
    assert forced.limit == 0.01


def test_a_precision_within_its_limit_needs_no_force(
    engines: Callable[[float], tuple[Engine, Engine]], dataset_folder: Path
) -> None:
    yardstick = Yardstick.over(Dataset.open(dataset_folder), ActionMode.DELTA, 20)
    accuracy = measure_accuracy(*engines(0.005), yardstick, force=True)
    assert not accuracy.forced
    assert accuracy.change == pytest.approx(0.005, abs=1e-4)
    assert accuracy.frames == yardstick.frames


@pytest.mark.parametrize(("most", "expected"), [(1000, 87), (87, 87), (20, 18), (1, 3)])
def test_the_frames_that_are_scored_are_bounded_and_reach_every_episode(
    dataset_folder: Path, most: int, expected: int
) -> None:
    yardstick = Yardstick.over(Dataset.open(dataset_folder), ActionMode.DELTA, most)
    assert set(yardstick.episodes) == {0, 1, 2}
    assert yardstick.frames == expected


def test_bf16_is_exported_with_what_it_costs(checkpoint: Path, dataset_folder: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bfloat16 arithmetic")
    bundle = exported(
        checkpoint, dataset_folder, tmp_path / "bundle", engine="auto", precision=Precision.BF16, verify=True
    )
    accuracy, parity = bundle.manifest.accuracy, bundle.manifest.parity
    assert accuracy is not None
    assert abs(accuracy.change) <= 0.01
    assert not accuracy.forced
    assert parity is not None
    assert 1e-4 < parity.max_abs_in_std < 0.5
    assert EngineChoice().load(bundle).precision is Precision.BF16


# What travels with the bundle


def test_the_evaluation_and_the_verdict_travel_with_the_bundle(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    hashes = Checkpoint.open(checkpoint).file_hashes
    results = write_results(tmp_path / "results", lengths=(30,), policy_files=hashes)
    write_registration(tmp_path / "registration", hashes)
    folders = {"results": tmp_path / "results", "registration": tmp_path / "registration"}
    manifest = exported(checkpoint, dataset_folder, tmp_path / "bundle", **folders).manifest
    assert manifest.evaluation is not None
    assert manifest.evaluation.mae == results.aggregate_mae
    assert manifest.evaluation.skill == results.as_deployed.skill
    assert manifest.evaluation.sha256 == sha256_file(tmp_path / "results" / "eval_results.json")
    assert manifest.gate is not None
    assert (manifest.gate.verdict, manifest.gate.version) == ("keep", "3")
    assert set(manifest.reasons) == {"parity", "accuracy"}


def write_registration(folder: Path, files: dict[str, str]) -> None:
    registration = Registration(
        gate=GateVerdict(verdict="keep", reason="no better than the champion", rules=[]),
        model_name="cell",
        version="3",
        champion_before="2",
        experiment="experiment",
        run_id="run",
        tracking_uri="sqlite:///mlflow.db",
        model_uri="models:/cell/3",
        files=files,
    )
    save_record(registration, folder / "registration.json")


def test_an_evaluation_or_a_verdict_of_another_policy_is_refused(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    other = Checkpoint.open(checkpoint).file_hashes | {"model.safetensors": "0" * 64}
    write_results(tmp_path / "results", lengths=(30,), policy_files=other)
    write_registration(tmp_path / "registration", other)
    with pytest.raises(ConfigError, match=r"results are of another policy: model\.safetensors"):
        exported(checkpoint, dataset_folder, tmp_path / "bundle", results=tmp_path / "results")
    with pytest.raises(ConfigError, match="registration is of another policy"):
        exported(checkpoint, dataset_folder, tmp_path / "bundle", registration=tmp_path / "registration")
    with pytest.raises(ConfigError, match=r"registration\.json: No such file"):
        exported(checkpoint, dataset_folder, tmp_path / "bundle", registration=tmp_path)
    assert not (tmp_path / "bundle").exists()


# Options that don't fit


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"force": Precision.BF16}, "--force bf16 doesn't name the precision of the export, f32"),
        ({"force": Precision.F32}, "--force f32"),
        ({"inverted_joints": ("elbow",)}, "no joint 'elbow' to invert"),
        ({"precision": Precision.BF16}, "onnxruntime doesn't compute in bf16"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_and_nothing_is_written(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        exported(checkpoint, dataset_folder, tmp_path / "bundle", **options)
    assert not list(tmp_path.iterdir())


def test_a_dataset_that_does_not_fit_is_refused(
    checkpoint_factory: Callable[..., Path], dataset_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="is 64x96, the policy was trained on 32x48"):
        exported(checkpoint_factory(cameras={COLOR: (32, 48)}), dataset_folder, tmp_path / "bundle")


@pytest.mark.parametrize("name", ["thesis.txt", "manifest.json"])
def test_a_folder_that_holds_something_else_is_left_alone(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("precious")
    for output in (tmp_path, tmp_path / name):
        with pytest.raises(UsageError, match="is not empty and holds no earlier bundle"):
            exported(checkpoint, dataset_folder, output)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


# The command line


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lerobot_inference", "export", *map(str, arguments)],
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_command_prints_the_manifest_alone_on_stdout(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    inputs = ("--policy", checkpoint, "--dataset", dataset_folder, "--output", tmp_path / "bundle")
    result = run(*inputs, "--inverted-joints", "joint_1,joint_2", "--engine", "onnxruntime", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert Bundle.open(tmp_path / "bundle").contract.signs == [1, -1, -1, 1, 1, 1]


def test_the_command_verifies_and_prints_how_near_the_bundle_is(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    inputs = ("--policy", checkpoint, "--dataset", dataset_folder, "--output", tmp_path / "bundle")
    result = run(*inputs, "--verify")
    assert result.returncode == 0, result.stderr
    for expected in ("policy.onnx", "contract.json", "parity with lerobot over 16 frames", "standard deviation"):
        assert expected in result.stdout


def test_a_disk_that_fills_up_keeps_the_earlier_bundle(
    verified: Bundle, checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    earlier = shutil.copytree(verified.folder, tmp_path / "bundle")
    inputs = ("--policy", checkpoint, "--dataset", dataset_folder)
    result = run_with_small_files(2**20, "export", *inputs, "--output", earlier)
    assert result.returncode == 7, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert Bundle.open(earlier).manifest == verified.manifest


def test_compared_engines_see_the_frames_that_were_recorded(checkpoint: Path, dataset_folder: Path) -> None:
    policy, dataset = Checkpoint.open(checkpoint), Dataset.open(dataset_folder)
    engine = EngineChoice("onnxruntime").load(policy)
    comparison = compare(engine, engine, dataset, action_std(policy, dataset), frames=5)
    comparison.require_exact()
    assert comparison.found.shape == (5, 8, 6)
    assert np.ptp(comparison.found, axis=0).min() > 0, "five moments gave one chunk"
