"""Parts that other installed distributions bring: named by their entry points, imported only when they are asked for.

A distribution declares them in its pyproject.toml; docs/how-to/extend.md shows one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lerobot_inference.errors import UsageError

PREFIX = "lerobot_inference."
ENGINE_GROUP = f"{PREFIX}engines"
GUARD_GROUPS = {kind: f"{PREFIX}guards.{kind}" for kind in ("watches", "starts", "chunk_checks", "idles", "limits")}
GROUPS = (ENGINE_GROUP, *GUARD_GROUPS.values())


@dataclass(frozen=True)
class Plugin:
    """One part, by its entry point. group: one of GROUPS."""

    point: EntryPoint

    @property
    def group(self) -> str:
        """What it is a part of."""
        return self.point.group

    @property
    def name(self) -> str:
        """What it is asked for by."""
        return self.point.name

    @property
    def distribution(self) -> str:
        """The name of what it was installed with."""
        return self.point.dist.name if self.point.dist else "an unknown distribution"

    def __str__(self) -> str:
        version = f" {self.point.dist.version}" if self.point.dist else ""
        return f"{self.distribution}{version}"

    @property
    def code(self) -> list[Path]:
        """Where its module, or the package around it, lies. Nothing is imported."""
        found = find_spec(self.point.module.partition(".")[0])
        if found is None or found.origin is None:
            return []
        return [Path(place) for place in found.submodule_search_locations or [found.origin]]

    def load(self) -> Any:  # noqa: ANN401 - whoever asks checks it
        """Import it. Raises UsageError, naming the distribution, whatever goes wrong in there."""
        try:
            return self.point.load()
        except Exception as error:
            raise self.refused(f"can't be imported: {type(error).__name__}: {error}") from error

    def refused(self, why: str) -> UsageError:
        """The error that says what is wrong with it."""
        return UsageError(
            f"{self}: {self.name} = {self.point.value} in {self.group} {why}",
            hint=f"see docs/how-to/extend.md, or uninstall it with: pip uninstall {self.distribution}",
        )


def plugins(groups: Collection[str], own: Collection[str]) -> dict[str, Plugin]:
    """Name -> what is installed for these `groups`. own: the names of our own parts, which nothing may replace.

    Raises UsageError, naming the distribution, for a name of our own, one that two bring, and a group that isn't there.
    """
    found: dict[str, Plugin] = {}
    for plugin in installed():
        if plugin.group not in groups:
            continue
        if plugin.name in own:
            raise plugin.refused("has the name of a part of lerobot-inference itself, which nothing replaces")
        if plugin.name in found:
            raise plugin.refused(f"has a name that {found[plugin.name]} brings too")
        found[plugin.name] = plugin
    return found


@cache
def installed() -> tuple[Plugin, ...]:
    """All that is installed, by name. Raises UsageError for a group that isn't there."""
    points = [point for point in entry_points() if point.group.startswith(PREFIX)]
    found = sorted(map(Plugin, points), key=lambda plugin: (plugin.name, str(plugin)))
    if unknown := [plugin for plugin in found if plugin.group not in GROUPS]:
        raise unknown[0].refused(f"is in no group of this version; there is {', '.join(GROUPS)}")
    return tuple(found)
