"""What every engine does alike, and how one is chosen."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine import BACKENDS, Engine, EngineChoice
from lerobot_inference.engine.onnxruntime import PROVIDERS, available_devices, provider_settings
from lerobot_inference.errors import EngineError, StorageError, UsageError
from lerobot_inference.types import FloatArray, Precision, UInt8Array

COLOR = "observation.images.color"


def observations(count: int, seed: int = 0) -> tuple[UInt8Array, FloatArray]:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 64, 96, 3), dtype=np.uint8)
    return images, random.normal(size=(count, 6)).astype(np.float32)


@pytest.fixture(scope="module", params=BACKENDS)
def engine(request: pytest.FixtureRequest, checkpoint: Path) -> Engine:
    return EngineChoice(request.param).load(Checkpoint.open(checkpoint))


def test_a_batch_gives_what_its_members_give_alone(engine: Engine) -> None:
    images, states = observations(4)
    together = engine.predict({COLOR: images}, states).actions
    for number in range(4):
        alone = engine.predict({COLOR: images[number : number + 1]}, states[number : number + 1]).actions[0]
        assert np.abs(alone - together[number]).max() < 1e-5


def test_an_answer_stays_when_the_next_question_is_asked(engine: Engine) -> None:
    images, states = observations(2)
    first = engine.predict({COLOR: images[:1]}, states[:1]).actions
    kept = first.copy()
    engine.predict({COLOR: images[1:]}, states[1:])
    np.testing.assert_array_equal(first, kept)


def test_threads_may_share_an_engine(engine: Engine) -> None:
    engine.warm_up()
    images, states = observations(12)

    def ask(number: int) -> FloatArray:
        return engine.predict({COLOR: images[number : number + 1]}, states[number : number + 1]).actions[0]

    alone = [ask(number) for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(ask, range(12)))
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_picture_that_is_a_view_of_another_array_is_read_as_it_looks(engine: Engine) -> None:
    images, states = observations(1)
    mirrored = images[:, :, ::-1]
    actions = engine.predict({COLOR: mirrored}, states).actions
    np.testing.assert_allclose(actions, engine.predict({COLOR: mirrored.copy()}, states).actions, atol=1e-6)


def test_what_does_not_fit_the_policy_is_refused(engine: Engine) -> None:
    images, states = observations(1)
    with pytest.raises(EngineError, match=r"expected uint8 \(1, 64, 96, 3\)"):
        engine.predict({COLOR: images[:, :32]}, states)
    with pytest.raises(EngineError, match=r"no image from 'observation.images.color'; given: \['wrist'\]"):
        engine.predict({"wrist": images}, states)
    with pytest.raises(EngineError, match=r"states have shape \(1, 5\)"):
        engine.predict({COLOR: images}, states[:, :5])
    with pytest.raises(EngineError, match="joint state is not finite"):
        engine.predict({COLOR: images}, states * np.nan)
    with pytest.raises(EngineError, match=r"environment state has shape \(1, 2\), expected None"):
        engine.predict({COLOR: images}, states, np.zeros((1, 2), np.float32))


def test_the_first_forward_pass_is_made_when_asked_for_and_timed(engine: Engine) -> None:
    assert engine.warm_up() > 0


def test_auto_takes_the_fastest_exact_engine_that_is_installed(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Checkpoint.open(checkpoint)
    taken = []
    for missing in ("openvino", "onnxruntime", None):
        engine = EngineChoice().load(policy)
        taken.append((engine.name, engine.precision))
        if missing:
            monkeypatch.setitem(sys.modules, missing, None)  # what an import of an absent package meets
    assert taken == [("openvino", "f32"), ("onnxruntime", "f32"), ("lerobot", "f32")]


def test_without_any_engine_the_error_says_which_extra_to_install(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for missing in ("openvino", "onnxruntime", "torch"):
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match="openvino is not installed; onnxruntime is not installed") as caught:
        EngineChoice().load(Checkpoint.open(checkpoint))
    assert "lerobot-inference[openvino]" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (EngineChoice("tensorflow"), "engine 'tensorflow' is unknown"),
        (EngineChoice(device="tpu"), "device 'tpu' is unknown"),
        (EngineChoice("openvino", device="cuda"), "'cuda' was asked for and is not available"),
        (EngineChoice(device="npu"), "no engine runs f32 on 'npu' here"),
        (EngineChoice("onnxruntime", precision=Precision.BF16), "onnxruntime doesn't compute in bf16 on cpu"),
        (EngineChoice("lerobot", precision=Precision.BF16), "lerobot doesn't compute in bf16 on cpu"),
        (EngineChoice(precision=Precision.INT8), "int8 needs a policy calibrated on recorded frames"),
        (EngineChoice(threads=0), "--threads is 0"),
    ],
)
def test_a_choice_that_cannot_be_met_is_an_error_and_never_another_engine(
    checkpoint: Path, choice: EngineChoice, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        choice.load(Checkpoint.open(checkpoint))
    assert caught.value.exit_code == 2
    assert caught.value.hint or choice.threads == 0


def test_a_choice_travels_to_another_process() -> None:
    choice = EngineChoice("openvino", "cpu", Precision.BF16, 2)
    assert pickle.loads(pickle.dumps(choice)) == choice  # noqa: S301


def test_the_graph_engines_never_import_torch(checkpoint: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from lerobot_inference.checkpoint import Checkpoint\n"
        "from lerobot_inference.engine import EngineChoice\n"
        "for name in ('openvino', 'onnxruntime'):\n"
        "    EngineChoice(name).load(Checkpoint.open(Path(sys.argv[1]))).warm_up()\n"
        "assert not {'torch', 'lerobot'} & set(sys.modules), 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code, str(checkpoint)], check=True)


def test_a_policy_with_an_environment_state_needs_one(checkpoint_factory: Callable[..., Path]) -> None:
    engine = EngineChoice().load(Checkpoint.open(checkpoint_factory(environment_dim=3)))
    images, states = observations(1)
    with pytest.raises(EngineError, match=r"environment state has shape None, expected \(1, 3\)"):
        engine.predict({COLOR: images}, states)
    assert engine.warm_up() > 0


def test_a_tensorrt_engine_is_kept_for_these_weights_this_version_and_this_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = {"model.safetensors": "a" * 64, "config.json": "b" * 64}
    others = [
        (Precision.F32, files | {"model.safetensors": "c" * 64}, "1.32.0"),
        (Precision.F32, files, "1.33.0"),
        (Precision.BF16, files, "1.32.0"),
    ]
    kept = provider_settings("tensorrt", Precision.F32, files, "1.32.0")
    again = provider_settings("tensorrt", Precision.F32, dict(reversed(files.items())), "1.32.0")
    folders = {provider_settings("tensorrt", *other)["trt_engine_cache_path"] for other in others}
    assert again == kept
    assert len(folders | {kept["trt_engine_cache_path"]}) == 4
    assert all(Path(folder).is_relative_to(tmp_path) and Path(folder).is_dir() for folder in folders)
    assert (kept["trt_bf16_enable"], kept["trt_int8_enable"]) == ("0", "0")


def test_cuda_computes_f32_as_f32() -> None:
    assert provider_settings("cuda", Precision.F32, {}, "1.32.0") == {"use_tf32": "0"}


def test_without_a_gpu_a_build_for_gpus_has_the_cpu_alone(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = [*PROVIDERS.values()]  # what the wheel onnxruntime-gpu says anywhere
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: built)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # where there is a GPU, its driver finds none then
    assert available_devices() == ["cpu"]
    for device in ("cuda", "tensorrt"):
        with pytest.raises(UsageError, match=f"device '{device}' was asked for and is not available here"):
            EngineChoice("onnxruntime", device).load(Checkpoint.open(checkpoint))


def test_a_cache_that_can_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="a file is where a folder should be"):
        provider_settings("tensorrt", Precision.F32, {}, "1.32.0")
