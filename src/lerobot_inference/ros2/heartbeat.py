"""A file that says that the control loop ticks, or the cell's camera: the images' health check reads its age."""

from __future__ import annotations

import os
from pathlib import Path

from lerobot_inference.files import storage_errors

HEARTBEAT_VARIABLE = "LEROBOT_INFERENCE_HEARTBEAT"


class Heartbeat:
    """The file that LEROBOT_INFERENCE_HEARTBEAT names, if it does; raises StorageError where it can't be written."""

    def __init__(self) -> None:
        named = os.environ.get(HEARTBEAT_VARIABLE)
        self._path = Path(named) if named else None
        self.beat()

    def beat(self) -> None:
        """Be of this moment."""
        if self._path:
            with storage_errors(self._path):
                self._path.touch()
