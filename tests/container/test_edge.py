"""The edge image beside the simulated cell: two containers without a network, as hardened as on a robot's PC."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from bundle_kit import pem, sign
from docker import DockerClient
from docker.models.containers import Container
from edge_kit import (
    EDGE,
    ENTRYPOINT,
    HARDENING,
    IMAGE,
    SIM_IMAGE,
    SIZE,
    CellContainer,
    ended,
    health,
    hear,
    mounted,
    parameters,
    readable,
    running,
)
from hub_server import COMMIT, serve

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.checkpoint.signature import PUBLIC_KEY_VARIABLE
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import CheckpointError, UsageError
from lerobot_inference.export import ExportOptions, export

pytestmark = pytest.mark.container
KIT = Path(__file__).parent
PROBE = """
import importlib.metadata, json, os, pathlib, shutil, subprocess, numpy, rclpy, sensor_msgs.msg, openvino
status = dict(line.split(":", 1) for line in open("/proc/1/status") if ":" in line)
def writes(path):
    try:
        pathlib.Path(path, "written").touch()
    except OSError:
        return False
    return True
print(json.dumps({
    "user": status["Uid"].split()[0],
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "interfaces": os.listdir("/sys/class/net"),
    "writes": [path for path in ("/", "/etc", "/opt/lerobot-inference", "/models", "/given", "/tmp") if writes(path)],
    "raising": subprocess.run("find / -xdev -perm /6000 -type f", shell=True, capture_output=True, text=True).stdout,
    "compilers": [name for name in ("gcc", "g++", "cc", "c++", "clang", "ld", "as", "make") if shutil.which(name)],
    "numpy": numpy.__file__,
    "ours": sorted(os.listdir("/opt/lerobot-inference/python")),
}))
"""


@pytest.fixture(scope="module")
def cell(engine: DockerClient) -> Iterator[CellContainer]:
    options = {"ipc_mode": "shareable", "shm_size": "256m", "volumes": mounted(kit=KIT)}
    with running(engine, SIM_IMAGE, ["--image-size", str(SIZE)], **options) as container:
        yield CellContainer(container)


@pytest.fixture
def node(engine: DockerClient, cell: CellContainer, given: Path) -> Iterator[Container]:
    with cell.node(engine, given) as container:
        yield container


def test_one_command_starts_a_dry_run(engine: DockerClient, cell: CellContainer, given: Path) -> None:
    """That of the page, but for the robot's network: the cell's memory is in its place."""
    arguments = parameters(policy_repo="/given/policy", enable_control="false")
    plain = dict.fromkeys(("read_only", "tmpfs", "cap_drop", "security_opt", "mem_limit", "pids_limit"))
    shared = {"ipc_mode": f"container:{cell.container.id}", "volumes": mounted(given=given)}
    with running(engine, IMAGE, arguments, **plain, **shared) as container:
        heard = cell.heard("dry_run")
        health(container, "healthy")
    assert heard["status"]["engine"] == "openvino f32 on cpu"
    assert heard["status"]["policy"]["source"] == "/given/policy"
    assert not heard["status"]["armed"]
    assert heard["commands"] == 0


def test_nothing_is_left_to_a_program_that_breaks_in(cell: CellContainer, node: Container) -> None:
    assert cell.heard("dry_run")["status"]["measured"]
    code, output = node.exec_run([ENTRYPOINT, "python3", "-c", PROBE])
    assert code == 0, output
    facts: dict[str, Any] = yaml.safe_load(output)
    assert facts["user"] == "10001"
    assert facts["capabilities"] == [0, 0, 0]
    assert facts["no_new_privileges"] == "1"
    assert facts["interfaces"] == ["lo"]
    assert facts["writes"] == ["/tmp"]
    assert facts["raising"] == ""
    assert facts["compilers"] == []


def test_numpy_is_that_of_ros_and_pip_stayed_behind(engine: DockerClient) -> None:
    bare = {**HARDENING, "environment": {}}
    with running(engine, IMAGE, ["python3", "-c", PROBE], entrypoint=ENTRYPOINT, **bare) as container:
        code, output = ended(container)
    assert code == 0, output
    facts = yaml.safe_load(output)
    assert not facts["numpy"].startswith("/opt/lerobot-inference")
    assert not {"numpy", "pip", "torch", "lerobot", "pyarrow", "av", "setuptools"} & set(facts["ours"])


def test_node_and_cell_finish_a_task(cell: CellContainer, node: Container) -> None:
    heard = cell.heard("task")
    assert heard["report"]["reached"], node.logs()
    assert heard["report"]["limits_exceeded"] == {}
    assert heard["report"]["refused"] == {}
    assert heard["report"]["aborted"] == 0


def test_stopping_the_container_sends_the_hold_last(cell: CellContainer, node: Container) -> None:
    listening = cell.hear("ending")
    assert next(listening)["moving"]
    node.stop(timeout=2)
    assert node.wait()["StatusCode"] == 0, "the engine had to kill it"
    (heard,) = listening
    assert heard["status"]["state"] == "stopped"
    assert len(heard["positions"]) == 1, "a hold is one point"
    assert heard["report"]["positions"] == pytest.approx(heard["positions"][0], abs=0.01)


def test_a_node_that_is_killed_leaves_an_arm_that_comes_to_rest(cell: CellContainer, node: Container) -> None:
    listening = cell.hear("ending")
    assert next(listening)["moving"]
    node.kill("SIGKILL")
    assert node.wait()["StatusCode"] == 137
    (heard,) = listening
    assert len(heard["positions"]) > 1, "it had no chance to say more"
    assert not np.any(heard["velocities"][-1])
    assert heard["report"]["positions"] == pytest.approx(heard["positions"][-1], abs=0.01)
    assert heard["report"]["limits_exceeded"] == {}


def test_a_restart_does_not_switch_control_on(cell: CellContainer, node: Container) -> None:
    listening = cell.hear("ending")
    assert next(listening)["moving"]
    node.restart(timeout=2)
    list(listening)
    heard = cell.heard("silence")
    assert not heard["status"]["armed"]
    assert heard["commands"] == 0


def test_the_image_refuses_to_start_with_control(engine: DockerClient, cell: CellContainer, given: Path) -> None:
    with cell.node(engine, given, "-p", "enable_control:=true") as container:
        code, log = ended(container)
    assert code == UsageError.exit_code
    assert "a person switches control on with ~/set_control" in log


def test_a_loop_that_stands_still_is_unhealthy(node: Container) -> None:
    health(node, "healthy")
    node.exec_run(["sh", "-c", "kill -STOP $(cat /proc/1/task/1/children)"])
    health(node, "unhealthy")


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    output = tmp_path_factory.mktemp("export") / "bundle"
    export(Checkpoint.open(checkpoint), Dataset.open(dataset_folder), output, ExportOptions(engine="openvino"))
    return readable(output)


def starts(engine: DockerClient, **options: Any) -> None:
    """Assert that the node ticks: its policy was opened and its engine built."""
    with running(engine, options.pop("image", IMAGE), options.pop("arguments"), **options) as container:
        health(container, "healthy")


def test_a_bundle_starts_and_one_changed_byte_in_it_does_not(
    engine: DockerClient, bundle: Path, tmp_path: Path
) -> None:
    arguments = parameters(policy_repo="/given")
    starts(engine, arguments=arguments, volumes=mounted(given=bundle))
    changed = Path(shutil.copytree(bundle, tmp_path / "changed"))
    weights = bytearray((changed / "policy.weights").read_bytes())
    weights[-1] ^= 1
    (changed / "policy.weights").write_bytes(weights)
    with running(engine, IMAGE, arguments, volumes=mounted(given=changed)) as container:
        code, log = ended(container)
    assert code == CheckpointError.exit_code
    assert "policy.weights" in log


def test_a_policy_that_the_images_user_may_not_read_is_said_to_be(
    engine: DockerClient, given: Path, tmp_path: Path
) -> None:
    mine = Path(shutil.copytree(given / "policy", tmp_path / "mine"))
    (mine / "model.safetensors").chmod(0o600)
    with running(engine, IMAGE, parameters(policy_repo="/given"), volumes=mounted(given=mine)) as container:
        code, log = ended(container)
    assert code == CheckpointError.exit_code
    assert "/given/model.safetensors: user 10001, who runs this, may not read it" in log
    assert "docker run --user" in log


def test_a_folder_that_the_images_user_may_not_enter_is_said_to_be(
    engine: DockerClient, given: Path, tmp_path: Path
) -> None:
    shutil.copytree(given / "policy", tmp_path / "policy")
    tmp_path.chmod(0o700)
    with running(engine, IMAGE, parameters(policy_repo="/given/policy"), volumes=mounted(given=tmp_path)) as container:
        code, log = ended(container)
    assert code == CheckpointError.exit_code
    assert "/given/policy: user 10001, who runs this, may not read it" in log


def test_a_node_of_another_user_than_the_robots_says_that_nothing_comes(engine: DockerClient, given: Path) -> None:
    """The two see each other through the network, and one can't read the other's memory."""
    variables = {"ROS_DOMAIN_ID": str(os.getpid() % 100 + 101), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    shared = {"network_mode": "host", "ipc_mode": "host", "environment": variables}
    volumes = mounted(given=given)
    with (
        running(engine, SIM_IMAGE, ["--image-size", str(SIZE)], user="10002:10002", **shared),
        running(engine, IMAGE, parameters(policy_repo="/given/policy"), volumes=volumes, **shared) as node,
    ):
        hear(node, "waiting for /joint_states: it is published, and nothing comes")


def test_a_pinned_signed_bundle_is_fetched_once_and_needs_no_network_after(
    engine: DockerClient, bundle: Path, tmp_path: Path
) -> None:
    signed = Path(shutil.copytree(bundle, tmp_path / "signed"))
    sign(signed)
    (tmp_path / "public.pem").write_bytes(pem())
    volume = engine.volumes.create()
    kept = {"volumes": {volume.name: {"bind": "/models", "mode": "rw"}, **mounted(keys=readable(tmp_path))}}
    arguments = parameters(policy_repo="robots/reach", policy_revision=COMMIT)
    key = {PUBLIC_KEY_VARIABLE: "/keys/public.pem"}
    try:
        with serve({"robots/reach": signed}) as hub:
            reached = {"network_mode": "host", "environment": key | {"HF_ENDPOINT": hub.url}}
            hub.corrupt = "policy.weights"
            with running(engine, IMAGE, arguments, **kept, **reached) as container:
                code, log = ended(container)
            assert code != 0
            assert "policy.weights" in log
            hub.behave()
            starts(engine, arguments=arguments, **kept, **reached)
        starts(engine, arguments=arguments, environment=key, **kept)
    finally:
        volume.remove(force=True)


def test_a_policy_in_the_image_needs_nothing_else(engine: DockerClient, given: Path) -> None:
    name = "lerobot-inference-edge-policy-test"
    build = {"dockerfile": str(EDGE / "policy.Dockerfile"), "network_mode": "host", "tag": name, "rm": True}
    image, _ = engine.images.build(path=str(given / "policy"), **build)
    try:
        starts(engine, image=name, arguments=[])
    finally:
        engine.images.remove(image.id, force=True)
