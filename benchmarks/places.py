"""Where the repository is and where benchmarks keep what they made; imports nothing that only one environment has."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / ".cache/benchmarks"
