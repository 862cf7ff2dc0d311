"""edge/compose.yaml, started as its page says: the node and the simulated cell, with no robot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from docker import DockerClient
from docker.models.containers import Container
from edge_kit import EDGE, HARDENING, IMAGE, SIM_IMAGE, SIZE, CellContainer, ended, health

from lerobot_inference.control.mcap_log import read_log
from lerobot_inference.control.replay import replay
from lerobot_inference.errors import UsageError

pytestmark = pytest.mark.container
KIT = Path(__file__).parent
FILE = EDGE / "compose.yaml"


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """The words of the command: `docker compose`, or docker-compose before version 2."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and subprocess.run([*words, "version"], capture_output=True).returncode == 0:
            return words
    pytest.skip("neither `docker compose` nor docker-compose is installed")


@dataclass
class Project:
    """The services of the file, by another name and in a ROS domain of their own."""

    engine: DockerClient
    words: list[str]
    folder: Path
    models: Path

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "GUARDS": "/models/guards.yaml",
            "DRIVER_USER": f"{os.getuid()}:{os.getgid()}",
            "IMAGE_SIZE": str(SIZE),
            "LOGS": str(self.logs),
            "MODELS": str(self.models),
            "ROS_DOMAIN_ID": str(os.getpid() % 100 + 1),
        }
        files = ["--file", str(FILE), "--file", str(self.folder / "kit.yaml")]
        return subprocess.run(
            [*self.words, *files, "--project-name", f"edge-test-{os.getpid()}", "--profile", "sim", *arguments],
            env=os.environ | variables,
            capture_output=True,
            text=True,
        )

    def up(self) -> None:
        started = self.call("up", "--detach")
        assert started.returncode == 0, started.stderr

    def container(self, service: str) -> Container:
        of_it = [f"com.docker.compose.project=edge-test-{os.getpid()}", f"com.docker.compose.service={service}"]
        (found,) = self.engine.containers.list(all=True, filters={"label": of_it})
        return found


@pytest.fixture
def project(engine: DockerClient, compose: list[str], given: Path, tmp_path: Path) -> Iterator[Project]:
    """Not started; it is gone after the test."""
    project = Project(engine, compose, tmp_path, given)
    project.logs.mkdir()
    # What listens beside the cell.
    (tmp_path / "kit.yaml").write_text(yaml.safe_dump({"services": {"cell": {"volumes": [f"{KIT}:/kit:ro"]}}}))
    yield project
    project.call("down", "--volumes")


def test_both_are_hardened_and_nothing_starts_with_control_or_by_itself() -> None:
    services = yaml.safe_load(FILE.read_text())["services"]
    assert {name: service["image"] for name, service in services.items()} == {"node": IMAGE, "cell": SIM_IMAGE}
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == HARDENING["cap_drop"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "pids_limit", "user"} <= set(service)
        assert "restart" not in service
    assert "enable_control:=false" in services["node"]["command"]
    assert services["cell"]["profiles"] == ["sim"]


def test_the_file_is_read_without_a_warning(project: Project) -> None:
    read = project.call("config", "--quiet")
    assert (read.returncode, read.stderr) == (0, "")


def test_the_whole_loop_runs_without_a_robot_and_its_log_replays(project: Project) -> None:
    project.up()
    node, cell = project.container("node"), CellContainer(project.container("cell"))
    health(node, "healthy")
    heard = cell.heard("silence")
    assert heard["status"]["policy"]["source"] == "/models/policy"
    assert heard["commands"] == 0, "control is off until a person switches it on"
    listening = cell.hear("ending")
    assert next(listening)["moving"]
    stopped = project.call("stop", "node")
    assert stopped.returncode == 0, stopped.stderr
    assert ended(node)[0] == 0, "the engine had to kill it"
    (heard,) = listening
    assert len(heard["positions"]) == 1, "a hold is one point"
    assert heard["report"]["positions"] == pytest.approx(heard["positions"][0], abs=0.01)
    assert replay(read_log(project.logs / "decisions.mcap")).different is None


def test_a_policy_that_is_not_there_ends_the_node_which_says_so(project: Project) -> None:
    project.models = project.folder / "models"
    project.models.mkdir()
    project.up()
    code, log = ended(project.container("node"))
    assert code == UsageError.exit_code
    assert "/models/policy: no such folder" in log
