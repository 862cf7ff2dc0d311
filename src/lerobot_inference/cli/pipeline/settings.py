"""The option `--set`, which every subcommand that reads a pipeline file has."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from lerobot_inference.errors import UsageError

SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="inputs.NAME=VALUE", help="Set an input, or jobs.STEP.inputs.NAME; empty unsets it."),
]


def parse_settings(settings: list[str] | None) -> dict[str, str]:
    """`inputs.x=text` as inputs.x -> text. Azure's own command line says `inputs.x.path` for data; so may a person."""
    parsed = {}
    for setting in settings or []:
        key, equals, text = setting.partition("=")
        if not equals or not re.fullmatch(r"(jobs\.\w+\.)?inputs\.\w+(\.path)?", key):
            raise UsageError(f"--set {setting}: expected inputs.NAME=VALUE or jobs.STEP.inputs.NAME=VALUE")
        parsed[key.removesuffix(".path")] = text
    return parsed
