"""Tests over real rclpy and DDS, on loopback and in a domain of their own. `make test-ros2` runs them.

They are collected only where rclpy is installed.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

if importlib.util.find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    profile = Path(__file__).parents[2] / "edge" / "config" / "fastdds-loopback.xml"
    os.environ |= {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(os.getpid() % 100 + 1),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(profile),
        "FASTDDS_DEFAULT_PROFILES_FILE": str(profile),
        "ROS_PYTHON_CHECK_FIELDS": "1",
    }
    os.environ.pop("RMW_IMPLEMENTATION", None)
    from ros_kit import CellProcess, NodeProcess, Table, Wire

    @pytest.fixture(scope="session", autouse=True)
    def _shared_memory() -> Iterator[None]:
        """Processes that are killed leave their segments: what came with these tests and no process has open goes."""
        there = segments()
        yield
        for left in segments() - there - in_use():
            left.unlink(missing_ok=True)

    def segments() -> set[Path]:
        return set(Path("/dev/shm").glob("*fastrtps_*"))

    def in_use() -> set[Path]:
        mapped: set[Path] = set()
        for process in Path("/proc").glob("[0-9]*/maps"):
            with suppress(OSError):  # it has ended
                lines = process.read_text().splitlines()
                mapped |= {Path(line.split(maxsplit=5)[5]) for line in lines if "/dev/shm/" in line}
        return mapped

    @pytest.fixture(scope="session")
    def wire() -> Iterator[Wire]:
        with Wire.open() as opened:
            yield opened

    @pytest.fixture(scope="session")
    def shared_cell(wire: Wire) -> Iterator[CellProcess]:
        process = CellProcess(wire)
        yield process
        process.end()

    @pytest.fixture
    def cell(shared_cell: CellProcess, wire: Wire) -> CellProcess:
        """A cell at the beginning of an episode, without faults."""
        shared_cell.ready()
        wire.forget()
        return shared_cell

    @pytest.fixture
    def node(wire: Wire, tmp_path: Path) -> Iterator[NodeProcess]:
        """The node, not started; it is ended after the test."""
        process = NodeProcess(wire, tmp_path)
        yield process
        process.end()

    @pytest.fixture(scope="session")
    def table() -> Iterator[Table]:
        """What the hazards' tests measure: runs/ros2/hazards.md."""
        made = Table()
        yield made
        made.write(Path(__file__).parents[2] / "runs" / "ros2" / "hazards.md")
