"""docs/architecture.md says what the imports are."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = [line for line in PAGE.splitlines() if line.startswith("    ")]
PACKAGE = "lerobot_inference"


def stations() -> list[list[str]]:
    """What stands in one column of the picture, from left to right; several rows share a column."""
    columns: dict[int, list[str]] = {}
    for line in PICTURE:
        for found in re.finditer(r"[a-z]+(?:, [a-z]+)*", line):
            columns.setdefault(found.start(), []).extend(found[0].split(", "))
    return [list(dict.fromkeys(columns[start])) for start in sorted(columns)]


def parts() -> set[str]:
    """The folders and files of the package."""
    found = (path for path in (ROOT / "src" / PACKAGE).iterdir() if not path.stem.startswith("__"))
    return {path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").exists()}


@pytest.fixture(scope="module")
def imports() -> set[tuple[str, str]]:
    """(importer, imported) of every two parts of the package."""
    graph = grimp.build_graph(PACKAGE)

    def across() -> Iterator[tuple[str, str]]:
        for module in graph.modules:
            for imported in graph.find_modules_directly_imported_by(module):
                if module.count(".") and imported.count("."):
                    yield module.split(".")[1], imported.split(".")[1]

    return {(importer, imported) for importer, imported in across() if importer != imported}


def test_the_table_has_every_part_of_the_package_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert {Path(name).stem for row in rows for name in re.findall(r"`([\w./]+)`", row)} == parts()


def test_imports_go_from_the_right_of_the_picture_to_the_left(imports: set[tuple[str, str]]) -> None:
    rank = {name: place for place, names in enumerate(stations()) for name in names}
    assert rank.keys() <= parts()
    assert len(stations()) == 9
    beside = set(re.findall(r"`(\w+)` uses `(\w+)`", PAGE))
    between = {(one, other) for one, other in imports if one in rank and other in rank}
    assert {(one, other) for one, other in between if rank[one] < rank[other]} == set()
    assert {(one, other) for one, other in between if rank[one] == rank[other]} == beside


def test_the_picture_is_in_the_order_that_make_lint_holds_the_code_to() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    height = {name: -i for i, layer in enumerate(layers) for name in re.findall(rf"{PACKAGE}\.(\w+)", layer)}
    assert height.keys() == parts()
    for left, right in pairwise(stations()):
        assert max(height[name] for name in left) < min(height[name] for name in right), (left, right)
