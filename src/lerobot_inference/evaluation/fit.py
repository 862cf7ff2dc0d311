"""Does this policy fit this dataset, and which of its episodes are to be scored?"""

from __future__ import annotations

import re

from lerobot_inference.checkpoint import Bundle, BundleContract, Policy
from lerobot_inference.dataset import Dataset, Episode, infer_action_mode
from lerobot_inference.errors import DatasetError, UsageError
from lerobot_inference.types import ACTION, ENVIRONMENT_STATE, STATE, ActionMode

EPISODES_TO_INFER_FROM = 5
OTHER_ROBOT = "policy and dataset are of different robots"
FIGURES_NEED = ((ACTION, "mean"), (ACTION, "min"), (ACTION, "max"), (ACTION, "std"), (STATE, "std"))


def check_fit(policy: Policy, dataset: Dataset) -> None:
    """Raise DatasetError, naming the feature and both sides, unless cameras, sizes and joint counts agree.

    For a bundle, unless the joints' names and the rate do, too. Also when the dataset lacks the statistics that figures
    are made with.
    """
    info, spec = dataset.root / "meta" / "info.json", policy.spec
    if spec.environment_dim:
        raise DatasetError(
            f'{info}: the policy needs "{ENVIRONMENT_STATE}" ({spec.environment_dim} values) beside the joint state, '
            "and recorded episodes are replayed with images and joint state alone",
            hint="evaluate a policy that was trained without it",
        )
    for name, shape in spec.cameras.items():
        if name not in dataset.cameras:
            raise DatasetError(
                f'{info}: no feature "{name}", which the policy sees through; '
                f"the dataset's cameras: {', '.join(dataset.cameras) or 'none'}",
                hint="evaluate on a dataset recorded with the cameras the policy was trained on",
            )
        if dataset.cameras[name] != shape:
            raise DatasetError(
                f'{info}: feature "{name}" is {dataset.cameras[name]}, the policy was trained on {shape}',
                hint=f"re-export the dataset at {shape}; a silent resize would change what the policy sees",
            )
    for what, found, expected in (
        ("observation.state", dataset.state_dim, spec.state_dim),
        ("action", dataset.action_dim, spec.action_dim),
    ):
        if found != expected:
            raise DatasetError(
                f'{info}: feature "{what}" has {found} values, the policy was trained on {expected}',
                hint=OTHER_ROBOT,
            )
    if isinstance(policy, Bundle):
        _check_contract(policy.contract, dataset)
    for feature, name in FIGURES_NEED:
        dataset.statistic(feature, name)


def _check_contract(contract: BundleContract, dataset: Dataset) -> None:
    for what, recorded, exported in (
        ("joints", ", ".join(dataset.joint_names), ", ".join(contract.joint_names)),
        ("frames a second", f"{dataset.fps:g}", f"{contract.fps:g}"),
    ):
        if recorded != exported:
            info = dataset.root / "meta" / "info.json"
            raise DatasetError(f"{info}: {what}: {recorded}; the bundle was exported for {exported}", hint=OTHER_ROBOT)


def select_episodes(wanted: str, available: tuple[int, ...]) -> list[int]:
    """Episode numbers from `all`, `10` (the first ten, or as many as there are), `3,5-8` or `4-4` (episode 4 alone).

    Raises UsageError for a text of another form, DatasetError for an episode that the dataset doesn't have.
    """
    text = wanted.replace(" ", "")
    if text == "all":
        return list(available)
    if re.fullmatch(r"\d+", text) and int(text) > 0:
        return list(available[: int(text)])
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*,?", text) or text == "0":
        raise UsageError(
            f"episodes {wanted!r} is not understood",
            hint="write all, a count such as 10, or numbers and ranges such as 3,5-8 (4-4 is episode 4 alone)",
        )
    chosen: list[int] = []
    for part in text.strip(",").split(","):
        first, _, last = part.partition("-")
        chosen.extend(range(int(first), int(last or first) + 1))
    missing = sorted(set(chosen) - set(available))
    if missing or not chosen:
        raise DatasetError(
            f"episode {missing[0] if missing else wanted} is not in the dataset",
            hint=f"it has episodes {available[0]} to {available[-1]}",
        )
    return sorted(set(chosen))


def choose_action_mode(
    policy: Policy, dataset: Dataset, episodes: list[int], asked: ActionMode | None = None
) -> ActionMode:
    """What is asked for, or else what `find_action_mode` finds.

    Raises as that does, and DatasetError when a bundle was exported for the other one.
    """
    mode = asked or find_action_mode(dataset, episodes)
    if isinstance(policy, Bundle) and policy.contract.action_mode is not mode:
        raise DatasetError(
            f"{dataset.root}: actions are {mode}, the bundle was exported for {policy.contract.action_mode} ones",
            hint="evaluate on recordings of the same convention; --action-mode is for recordings that fit neither",
        )
    return mode


def find_action_mode(dataset: Dataset, episodes: list[int]) -> ActionMode:
    """Infer the action mode from the first readable ones of `episodes`.

    Raises DatasetError when none can be read or the recordings fit neither mode.
    """
    recorded: list[Episode] = []
    unreadable: DatasetError | None = None
    for index in episodes:
        try:
            recorded.append(dataset.episode(index))
        except DatasetError as error:
            unreadable = error
        if len(recorded) == EPISODES_TO_INFER_FROM:
            break
    if not recorded:
        raise unreadable or DatasetError(f"{dataset.root}: no episodes to evaluate")
    return infer_action_mode(recorded).mode
