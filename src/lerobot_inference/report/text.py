"""Figures and names as they are printed on a plot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

MRAD_BELOW = 0.5
"""Radians; where everything is smaller, milliradians read better."""


@dataclass(frozen=True)
class Unit:
    """How an angle is shown. scale: shown units in one radian."""

    label: str
    scale: float

    def text(self, radians: float) -> str:
        """A figure with its unit, three significant digits."""
        return f"{significant(radians * self.scale)} {self.label}"


RAD, MRAD = Unit("rad", 1.0), Unit("mrad", 1000.0)


def angle_unit(radians: ArrayLike) -> Unit:
    """Milliradians for small angles, radians otherwise."""
    return MRAD if np.max(np.abs(radians), initial=0.0) < MRAD_BELOW else RAD


def significant(value: float) -> str:
    """Three significant digits; powers of ten only below 0.001 and from 10000: 0.0123, 1.23, 123, 1234."""
    size = abs(value)
    if size == 0:
        return "0"
    style = ".2e" if not 1e-3 <= size < 1e4 else ".0f" if size >= 99.95 else "#.3g"
    return format(value, style).replace("-", "\N{MINUS SIGN}")


def source_name(source: str) -> str:
    """What a policy or a dataset is called in a title: a folder's name without the way to it, else its source."""
    path = Path(source)
    return path.name if path.is_absolute() else source


def shortened(text: str, length: int) -> str:
    """`text`, its middle replaced by an ellipsis where it is longer than `length`."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"
