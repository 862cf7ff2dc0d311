"""Images and state in, action chunk out. base.py is the protocol; one file per backend."""

from __future__ import annotations

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import UsageError

ENGINES = ("lerobot",)


def load_engine(name: str, checkpoint: Checkpoint, device: str) -> Engine:
    """Build the engine called `name` on `device` (cuda, cpu, mps).

    Raises UsageError when the engine is unknown, its extra isn't installed or the device is absent.
    """
    if name == "lerobot":
        from lerobot_inference.engine.lerobot import LerobotEngine

        return LerobotEngine(checkpoint, device)
    raise UsageError(f"engine {name!r} is unknown", hint=f"choose one of: {', '.join(ENGINES)}")
