"""Node and simulated cell, hardened, each in its own container; they share memory and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from docker import DockerClient
from docker.models.containers import Container
from safetensors.numpy import load_file, save_file

from lerobot_inference.jobs.environment import Environment
from lerobot_inference.sim.cell import CONTROL_HZ, Cell
from lerobot_inference.sim.scene import sample_scene, scene_rng
from lerobot_inference.types import ImageShape

EDGE = Path(__file__).parents[2] / "edge"
IMAGE = Environment.read(EDGE / "environment.yaml").image
SIM_IMAGE = Environment.read(EDGE / "sim" / "environment.yaml").image
SIZE = ImageShape(96, 160)
TOOL_SPEED = 0.08
"""m/s: slow enough for the tip to be near the ball for the half second that counts."""
ENTRYPOINT = "/ros_entrypoint.sh"
HARDENING: dict[str, Any] = {
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": "1g",
    "pids_limit": 128,
    "network_mode": "none",
}
SHARED_MEMORY = "/opt/lerobot-inference/fastdds-shared-memory.xml"
VARIABLES = {"FASTRTPS_DEFAULT_PROFILES_FILE": SHARED_MEMORY, "FASTDDS_DEFAULT_PROFILES_FILE": SHARED_MEMORY}


def teach(policy: Path) -> Path:
    """Let every action of an untrained checkpoint be the same small step, straight to the ball of the cell's scene."""
    with_cell = Cell(SIZE)
    scene = sample_scene(scene_rng("rollout", 0, 0))
    with_cell.reset(scene)
    start, tip = with_cell.joint_positions().astype(np.float64), with_cell.tip_position()
    way = with_cell.solve(scene.goal) - start
    step = way / (np.linalg.norm(scene.goal - tip) / TOOL_SPEED * CONTROL_HZ)
    with_cell.close()
    (file,) = policy.glob("policy_postprocessor_step_*.safetensors")
    said = {name: values.copy() for name, values in load_file(file).items()}
    said["action.mean"], said["action.std"] = step.astype(np.float32), np.zeros(6, np.float32)
    save_file(said, file)
    return readable(policy)


def readable(folder: Path) -> Path:
    """By everybody, the user of the images among them."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def mounted(**folders: Path) -> dict[str, dict[str, str]]:
    """/NAME -> the folder, read-only."""
    return {str(path): {"bind": f"/{name}", "mode": "ro"} for name, path in folders.items()}


@contextmanager
def running(engine: DockerClient, image: str, arguments: list[str], **options: Any) -> Iterator[Container]:
    """A hardened container that is gone after the block."""
    # The image's own check, asked every second: a test waits for its answer.
    chosen = HARDENING | {"environment": VARIABLES, "healthcheck": {"interval": 10**9}} | options
    container = engine.containers.run(image, arguments, detach=True, **chosen)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def parameters(**given: object) -> list[str]:
    return ["--ros-args", *(word for name, value in given.items() for word in ("-p", f"{name}:={value}"))]


@dataclass
class CellContainer:
    """The simulated cell, and who listens there."""

    container: Container

    def node(self, engine: DockerClient, folder: Path, *arguments: str) -> Any:
        """The node beside it, with the policy and the guards in a folder."""
        return running(
            engine,
            IMAGE,
            [*parameters(policy_repo="/given/policy", guards="/given/guards.yaml", enable_control="false"), *arguments],
            ipc_mode=f"container:{self.container.id}",
            volumes=mounted(given=folder),
        )

    def hear(self, scenario: str) -> Iterator[dict[str, Any]]:
        """What edge_wire.py prints. An AssertionError where it ends without."""
        api = self.container.client.api
        call = [ENTRYPOINT, "python3", "/kit/edge_wire.py", scenario]
        running_call = api.exec_create(self.container.id, call)["Id"]
        said = text = ""
        for piece in api.exec_start(running_call, stream=True):
            *lines, text = (text + piece.decode()).split("\n")
            said += "".join(lines)
            yield from (json.loads(line) for line in lines if line.startswith("{"))
        code = api.exec_inspect(running_call)["ExitCode"]
        assert code == 0, said + text

    def heard(self, scenario: str) -> dict[str, Any]:
        """The last it prints."""
        return list(self.hear(scenario))[-1]


def ended(container: Container) -> tuple[int, str]:
    """Exit code and log of a container that ends by itself."""
    return container.wait(timeout=120)["StatusCode"], container.logs().decode()


def health(container: Container, wanted: str, patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while (found := container.client.api.inspect_container(container.id)["State"]["Health"])["Status"] != wanted:
        assert time.monotonic() < deadline, f"{found} {container.logs().decode()}"
        time.sleep(0.5)


def hear(container: Container, wanted: str, patience_s: float = 60.0) -> None:
    """Wait for words in a container's log."""
    deadline = time.monotonic() + patience_s
    while wanted not in (log := container.logs().decode()):
        assert time.monotonic() < deadline, log
        time.sleep(0.5)
