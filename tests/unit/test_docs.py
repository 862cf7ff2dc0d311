"""docs/reference/ says what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_reference_is_up_to_date() -> None:
    pages = runpy.run_path(str(DOCS / "generate.py"))["reference"]()
    written = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").iterdir()}
    assert written == pages, "run `make docs` and commit the result"
