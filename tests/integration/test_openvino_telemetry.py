"""A robot tells nobody what it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine import EngineChoice
EngineChoice("openvino").load(Checkpoint.open(Path(sys.argv[1]))).warm_up()
assert sys.modules["openvino_telemetry"] is None
"""


def test_the_engine_loads_no_telemetry_and_leaves_nothing_in_the_home_folder(checkpoint: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", PROGRAM, str(checkpoint)], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
