"""The ROS part of docs/tutorial.md, typed in as it stands: cell, node and what watches both, a process each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docs_kit import ROOT, commands
from ros_kit import PATIENCE_S, demo_policy

TUTORIAL = ROOT / "docs" / "tutorial.md"
BUNDLE = "runs/demo/outputs/bundle"

type Start = Callable[..., tuple[subprocess.Popen[bytes], Path]]


def shown(*parts: str) -> list[str]:
    """The one command of the page that holds all parts, for this machine."""
    found = [command.words for command in commands(TUTORIAL) if all(part in command.text for part in parts)]
    assert len(found) == 1, parts
    here = {
        BUNDLE: str(demo_policy()),
        ".venv-ros2/bin": str(Path(sys.executable).parent),
        "examples/": f"{ROOT}/examples/",
    }
    words = found[0]
    for old, new in here.items():
        words = [word.replace(old, new) for word in words]
    return words


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command of the page in a domain of its own; its output is in the file."""
    environment = os.environ | {"ROS_DOMAIN_ID": str((os.getpid() + 50) % 100 + 1)}
    started = []

    def begin(*parts: str) -> tuple[subprocess.Popen[bytes], Path]:
        said = tmp_path / f"{len(started)}.txt"
        with said.open("wb") as output:
            child = subprocess.Popen(shown(*parts), cwd=tmp_path, env=environment, stdout=output, stderr=output)
        started.append(child)
        return child, said

    yield begin
    for child in started:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            child.wait(30)


def wait_for(line: str, said: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while line not in said.read_text():
        assert time.monotonic() < until, said.read_text()
        time.sleep(0.2)


def test_the_tutorial_s_dry_run_moves_nothing_and_its_log_decides_the_same_again(start: Start, tmp_path: Path) -> None:
    start("sim serve")
    _, watched = start("watch_node.py")
    node, said = start("act_inference_node", "record:=dry-run")
    wait_for("dry_run control is off", watched)
    time.sleep(1.0)
    node.send_signal(signal.SIGINT)
    assert node.wait(30) == 0, said.read_text()
    distances = {line.split("  ")[0] for line in watched.read_text().splitlines() if "dry_run" in line} - {"no cell"}
    assert len(distances) == 1
    replayed = subprocess.run(shown("replay"), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert replayed.stdout.endswith(" decisions, all as logged\n"), replayed.stderr


def test_the_tutorial_s_node_with_control_moves_the_arm(start: Start) -> None:
    start("sim serve")
    _, watched = start("watch_node.py")
    _, said = start("act_inference_node", "enable_control:=true")
    wait_for("control is on", said)
    wait_for("cm from the ball", watched)
    first = watched.read_text().partition(" cm from the ball")[0].split()[-1]
    until = time.monotonic() + PATIENCE_S
    while f"{first} cm" in watched.read_text().splitlines()[-1]:
        assert time.monotonic() < until, watched.read_text()
        time.sleep(0.5)
