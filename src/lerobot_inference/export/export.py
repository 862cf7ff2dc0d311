"""Write the bundle of a checkpoint: build the network, say what it needs, measure it, seal it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import save_file

from lerobot_inference.checkpoint import Bundle, BundleContract, BundleManifest, Checkpoint
from lerobot_inference.checkpoint.bundle import (
    CONTENT,
    CONTRACT_FILE,
    MANIFEST_FILE,
    README_FILE,
    STATISTICS_FILE,
    Accuracy,
    BundleFile,
    Parity,
)
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import UsageError, require
from lerobot_inference.evaluation.fit import check_fit, find_action_mode
from lerobot_inference.evaluation.provenance import installed_versions
from lerobot_inference.export.accuracy import Yardstick, measure_accuracy
from lerobot_inference.export.contract import make_contract
from lerobot_inference.export.history import read_evaluation, read_verdict
from lerobot_inference.export.int8 import quantize_graph
from lerobot_inference.export.overlap import calibrate
from lerobot_inference.export.parity import action_std, compare
from lerobot_inference.export.readme import readme
from lerobot_inference.files import atomic_folder, require_replaceable
from lerobot_inference.records import save_record
from lerobot_inference.sources import read_origin
from lerobot_inference.types import ACTION, ActionMode, Precision, Progress, silent

REFERENCE = "lerobot"
STAGES = 4
WHY_ABSENT = {
    "parity": "not asked for: exported without --verify",
    "accuracy": "f32 loses nothing",
    "evaluation": "exported without --results",
    "gate": "exported without --registration",
}

READABLE = 0o644  # some writers leave files to their owner alone; the robot's container runs as somebody else


@dataclass(frozen=True)
class ExportOptions:
    """How to export. engine, precision: what the bundle is measured with and meant for, on the CPU.

    verify: compare with lerobot's own engine, which must be installed. force: the precision whose loss of accuracy is
    accepted. action_mode: None infers it. inverted_joints: see `make_contract`. results, registration: folders that
    `evaluate` and `register` wrote.
    """

    engine: str = "auto"
    precision: Precision = Precision.F32
    verify: bool = False
    force: Precision | None = None
    action_mode: ActionMode | None = None
    inverted_joints: tuple[str, ...] = ()
    results: Path | None = None
    registration: Path | None = None


def export(
    checkpoint: Checkpoint,
    dataset: Dataset,
    output: Path,
    options: ExportOptions,
    progress: Progress = silent,
) -> Bundle:
    """Write the bundle `output`, whole or not at all.

    Raises UsageError for options that don't fit, ConfigError for results or a registration of another policy,
    CheckpointError when the network can't be built, DatasetError when policy and dataset don't fit, EngineError when
    the network isn't exact or a lower precision loses too much, StorageError.
    """
    _check(options, output)
    check_fit(checkpoint, dataset)
    mode = options.action_mode or find_action_mode(dataset, list(dataset.episode_indices))
    contract = make_contract(checkpoint.spec, dataset, mode, options.inverted_joints)
    evaluation = read_evaluation(options.results, checkpoint) if options.results else None
    gate = read_verdict(options.registration, checkpoint) if options.registration else None
    yardstick = Yardstick.over(dataset, mode)
    with atomic_folder(output) as folder:
        progress("export", 0, STAGES)
        opset = _write_graph(checkpoint, yardstick, options.precision, folder, progress)
        _write(checkpoint, dataset, contract, options, opset, folder)
        progress("export", 1, STAGES)
        # What is measured is what was written, opened as the robot will open it.
        engine = EngineChoice(options.engine).load(Bundle.open(folder))
        engine.warm_up()
        contract = contract.model_copy(update={"guard_thresholds": calibrate(engine, dataset, progress)})
        manifest = _write(checkpoint, dataset, contract, options, opset, folder)  # once more, now with the thresholds
        progress("export", 2, STAGES)
        parity = _measure_parity(engine, checkpoint, dataset, progress) if options.verify else None
        progress("export", 3, STAGES)
        accuracy = _measure_accuracy(engine, checkpoint, yardstick, options, progress)
        found = {"parity": parity, "accuracy": accuracy, "evaluation": evaluation, "gate": gate}
        reasons = {name: why for name, why in WHY_ABSENT.items() if found[name] is None}
        manifest.model_copy(update={"engine": engine.name, "reasons": reasons} | found).save(folder)
        progress("export", STAGES, STAGES)
    return Bundle.open(output)


def _check(options: ExportOptions, output: Path) -> None:
    if options.force not in (None, options.precision) or options.force is Precision.F32:
        raise UsageError(
            f"--force {options.force} doesn't name the precision of the export, {options.precision}",
            hint="force the very precision whose loss you accept; f32 loses nothing and can't be forced",
        )
    require_replaceable(output, "bundle", MANIFEST_FILE, CONTRACT_FILE)


def _write(
    checkpoint: Checkpoint, dataset: Dataset, contract: BundleContract, options: ExportOptions, opset: int, folder: Path
) -> BundleManifest:
    """Write every file but the graph's, and a manifest that has all but the measurements."""
    policy, policy_revision = read_origin(checkpoint.folder)
    data, dataset_revision = read_origin(dataset.root)
    _write_statistics(checkpoint, folder / STATISTICS_FILE)
    save_record(contract, folder / CONTRACT_FILE)
    text = readme(contract, policy, policy_revision, options.precision)
    (folder / README_FILE).write_text(text, encoding="utf-8")
    for name in CONTENT:
        (folder / name).chmod(READABLE)
    manifest = BundleManifest(
        policy_source=policy,
        policy_revision=policy_revision,
        policy_files=checkpoint.file_hashes,
        dataset_source=data,
        dataset_revision=dataset_revision,
        files={name: BundleFile.of(folder / name) for name in CONTENT},
        engine=options.engine,
        precision=options.precision,
        opset=opset,
        versions=installed_versions(),
    )
    manifest.save(folder)
    return manifest


def _write_graph(
    checkpoint: Checkpoint, yardstick: Yardstick, precision: Precision, folder: Path, progress: Progress
) -> int:
    """Write the network and return its opset."""
    onnx = require("onnx", "onnxruntime")
    from lerobot_inference.engine.graph import write_graph

    path = write_graph(checkpoint, folder)
    if precision is Precision.INT8:
        quantize_graph(path, checkpoint.spec, yardstick, progress)
    graph = onnx.load(path, load_external_data=False)
    opset: int = next(opset.version for opset in graph.opset_import if not opset.domain)
    return opset


def _write_statistics(checkpoint: Checkpoint, path: Path) -> None:
    """`<feature>.<statistic>` tensors under lerobot's names, and as metadata how each feature is scaled by them."""
    scalings = {**checkpoint.normalization.inputs, ACTION: checkpoint.normalization.action}
    tensors = {f"{name}.{key}": values for name, s in scalings.items() for key, values in s.statistics.items()}
    # One key, since safetensors writes several in an order that changes from run to run.
    modes = {name: {"mode": scaling.mode, "eps": scaling.eps} for name, scaling in scalings.items()}
    save_file(tensors, path, metadata={"normalization": json.dumps(modes)})


def _measure_parity(engine: Engine, checkpoint: Checkpoint, dataset: Dataset, progress: Progress) -> Parity:
    """Compare with lerobot's own engine. Raises EngineError when f32 isn't exact."""
    reference = EngineChoice(REFERENCE).load(checkpoint)
    comparison = compare(engine, reference, dataset, action_std(checkpoint, dataset), progress=progress)
    if engine.precision is Precision.F32:
        comparison.require_exact()
    return comparison.record(reference.name)


def _measure_accuracy(
    engine: Engine, checkpoint: Checkpoint, yardstick: Yardstick, options: ExportOptions, progress: Progress
) -> Accuracy | None:
    """What a lower precision costs; None for f32. Raises EngineError when it is too much."""
    if engine.precision is Precision.F32:
        return None
    exact = EngineChoice(engine.name, precision=Precision.F32).load(checkpoint)
    return measure_accuracy(engine, exact, yardstick, force=options.force is not None, progress=progress)
