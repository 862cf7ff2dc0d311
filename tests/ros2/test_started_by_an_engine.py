"""What a container's engine asks of the node: a sign of life, and no control that nobody switched on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from ros_kit import NodeProcess, Wire

from lerobot_inference.errors import StorageError, UsageError
from lerobot_inference.ros2.heartbeat import HEARTBEAT_VARIABLE
from lerobot_inference.ros2.parameters import CONTROL_VARIABLE

pytestmark = pytest.mark.usefixtures("cell")


def test_the_heartbeat_is_as_old_as_the_last_tick(
    wire: Wire, node: NodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "heartbeat"
    monkeypatch.setenv(HEARTBEAT_VARIABLE, str(file))
    node.start()
    before = file.stat().st_mtime_ns
    wire.wait(lambda: file.stat().st_mtime_ns > before, "a tick")
    assert node.process
    node.process.child.send_signal(signal.SIGSTOP)
    try:
        time.sleep(0.2)  # until it has stopped
        stopped = file.stat().st_mtime_ns
        time.sleep(0.3)
        assert file.stat().st_mtime_ns == stopped
    finally:
        node.process.child.send_signal(signal.SIGCONT)
    wire.wait(lambda: file.stat().st_mtime_ns > stopped, "a tick")


def test_a_heartbeat_that_cannot_be_written_ends_the_node_at_once(
    node: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEARTBEAT_VARIABLE, "/dev/null/heartbeat")
    with pytest.raises(AssertionError, match="/dev/null/heartbeat: a file is where a folder should be"):
        node.start()
    assert node.end() == StorageError.exit_code


def test_where_a_restart_would_do_it_again_control_is_not_on_at_the_start(
    node: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONTROL_VARIABLE, "1")
    with pytest.raises(AssertionError, match="enable_control is true, .* a person switches control on"):
        node.start(enable_control=True)
    assert node.end() == UsageError.exit_code
    node.start(enable_control=False).arm()
