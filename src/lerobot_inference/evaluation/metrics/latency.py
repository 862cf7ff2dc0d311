"""Wall times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lerobot_inference.evaluation.results import Latency


def latency(seconds: Sequence[float]) -> Latency:
    """Distribution of at least one wall time, in milliseconds. Percentiles interpolate linearly."""
    milliseconds = np.asarray(seconds, np.float64) * 1000
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return Latency(
        count=len(milliseconds),
        mean_ms=float(milliseconds.mean()),
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        max_ms=float(milliseconds.max()),
    )
