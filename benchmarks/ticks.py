"""How evenly a node's commands come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerobot_inference.types import TimeArray


@dataclass(frozen=True)
class Ticks:
    """Seconds between one command and the next, of all rounds; period_s: as asked for."""

    period_s: float
    between_s: TimeArray

    @property
    def missed(self) -> int:
        """Ticks at which no command was published."""
        return int(np.maximum(0, np.round(self.between_s / self.period_s) - 1).sum())

    @property
    def due(self) -> int:
        """Ticks there should have been."""
        return len(self.between_s) + self.missed

    def jitter_ms(self, percent: float) -> float:
        """By how much the time between two commands is off one period."""
        return float(np.percentile(1000 * np.abs(self.between_s - self.period_s), percent))

    @property
    def longest_ms(self) -> float:
        """The longest time without a command."""
        return float(1000 * self.between_s.max())
