"""A bundle opens only where every byte is the one that was exported; what is wrong is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_kit import COLOR, CONTRACT, manifest_of, one_byte_changed, write_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lerobot_inference.checkpoint import Bundle, open_policy
from lerobot_inference.checkpoint.bundle import CONTENT, BundleFile, GuardThresholds
from lerobot_inference.control import UR10E, Guards
from lerobot_inference.control.guards.known import Origin, known_limits, origins
from lerobot_inference.errors import CheckpointError
from lerobot_inference.records import save_record
from lerobot_inference.types import ImageShape


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def refused(folder: Path, match: str) -> CheckpointError:
    with pytest.raises(CheckpointError, match=match) as caught:
        Bundle.open(folder)
    assert caught.value.exit_code == 3
    assert caught.value.hint
    return caught.value


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest as someone would who knows how it is sealed."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    zeros = "0" * 64
    text = json.dumps(content | {"manifest_sha256": zeros})
    path.write_text(text.replace(zeros, hashlib.sha256(text.encode()).hexdigest(), 1))


def test_a_bundle_says_what_the_policy_takes_and_gives(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    spec = opened.spec
    assert spec.cameras == {COLOR: ImageShape(48, 64)}
    assert (spec.state_dim, spec.action_dim, spec.environment_dim) == (2, 2, 0)
    assert (spec.chunk_size, spec.n_action_steps, spec.temporal_ensemble_coeff) == (8, 4, None)
    assert opened.graph == bundle / "policy.onnx"
    assert opened.contract == CONTRACT
    assert set(opened.file_hashes) == set(CONTENT)


def test_a_folder_with_a_manifest_is_opened_as_a_bundle_and_any_other_as_a_checkpoint(
    bundle: Path, tmp_path: Path
) -> None:
    assert isinstance(open_policy(bundle), Bundle)
    with pytest.raises(CheckpointError, match=r"config\.json: file not found"):
        open_policy(tmp_path)


def test_a_bundle_may_be_moved_and_carry_a_licence(bundle: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(bundle, tmp_path / "elsewhere")
    (moved / "LICENSE").write_text("MIT")
    (moved / "manifest.json").unlink()
    manifest_of(moved).save(moved)
    assert "LICENSE" in Bundle.open(moved).file_hashes


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_single_changed_byte_of_any_file_is_refused_and_the_file_is_named(
    bundle: Path, data: st.DataObject
) -> None:
    with one_byte_changed(bundle, data) as path:
        refused(bundle, path.name)


@pytest.mark.parametrize("name", CONTENT)
def test_a_shorter_or_missing_file_is_named(bundle: Path, name: str) -> None:
    path = bundle / name
    path.write_bytes(path.read_bytes()[:-1])
    refused(bundle, rf"{name}: was changed after the export: \d+ bytes with sha256 .*manifest\.json says \d+ bytes")
    path.unlink()
    refused(bundle, f"{name}: file not found")


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "openvino/policy.bin"])
def test_a_file_that_was_not_exported_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).touch()
    refused(bundle, f"{name}: not listed in manifest.json")


def test_a_link_to_a_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "more").symlink_to(tmp_path)
    refused(bundle, "more: not listed in manifest.json")


@pytest.mark.parametrize("name", ["../policy.onnx", "/etc/hostname", "deeper/policy.onnx", "..", ".", "", "a\nb"])
def test_a_manifest_that_names_a_file_outside_the_folder_is_refused(bundle: Path, name: str) -> None:
    reseal(bundle, lambda content: content["files"].update({name: content["files"]["policy.onnx"]}))
    refused(bundle, "manifest.json: files")


def test_a_manifest_that_forgets_the_network_is_refused(bundle: Path) -> None:
    reseal(bundle, lambda content: content["files"].pop("policy.onnx"))
    refused(bundle, r"manifest.json: .*files lacks policy\.onnx")


def test_a_newer_schema_is_refused_whatever_else_it_holds(bundle: Path) -> None:
    (bundle / "manifest.json").write_text('{"schema_version": 2, "layout": "unheard of"}')
    error = refused(bundle, r"manifest.json: schema_version is 2, this program reads up to 1")
    assert "update lerobot-inference" in str(error.hint)


def test_a_contract_of_a_newer_schema_is_refused(bundle: Path) -> None:
    (bundle / "contract.json").write_text('{"schema_version": 3}')
    reseal(
        bundle,
        lambda content: content["files"].update(
            {"contract.json": BundleFile.of(bundle / "contract.json").model_dump()}
        ),
    )
    refused(bundle, "contract.json: schema_version is 3, this program reads up to 2")


def test_a_bundle_from_before_guards_were_calibrated_opens_and_has_no_thresholds(bundle: Path) -> None:
    path = bundle / "contract.json"
    content = json.loads(path.read_text())
    assert content["schema_version"] == 2
    del content["guard_thresholds"]
    path.write_text(json.dumps(content | {"schema_version": 1}))
    reseal(bundle, lambda content: content["files"].update({"contract.json": BundleFile.of(path).model_dump()}))
    opened = Bundle.open(bundle)
    assert opened.contract.guard_thresholds is None
    known = known_limits(opened)
    assert origins(Guards.load(UR10E, known).settings, known) == {
        "start_pose": Origin.CONTRACT,
        "out_of_distribution": Origin.CONTRACT,
        "chunk_overlap": Origin.NOWHERE,
    }


def test_a_guard_has_its_limits_from_the_contract_unless_the_guards_file_says_otherwise(
    bundle: Path, tmp_path: Path
) -> None:
    path = bundle / "contract.json"
    thresholds = GuardThresholds(chunk_overlap=[0.01, 0.02], episodes=[0], frames=30)
    save_record(CONTRACT.model_copy(update={"guard_thresholds": thresholds}), path)
    reseal(bundle, lambda content: content["files"].update({"contract.json": BundleFile.of(path).model_dump()}))
    known = known_limits(Bundle.open(bundle))
    file = tmp_path / "guards.yaml"
    for entry, limits, origin in (
        ("{}", [0.01, 0.02], Origin.CONTRACT),
        ("{by_stride: [0.03]}", [0.03], Origin.GUARDS_FILE),
    ):
        file.write_text(f"guards: {{chunk_overlap: {entry}}}")
        guards = Guards.load(file, known)
        assert guards.settings["chunk_overlap"]["by_stride"] == limits
        assert origins(guards.settings, known) == {"chunk_overlap": origin}
    assert origins({}, known) == {}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "manifest.json: not readable as JSON"),
        (b"\xff\xfe", "manifest.json: not readable as JSON"),
        (b"[]", "manifest.json: Input should be"),
        (b'{"schema_version": 1}', "manifest.json: policy_source: Field required"),
    ],
)
def test_a_damaged_manifest_is_refused(bundle: Path, content: bytes, match: str) -> None:
    (bundle / "manifest.json").write_bytes(content)
    refused(bundle, match)


def test_a_folder_that_is_no_bundle_says_what_writes_one(tmp_path: Path) -> None:
    assert "lerobot-inference export" in str(refused(tmp_path, "manifest.json: No such file").hint)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joint_names": ["pan"]}, "joint_names has 1 entries, expected 2"),
        ({"signs": [1, -1, 1]}, "signs has 3 entries, expected 2"),
        ({"signs": [1, 0]}, "signs.1"),
        ({"state_dim": 3}, "state_envelope.min has 2 entries, expected 3"),
        ({"fps": 0}, "fps"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(bundle: Path, change: dict[str, Any], said: str) -> None:
    path = bundle / "contract.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    reseal(bundle, lambda content: content["files"].update({"contract.json": BundleFile.of(path).model_dump()}))
    refused(bundle, f"contract.json: .*{said}")
