"""How often the intervals of an evaluation hold the truth, by the number of episodes: what docs/evaluation.md says.

    .venv/bin/python benchmarks/intervals.py

Means of drawn figures, one an episode, whose truth is known. Beside it the plain percentiles that ours widen, and how
often an interval lies below the truth altogether: with normal figures so often a candidate is promoted without reason.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lerobot_inference.evaluation.statistics import LEVEL, bootstrap_weights, interval
from lerobot_inference.types import TimeArray

DRAWS = 4000
SIGMA = 0.75

type Draw = Callable[[np.random.Generator, int], TimeArray]


def main() -> None:
    """Print a row for each kind of figures and number of episodes, in per cent of DRAWS."""
    kinds: dict[str, tuple[Draw, float]] = {
        "normal": (lambda random, count: random.normal(size=count), 0.0),
        f"log-normal, sigma {SIGMA}": (
            lambda random, count: random.lognormal(0, SIGMA, count),
            float(np.exp(SIGMA**2 / 2)),
        ),
    }
    print(f"{'figures':<24}{'episodes':>9}{'holds':>8}{'below':>8}{'plain holds':>13}{'below':>8}")
    for name, (draw, truth) in kinds.items():
        for episodes in (5, 10, 20, 30):
            ours, plain = coverage(draw, truth, episodes)
            print(f"{name:<24}{episodes:>9}{ours[0]:>8.1f}{ours[1]:>8.1f}{plain[0]:>13.1f}{plain[1]:>8.1f}")


def coverage(draw: Draw, truth: float, episodes: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Per cent of intervals that hold the truth, and that lie below it: of ours, and of plain percentiles."""
    random, weights = np.random.default_rng(1), bootstrap_weights(episodes) / episodes
    ours, plain = [], []
    for _ in range(DRAWS):
        figures = weights @ draw(random, episodes)
        ours.append(interval(figures, episodes))
        plain.append(np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return _counted(np.array(ours), truth), _counted(np.array(plain), truth)


def _counted(ends: TimeArray, truth: float) -> tuple[float, float]:
    low, high = ends.T
    return float(100 * np.mean((low <= truth) & (truth <= high))), float(100 * np.mean(high < truth))


if __name__ == "__main__":
    main()
