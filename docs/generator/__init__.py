"""The pages of docs/reference/, each made from the code: one file a page, and one line here."""

from __future__ import annotations

from generator import api, command_line, gate, guards, metrics, ros2, schemas

PAGES = {
    "api.md": api.page,
    "cli.md": command_line.page,
    "gate.md": gate.page,
    "guards.md": guards.page,
    "metrics.md": metrics.page,
    "ros2.md": ros2.page,
}


def reference() -> dict[str, str]:
    """File name -> content of every generated page. The same from whichever folder the checkout is in."""
    return {name: page() for name, page in PAGES.items()} | schemas.files()
