"""Options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.engine import DEVICES, ENGINES
from lerobot_inference.types import Precision

PolicyOption = Annotated[Path, typer.Option(help="Folder of the policy: a lerobot ACT checkpoint, or a bundle.")]
DatasetOption = Annotated[Path, typer.Option(help="Folder of the LeRobot v3 dataset.")]
EngineOption = Annotated[
    str,
    typer.Option(
        help=f"{', '.join(ENGINES)}, or one that another distribution brings; auto is the fastest exact one of ours."
    ),
]
DeviceOption = Annotated[str, typer.Option(help=f"{', '.join(DEVICES)}; an absent one is an error.")]
PrecisionOption = Annotated[
    Precision | None, typer.Option(help="The network's arithmetic; f32, or what the bundle was exported as.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="CPU threads of one forward pass; all cores up to 8 when not given.")
]
