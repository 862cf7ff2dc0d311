"""docs/reference/ says what the code says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_reference_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    from generator import reference

    pages = reference()
    written = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").iterdir()}
    assert written == pages, "run `make docs` and commit the result"


def test_the_generated_reference_does_not_name_the_folder_of_the_checkout() -> None:
    for page in (DOCS / "reference").iterdir():
        found = page.read_text(encoding="utf-8")
        assert str(DOCS.parent) not in found, page
        assert str(Path(sys.prefix)) not in found, page
