"""Start the edge image's node as on a robot's PC, with a bundle of the size people deploy, and hear when it speaks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.export import ExportOptions, export
from lerobot_inference.jobs.containers import HARDENING
from lerobot_inference.sim.policy import write_full_size_policy
from lerobot_inference.sim.record import record

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

SHARED_MEMORY = "/opt/lerobot-inference/fastdds-shared-memory.xml"
OPTIONS: dict[str, Any] = HARDENING | {
    "network_mode": "none",
    "mem_limit": "4g",
    "environment": {
        "FASTRTPS_DEFAULT_PROFILES_FILE": SHARED_MEMORY,
        "FASTDDS_DEFAULT_PROFILES_FILE": SHARED_MEMORY,
    },
}
ROOM = {"ipc_mode": "shareable", "shm_size": "256m"}
PARAMETERS = {"policy_repo": "/policy", "enable_control": "false", "status_hz": 20.0}

# Says a word for each thing that it hears for the first time, and ends when it has heard enough of nothing.
LISTENER = """\
import json, rclpy, time
from std_msgs.msg import String
from lerobot_inference.ros2.act_inference_node import LATCHED, STATUS_TOPIC
rclpy.init()
node, said, end = rclpy.create_node("listener"), set(), time.monotonic() + 120
def say(word):
    if word not in said:
        said.add(word)
        print(word, flush=True)
def hear(status):
    say("status")
    if json.loads(status.data)["chunk"]:
        say("chunk")
node.create_subscription(String, STATUS_TOPIC, hear, LATCHED)
node.create_subscription(String, "/sim/report", lambda _: say("cell"), 10)
say("listening")
while time.monotonic() < end:
    rclpy.spin_once(node, timeout_sec=0.1)
"""


class NodeStart(NamedTuple):
    """The fastest of some starts, seconds from asking the engine for the container; peak_mb: of the node's memory.

    status_s: to its first status. chunk_s: to the first status that tells of a chunk, beside the simulated cell.
    """

    status_s: float
    chunk_s: float
    peak_mb: float


def measure(client: DockerClient, image: str, sim_image: str, starts: int) -> NodeStart:
    """Start it alone, then beside the cell. Raises DockerException, RuntimeError."""
    with bundle() as policy:
        alone = [start(client, image, policy, "status") for _ in range(starts)]
        with running(client, sim_image, [], **ROOM) as cell:
            beside = [start(client, image, policy, "chunk", cell) for _ in range(starts)]
    return NodeStart(min(alone)[0], min(beside)[0], max(peak for _, peak in alone + beside))


@contextmanager
def bundle() -> Iterator[Path]:
    """A bundle of 51.6 million parameters that the user of the image may read."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_full_size_policy(folder / "policy")
        record(folder / "dataset", episodes=1, seed=0)
        options = ExportOptions(engine="openvino")
        export(Checkpoint.open(folder / "policy"), Dataset.open(folder / "dataset"), folder / "bundle", options)
        yield folder / "bundle"


@contextmanager
def running(client: DockerClient, image: str, command: list[str], **options: Any) -> Iterator[Container]:  # noqa: ANN401
    """A hardened container that is gone after the block."""
    container = client.containers.run(image, command, detach=True, **OPTIONS | options)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def start(
    client: DockerClient, image: str, policy: Path, word: str, cell: Container | None = None
) -> tuple[float, float]:
    """Seconds from asking for the node to the listener's `word`, and the node's peak memory then, MB."""
    call = {"entrypoint": "/ros_entrypoint.sh", "command": ["python3", "-c", LISTENER]}
    shared = {"ipc_mode": f"container:{cell.id}"} if cell else ROOM
    with running(client, image, **call, **shared) as listener:
        words = listener.logs(stream=True)
        hear(words, "cell" if cell else "listening")
        given = [each for name, value in PARAMETERS.items() for each in ("-p", f"{name}:={value}")]
        options = {
            "ipc_mode": f"container:{(cell or listener).id}",
            "volumes": {str(policy): {"bind": "/policy", "mode": "ro"}},
        }
        begun = time.perf_counter()
        with running(client, image, ["--ros-args", *given], **options) as node:
            try:
                heard = hear(words, word)
            except RuntimeError as error:
                raise RuntimeError(f"{error}: {node.logs().decode()}") from error
            return heard - begun, peak_mb(node)


def hear(words: Iterator[bytes], wanted: str) -> float:
    """When the listener said it. Raises RuntimeError when it ended without."""
    for said in words:
        if wanted in said.decode().split():
            return time.perf_counter()
    raise RuntimeError(f"nothing was heard of: {wanted}")


def peak_mb(node: Container) -> float:
    """The most memory that a process in the container has held."""
    _, printed = node.exec_run(["sh", "-c", "cat /proc/[0-9]*/status"])
    return max(map(int, re.findall(r"VmHWM:\s+(\d+) kB", printed.decode()))) * 1024 / 10**6
