"""`lerobot-inference export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lerobot_inference.checkpoint import Bundle, Checkpoint
from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.cli.plan_options import ActionModeChoice
from lerobot_inference.dataset import Dataset
from lerobot_inference.export import ExportOptions
from lerobot_inference.export import export as export_bundle
from lerobot_inference.export.overlap import in_words
from lerobot_inference.types import ActionMode, Precision

MEGABYTE = 1e6


class BundleEngine(StrEnum):
    """The engines that run a bundle; `auto` takes the fastest that is installed."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"


def export(
    policy: Annotated[Path, typer.Option(help="Folder of the lerobot ACT checkpoint.")],
    dataset: Annotated[Path, typer.Option(help="Folder of a LeRobot v3 dataset that fits it.")],
    output: Annotated[Path, typer.Option(help="Folder for the bundle.")] = Path("bundle"),
    verify: Annotated[bool, typer.Option("--verify", help="Compare with lerobot's own engine.")] = False,
    engine: Annotated[BundleEngine, typer.Option(help="What it is measured with.")] = BundleEngine.AUTO,
    precision: Annotated[Precision, typer.Option(help="The network's arithmetic.")] = Precision.F32,
    force: Annotated[Precision | None, typer.Option(help="The precision whose loss you accept.")] = None,
    action_mode: Annotated[ActionModeChoice, typer.Option(help="What an action means.")] = ActionModeChoice.AUTO,
    inverted_joints: Annotated[
        str | None, typer.Option(help="Joints that the robot itself counts the other way, such as joint_1,joint_2.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Results folder that `evaluate` wrote.")] = None,
    registration: Annotated[Path | None, typer.Option(help="Folder that `register` wrote.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print manifest.json.")] = False,
) -> None:
    """Write a policy as a bundle: what a robot without torch runs, sealed, with what it needs and how exact it is."""
    options = ExportOptions(
        engine=engine.value,
        precision=precision,
        verify=verify,
        force=force,
        action_mode=None if action_mode is ActionModeChoice.AUTO else ActionMode(action_mode.value),
        inverted_joints=tuple(inverted_joints.split(",")) if inverted_joints else (),
        results=results,
        registration=registration,
    )
    with progress_display() as progress:
        bundle = export_bundle(Checkpoint.open(policy), Dataset.open(dataset), output, options, progress)
    if json:
        print_json(bundle.manifest)
        return
    console.print(files_table(bundle))
    for line in measurements(bundle):
        console.print(line, soft_wrap=True)
    console.print(f"bundle: {output}", soft_wrap=True)


def files_table(bundle: Bundle) -> Table:
    """Each file with its size and the beginning of its sha256."""
    manifest = bundle.manifest
    table = Table(title=f"Bundle, {manifest.precision}, measured with {manifest.engine}", title_justify="left")
    table.add_column("file")
    table.add_column("MB", justify="right")
    table.add_column("sha256")
    for name, file in manifest.files.items():
        table.add_row(name, f"{file.size / MEGABYTE:.3f}", file.sha256[:12])
    return table


def measurements(bundle: Bundle) -> list[str]:
    """How exact the bundle is and by what its chunks may differ, one line a measurement, or why it wasn't measured."""
    parity, accuracy, reasons = bundle.manifest.parity, bundle.manifest.accuracy, bundle.manifest.reasons
    lines = [f"parity: {reasons.get('parity')}"]
    if parity:
        lines = [
            f"parity with {parity.reference} over {parity.frames} frames: at most {parity.max_abs:.2e} rad off, "
            f"{parity.max_abs_in_std:.1e} of an action's standard deviation; rmse {parity.rmse:.2e} rad, "
            f"cosine {parity.cosine:.9f}"
        ]
    if accuracy:
        lines.append(
            f"accuracy over {accuracy.frames} frames: MAE {1000 * accuracy.mae:.4f} mrad, in f32 "
            f"{1000 * accuracy.mae_f32:.4f}: {accuracy.change:+.2%}{', forced' if accuracy.forced else ''}"
        )
    return [*lines, in_words(bundle.contract)]
