"""What a robot must be like for a policy to be itself: the checkpoint says half of it, the dataset the rest."""

from __future__ import annotations

from collections.abc import Sequence

from lerobot_inference.checkpoint import BundleContract
from lerobot_inference.checkpoint.bundle import CameraContract, StateEnvelope
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import UsageError
from lerobot_inference.types import STATE, ActionMode, PolicySpec


def make_contract(
    spec: PolicySpec, dataset: Dataset, action_mode: ActionMode, inverted_joints: Sequence[str] = ()
) -> BundleContract:
    """The contract of a policy that fits `dataset`. inverted_joints: those that the robot itself counts the other way.

    Raises UsageError for a joint that the dataset doesn't have, DatasetError when its statistics of the state are
    incomplete.
    """
    unknown = [name for name in inverted_joints if name not in dataset.joint_names]
    if unknown:
        raise UsageError(
            f"there is no joint {unknown[0]!r} to invert", hint=f"the joints are: {', '.join(dataset.joint_names)}"
        )
    return BundleContract(
        joint_names=list(dataset.joint_names),
        signs=[-1 if name in inverted_joints else 1 for name in dataset.joint_names],
        action_mode=action_mode,
        cameras={name: CameraContract(height=shape.height, width=shape.width) for name, shape in spec.cameras.items()},
        fps=dataset.fps,
        state_dim=spec.state_dim,
        environment_dim=spec.environment_dim,
        action_dim=spec.action_dim,
        chunk_size=spec.chunk_size,
        n_action_steps=spec.n_action_steps,
        temporal_ensemble_coeff=spec.temporal_ensemble_coeff,
        state_envelope=StateEnvelope(
            **{name: dataset.statistic(STATE, name).tolist() for name in StateEnvelope.model_fields}
        ),
    )
