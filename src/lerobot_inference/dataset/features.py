"""What `meta/info.json` says about each column: joint names and image sizes, in all the spellings that exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from lerobot_inference.types import ImageShape


class Feature(BaseModel):
    """One entry of info.json's `features`. names is a list, a dict or null; info describes a video."""

    dtype: str
    shape: tuple[int, ...]
    names: Any = None
    info: dict[str, Any] | None = None

    @property
    def is_camera(self) -> bool:
        """Whether it is a colour image (depth maps and other pictures of one channel are not)."""
        depth = any((self.info or {}).get(key) for key in ("is_depth_map", "video.is_depth_map"))
        return self.dtype in ("video", "image") and not depth and 1 not in self.shape


def joint_names(names: object, count: int) -> tuple[str, ...]:
    """Names in training order from `["a", "b"]`, `{"motors": ["a", "b"]}`, `{"0": "a"}`, `{"a": 0}` or null.

    Null gives joint_0, joint_1, ... Raises ValueError when they are not `count` different names.
    """
    found = tuple(f"joint_{j}" for j in range(count)) if names is None else _flatten(names)
    if len(found) != count or len(set(found)) != count or not all(isinstance(name, str) for name in found):
        raise ValueError(f"expected {count} different names, found {names!r}")
    return found


def is_reordered(names: object, joints: Sequence[str]) -> bool:
    """Whether `names`, in any of those spellings, are those of `joints` in another order."""
    found = _flatten(names)
    return found != tuple(joints) and sorted(map(str, found)) == sorted(joints)


def _flatten(names: object) -> tuple[Any, ...]:
    if isinstance(names, list):
        return tuple(names)
    if not isinstance(names, dict):
        return ()
    if all(isinstance(value, list) for value in names.values()):
        return tuple(name for group in names.values() for name in group)
    if all(isinstance(value, int) for value in names.values()):
        return tuple(sorted(names, key=lambda name: names[name]))
    if all(key.isdecimal() for key in names):
        return tuple(names[key] for key in sorted(names, key=int))
    return ()


def image_shape(shape: Sequence[int], names: object) -> ImageShape:
    """Height and width of an image feature, channels first or last, as its axis names say.

    Without names, the axis of length 3 at either end is taken for the channels. Raises ValueError when neither helps.
    """
    if len(shape) == 3:
        if isinstance(names, list) and {"height", "width"} <= set(names) and len(names) == 3:
            return ImageShape(shape[names.index("height")], shape[names.index("width")])
        if shape[2] == 3:
            return ImageShape(shape[0], shape[1])
        if shape[0] == 3:
            return ImageShape(shape[1], shape[2])
    raise ValueError(f"expected an image shape such as [480, 848, 3], found {list(shape)} with names {names!r}")
