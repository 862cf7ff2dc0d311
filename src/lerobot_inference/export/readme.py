"""README.md of a bundle, for whoever finds the folder."""

from __future__ import annotations

from lerobot_inference.checkpoint import BundleContract
from lerobot_inference.export.overlap import in_words
from lerobot_inference.types import ACTION, ENVIRONMENT_STATE, STATE, ActionMode, Precision

MEANINGS = {ActionMode.DELTA: "steps to add to the last target", ActionMode.ABSOLUTE: "joint positions"}
TEXT = """\
# {name}

An ACT policy, exported by lerobot-inference as {precision} from {source}{revision}.

    lerobot-inference evaluate --policy <this folder> --dataset <a LeRobot v3 dataset> --device cpu

runs it; any ONNX runtime runs `policy.onnx` too. Normalisation is part of the graph.

| tensor | shape | what |
| --- | --- | --- |
{tensors}

- Joints, in order: {joints}
- Actions: {meaning}, {fps:g} a second; the first {n_action_steps} of a chunk are meant to be executed
- On the robot: {thresholds}

`contract.json` says what robot and cameras must be like. `manifest.json` says how near the graph is to the policy it
was made from, and the sha256 of every file: a folder in which a byte has changed is refused.
"""


def readme(contract: BundleContract, source: str, revision: str | None, precision: Precision) -> str:
    """What the bundle is and how to run it, as Markdown."""
    rows = [(STATE, f"(B, {contract.state_dim}) float32", "joint positions, radians")]
    if contract.environment_dim:
        rows.append((ENVIRONMENT_STATE, f"(B, {contract.environment_dim}) float32", "as in training"))
    rows += [
        (name, f"(B, {camera.height}, {camera.width}, 3) uint8", "RGB") for name, camera in contract.cameras.items()
    ]
    rows.append((ACTION, f"(B, {contract.chunk_size}, {contract.action_dim}) float32", "the output, radians"))
    return TEXT.format(
        name=source.rstrip("/").split("/")[-1],
        source=source,
        revision=f" at {revision}" if revision else "",
        precision=precision,
        tensors="\n".join(f"| `{name}` | {shape} | {what} |" for name, shape, what in rows),
        joints=", ".join(contract.joint_names),
        meaning=MEANINGS[contract.action_mode],
        fps=contract.fps,
        n_action_steps=contract.n_action_steps,
        thresholds=in_words(contract),
    )
