"""Which machine this is and whether others use it: the first line of every benchmark."""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version

from lerobot_inference.engine.base import available_cores, processor_model

PACKAGES = ("torch", "lerobot", "openvino", "onnxruntime")
IDLE_SHARE = 0.95
CALIBRATION_S = 0.3


def describe() -> str:
    """Cores, processor, versions and load, on one line."""
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := installed(name)))
    return (
        f"{available_cores()} cores of {processor_model()}, Python {platform.python_version()}, {versions}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def warn_if_busy() -> None:
    """Print a warning when other work takes the cores: ratios then lean towards whoever waits less for its threads."""
    share = core_share()
    if share < IDLE_SHARE:
        print(
            f"warning: this machine is busy: a thread per core got {share:.0%} of the cores' time "
            f"(load {os.getloadavg()[0]:.1f}); figures of an idle machine differ"
        )


def core_share() -> float:
    """Processor time that one hashing thread per core gets, as a share of the wall time; 1 on an idle machine."""
    block = bytes(1 << 20)

    def hash_for_a_while(_: int) -> float:
        began, used = time.perf_counter(), time.thread_time()
        while time.perf_counter() - began < CALIBRATION_S:
            hashlib.sha256(block)  # releases the GIL
        return (time.thread_time() - used) / (time.perf_counter() - began)

    with ThreadPoolExecutor(available_cores()) as pool:
        return statistics.mean(pool.map(hash_for_a_while, range(available_cores())))


def installed(package: str) -> str | None:
    """Version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
