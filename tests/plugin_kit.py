"""Distributions as pip leaves them: modules beside a .dist-info that names their entry points."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def install(
    site: Path, name: str, entries: Mapping[str, Mapping[str, str]], modules: Mapping[str, str], version: str = "1.0"
) -> None:
    """Put a distribution into the folder `site`. entries: group -> name -> object. modules: name -> source."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in named.items())
        for group, named in entries.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)


def install_examples(site: Path) -> None:
    """What `uv pip install ./examples` does."""
    project = tomllib.loads((EXAMPLES / "pyproject.toml").read_text())
    files = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    modules = {Path(name).stem: (EXAMPLES / name).read_text() for name in files}
    install(
        site, project["project"]["name"], project["project"]["entry-points"], modules, project["project"]["version"]
    )
