"""Why a figure is null."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from lerobot_inference.evaluation.results import EvalResults

AS_DEPLOYED_ALONE = "a figure of the as-deployed protocol alone"
EVERY_FRAME_ALONE = "a figure of the every-frame protocol alone"

WHY = {
    "of_range": "no joint's recorded action has a range in the dataset's statistics",
    "of_std": "no joint's recorded action varies in the dataset's statistics",
    "per_joint_of_range": "null for a joint whose recorded action has no range in the dataset's statistics",
    "per_joint_of_std": "null for a joint whose recorded action doesn't vary in the dataset's statistics",
    "direction_cosine": "in no step do both the prediction and the recording move",
    "drift": "actions are absolute positions",
    "jerk_rms": "no stretch of steps is long enough for a third derivative",
    "spectral_arc_length": "nothing moves",
    "border_jump": "no chunk begins after an episode's first step",
    "interior_jump": "a new chunk begins at every step",
    "overlap_disagreement": "no two chunks say something about the same step",
    "skill": "the best baseline has no error to improve on",
    "per_joint_skill": "null for a joint in which the best baseline has no error to improve on",
    "intervals": "fewer than two episodes were scored",
    "interval": "fewer than two episodes were scored, or the undisturbed run has no error",
    "mse_ratio": "the undisturbed run has no error",
}
"""By the figure's name; its per_joint_ form has the same reason where it has none of its own."""

NOT_OF = {
    "as_deployed": dict.fromkeys(("overlap_disagreement", "horizon_mae"), EVERY_FRAME_ALONE),
    "every_frame": dict.fromkeys(
        ("episode_end", "spectral_arc_length", "border_jump", "interior_jump"), AS_DEPLOYED_ALONE
    ),
}
"""Protocol -> figure that it doesn't have -> why."""


def explain_nulls(results: EvalResults) -> dict[str, str]:
    """The path of each figure that is null, joined with dots -> why. A list with a null in it is one figure."""
    reasons = {}
    if "every_frame" not in results.protocols:
        reasons["protocols.every_frame"] = "not asked for"
    for part in ("protocols", "robustness"):
        for path in _nulls(getattr(results, part), part):
            reasons[path] = _why(path)
    for episode in results.per_episode:
        for path in _nulls(episode, f"per_episode.{episode.episode}"):
            reasons[path] = _why(path)
    for protocol, found in results.protocols.items():
        if "nearest_neighbour" not in found.baselines:
            reasons[f"protocols.{protocol}.baselines.nearest_neighbour"] = "the dataset has no other readable episode"
    return reasons


def _nulls(value: object, path: str) -> Iterator[str]:
    if value is None or (isinstance(value, list) and None in value):
        yield path
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _nulls(part, f"{path}.{key}")
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _nulls(getattr(value, name), f"{path}.{name}")


def _why(path: str) -> str:
    _, protocol, *_ = path.split(".")
    name = path.rsplit(".", 1)[1]
    known = WHY | NOT_OF.get(protocol, {})
    return known[name] if name in known else known[name.removeprefix("per_joint_")]
