"""docs/reference/api.md lists what a program from outside may import."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Module -> names."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    from generator import api

    return api.public()


def test_every_public_name_is_there_and_says_what_it_is(public: dict[str, list[str]]) -> None:
    from generator.api import said

    for module, names in public.items():
        assert import_module(module).__doc__
        assert [name for name in names if not said(module, name)] == [], module


def test_the_examples_import_nothing_that_is_not_public(public: dict[str, list[str]]) -> None:
    imported = {
        (node.module, alias.name)
        for path in (ROOT / "examples").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lerobot_inference")
        for alias in node.names
    }
    assert len(imported) > 10
    assert {(module, name) for module, name in imported if name not in public.get(module, [])} == set()
