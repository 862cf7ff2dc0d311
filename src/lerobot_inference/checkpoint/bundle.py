"""A bundle: a policy as the edge runs it, in one folder that is verified before anything of it is loaded.

manifest.json             BundleManifest
contract.json             BundleContract
policy.onnx               the network with its normalisation: images and state in, chunk in radians out
statistics.safetensors    the checkpoint's normalisation statistics
README.md                 what it is and how to run it
manifest.json.sig         who wrote it, where they said so: see signature.py
download.json             where it was fetched from, where it was: see sources/manifest.py
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from lerobot_inference.checkpoint.access import access_errors
from lerobot_inference.errors import CheckpointError
from lerobot_inference.files import atomic_write, sha256_file
from lerobot_inference.records import Figure, Record, first_problem
from lerobot_inference.sources import MANIFEST_FILE as DOWNLOAD_FILE
from lerobot_inference.types import ActionMode, ImageShape, PolicySpec, Precision

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.json.sig"
CONTRACT_FILE = "contract.json"
GRAPH_FILE = "policy.onnx"
WEIGHTS_FILE = "policy.weights"
STATISTICS_FILE = "statistics.safetensors"
README_FILE = "README.md"
CONTENT = (CONTRACT_FILE, GRAPH_FILE, WEIGHTS_FILE, STATISTICS_FILE, README_FILE)

UNSEALED = "0" * 64
COPY_AGAIN = "copy the bundle again, or write it again with: lerobot-inference export"

# No separators, so that no name leads out of the folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BundleFile(Record):
    """One file's bytes."""

    size: NonNegativeInt
    sha256: Sha256

    @classmethod
    def of(cls, path: Path) -> BundleFile:
        """The file as it is now."""
        return cls(size=path.stat().st_size, sha256=sha256_file(path))

    def __str__(self) -> str:
        return f"{self.size} bytes with sha256 {self.sha256[:12]}…"


class Parity(Record):
    """How far the bundle's chunks are from those of `reference` (an engine) on recorded frames.

    Radians; over all frames, chunk steps and joints, and per joint. max_abs_in_std: the largest error over the
    joint's own action_std. cosine: of all predicted values as one vector.
    """

    reference: str
    frames: PositiveInt
    max_abs: Figure
    rmse: Figure
    cosine: Figure
    max_abs_in_std: Figure
    action_std: list[Figure]
    per_joint_max_abs: list[Figure]
    per_joint_rmse: list[Figure]
    per_joint_cosine: list[Figure]


class Accuracy(Record):
    """What a lower precision costs: mean absolute error against the recorded actions, from every measured frame.

    Radians. change: mae / mae_f32 - 1; limit: the largest magnitude of it that needs no force.
    """

    frames: PositiveInt
    mae_f32: Figure
    mae: Figure
    change: Figure
    limit: Figure
    forced: bool


class EvaluationSummary(Record):
    """The evaluation of the checkpoint that the bundle was made from. sha256: of its eval_results.json."""

    job_name: str
    episodes: int
    mse: Figure
    mae: Figure
    skill: Figure | None
    sha256: Sha256


class GateSummary(Record):
    """What the gate said of the checkpoint, and as what it was registered."""

    verdict: Literal["promote", "keep", "reject"]
    reason: str
    model_name: str
    version: str


class BundleManifest(Record):
    """manifest.json.

    manifest_sha256: of this very file, with zeros in place of these 64 digits. files: every other file of the bundle.
    policy_files: name -> sha256 of the checkpoint's files that it was made from. engine: what loaded the graph and
    made the figures; any engine for ONNX at this precision may run it. reasons: field that is null -> why.
    """

    schema_version: Literal[1] = 1
    manifest_sha256: Sha256 = UNSEALED
    policy_source: str
    policy_revision: str | None
    policy_files: dict[str, Sha256]
    dataset_source: str
    dataset_revision: str | None
    files: dict[FileName, BundleFile]
    engine: str
    precision: Precision
    opset: PositiveInt
    versions: dict[str, str]
    parity: Parity | None = None
    accuracy: Accuracy | None = None
    evaluation: EvaluationSummary | None = None
    gate: GateSummary | None = None
    reasons: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> BundleManifest:
        if missing := [name for name in CONTENT if name not in self.files]:
            raise ValueError(f"files lacks {missing[0]}")
        if MANIFEST_FILE in self.files:
            raise ValueError(f"files lists {MANIFEST_FILE} itself")
        return self

    def save(self, folder: Path) -> None:
        """Write manifest.json, sealed. Raises StorageError."""
        unsealed = self.model_copy(update={"manifest_sha256": UNSEALED})
        text = f"{unsealed.model_dump_json(indent=2)}\n"
        seal = hashlib.sha256(text.encode()).hexdigest()
        with atomic_write(folder / MANIFEST_FILE) as temporary:
            temporary.write_text(text.replace(UNSEALED, seal, 1), encoding="utf-8")


class CameraContract(Record):
    """What one camera must deliver."""

    height: PositiveInt
    width: PositiveInt
    encoding: Literal["rgb8"] = "rgb8"


class StateEnvelope(Record):
    """The joint states that were recorded, radians, one figure a joint."""

    min: list[Figure]
    max: list[Figure]
    mean: list[Figure]
    std: list[Figure]


class GuardThresholds(Record):
    """Limits of guards that were calibrated on recorded episodes; a guards file may say otherwise.

    chunk_overlap: radians, as the guard's `by_stride`. episodes: which were looked at. frames: how many of theirs.
    """

    chunk_overlap: Annotated[list[Figure], Field(min_length=1)]
    episodes: list[int]
    frames: PositiveInt


class BundleContract(Record):
    """contract.json: what robot and camera must be like for the policy to be itself.

    joint_names: in training order. signs: robot's own joint angle = sign * the policy's. cameras: feature name ->
    picture. fps: control steps a second. The dimensions and temporal_ensemble_coeff are those of PolicySpec.
    guard_thresholds: null where no two chunks overlap, and in a bundle of schema version 1, which knew none.
    """

    schema_version: Literal[1, 2] = 2
    joint_names: list[str]
    signs: list[Literal[-1, 1]]
    action_mode: ActionMode
    cameras: dict[str, CameraContract]
    fps: Annotated[Figure, Field(gt=0)]
    state_dim: PositiveInt
    environment_dim: NonNegativeInt
    action_dim: PositiveInt
    chunk_size: PositiveInt
    n_action_steps: PositiveInt
    temporal_ensemble_coeff: Figure | None
    state_envelope: StateEnvelope
    guard_thresholds: GuardThresholds | None = None

    @model_validator(mode="after")
    def _sizes_agree(self) -> BundleContract:
        envelope = self.state_envelope
        sizes = {"joint_names": (len(self.joint_names), self.action_dim), "signs": (len(self.signs), self.action_dim)}
        for name in StateEnvelope.model_fields:
            sizes[f"state_envelope.{name}"] = (len(getattr(envelope, name)), self.state_dim)
        for name, (found, expected) in sizes.items():
            if found != expected:
                raise ValueError(f"{name} has {found} entries, expected {expected}")
        return self


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte is the one that was exported."""

    folder: Path
    manifest: BundleManifest
    contract: BundleContract

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Verify every file and read manifest and contract; the network is left alone.

        Raises CheckpointError naming the file, what was found and what was expected.
        """
        with access_errors(folder):
            manifest = _read(folder / MANIFEST_FILE, BundleManifest)
            _check_seal(folder / MANIFEST_FILE, manifest.manifest_sha256)
            _verify_files(folder, manifest)
            return cls(folder, manifest, _read(folder / CONTRACT_FILE, BundleContract))

    @property
    def spec(self) -> PolicySpec:
        """What the policy takes and gives."""
        contract = self.contract
        return PolicySpec(
            state_dim=contract.state_dim,
            action_dim=contract.action_dim,
            cameras={name: ImageShape(camera.height, camera.width) for name, camera in contract.cameras.items()},
            chunk_size=contract.chunk_size,
            n_action_steps=contract.n_action_steps,
            temporal_ensemble_coeff=contract.temporal_ensemble_coeff,
            environment_dim=contract.environment_dim,
        )

    @property
    def graph(self) -> Path:
        """policy.onnx, which finds policy.weights beside it."""
        return self.folder / GRAPH_FILE

    @property
    def file_hashes(self) -> dict[str, str]:
        """File name -> sha256 of every file but the manifest."""
        return {name: file.sha256 for name, file in self.manifest.files.items()}


def _read[R: Record](path: Path, model: type[R]) -> R:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{path}: {error.strerror}", hint="a bundle is the folder that `lerobot-inference export` writes"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}", hint=COPY_AGAIN) from error
    # First of all, since a newer file may mean something else by every other field.
    version = content.get("schema_version") if isinstance(content, dict) else None
    newest = model.model_fields["schema_version"].default
    if isinstance(version, int) and version > newest:
        raise CheckpointError(
            f"{path}: schema_version is {version}, this program reads up to {newest}",
            hint="update lerobot-inference, or export the policy again with this version",
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_problem(error)}", hint=COPY_AGAIN) from error


def _check_seal(path: Path, seal: str) -> None:
    found = hashlib.sha256(path.read_bytes().replace(seal.encode(), UNSEALED.encode())).hexdigest()
    if found != seal:
        raise CheckpointError(
            f"{path}: was changed after the export: its sha256 is {found[:12]}…, it says {seal[:12]}…", hint=COPY_AGAIN
        )


def _verify_files(folder: Path, manifest: BundleManifest) -> None:
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path}: file not found, though {MANIFEST_FILE} lists it", hint=COPY_AGAIN)
        found = BundleFile.of(path)
        if found != expected:
            raise CheckpointError(
                f"{path}: was changed after the export: {found}, {MANIFEST_FILE} says {expected}", hint=COPY_AGAIN
            )
    known = {folder / name for name in (*manifest.files, MANIFEST_FILE, SIGNATURE_FILE, DOWNLOAD_FILE)}
    for path in sorted(folder.rglob("*")):
        if path not in known and (path.is_symlink() or not path.is_dir()):
            raise CheckpointError(
                f"{path}: not listed in {MANIFEST_FILE}", hint="remove it: a bundle holds nothing but what was exported"
            )
