"""`lerobot-inference doctor`."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.table import Table
from rich.text import Text

from lerobot_inference.cli.console import console, print_json
from lerobot_inference.errors import UsageError
from lerobot_inference.plugins import Plugin

EXTRAS = {
    "dataset": ("av", "pyarrow"),
    "openvino": ("onnx", "openvino"),
    "onnxruntime": ("onnx", "onnxruntime"),
    "lerobot": ("lerobot", "torch"),
    "hub": ("huggingface_hub",),
    "report": ("jinja2", "matplotlib"),
    "mlflow": ("mlflow", "alembic", "azureml.mlflow", "sqlalchemy"),
    "azure": ("azure.ai.ml", "azure.identity", "azure.storage.blob"),
    "docker": ("docker",),
    "cell": ("mujoco", "compas_fab"),
    "record": ("mcap",),
    "rerun": ("rerun_sdk",),
    "signing": ("cryptography",),
}

DEVICE_ADVICE = {
    "cuda": "needs an NVIDIA GPU, its driver, and onnxruntime-gpu or a CUDA build of torch",
    "tensorrt": "needs an NVIDIA GPU, its driver, TensorRT and onnxruntime-gpu",
    "cpu": "pip install 'lerobot-inference[openvino]'",
    "mps": "needs a Mac with Apple silicon and the extra lerobot",
    "gpu": "needs an Intel GPU and the extra openvino",
    "npu": "needs an Intel NPU and the extra openvino",
}


class Check(BaseModel):
    """One line of the report. advice: what to do when it is not ok."""

    name: str
    ok: bool
    found: str
    advice: str = ""


class Report(BaseModel):
    """What `doctor --json` prints."""

    checks: list[Check]


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say what is installed, which devices and extras are there, and what to do about the rest."""
    report = Report(checks=[_python(), *(_extra(name) for name in EXTRAS), *_devices(), _rendering(), *_plugins()])
    if json:
        print_json(report)
        return
    table = Table(title=f"lerobot-inference {version('lerobot-inference')}", title_justify="left")
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading)
    for check in report.checks:
        mark = Text("ok", "green") if check.ok else Text("--", "yellow")
        table.add_row(mark, check.name, check.found, check.advice)
    console.print(table)


def _python() -> Check:
    return Check(name="python", ok=True, found=f"{platform.python_version()} on {platform.platform(terse=True)}")


def _extra(name: str) -> Check:
    missing = [module for module in EXTRAS[name] if not _installed(module)]
    if missing:
        advice = f"pip install 'lerobot-inference[{name}]'"
        return Check(name=f"extra {name}", ok=False, found=f"no {', '.join(missing)}", advice=advice)
    found = ", ".join(f"{module} {_version(module)}" for module in EXTRAS[name])
    return Check(name=f"extra {name}", ok=True, found=found)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _version(module: str) -> str:
    try:
        return version(module.replace(".", "-").replace("_", "-"))
    except PackageNotFoundError:
        return "(version unknown)"


def _devices() -> list[Check]:
    """Each device, and the engines that can use it here."""
    from lerobot_inference.engine import BACKENDS, DEVICES, backend

    engines: dict[str, list[str]] = {device: [] for device in DEVICES}
    for name in BACKENDS:
        try:
            present = backend(name).available_devices()
        except UsageError:  # its extra is missing, which has a line of its own
            continue
        for device in present:
            engines[device].append(name)
    return [
        Check(name=f"device {device}", ok=True, found=", ".join(names))
        if names
        else Check(name=f"device {device}", ok=False, found="absent", advice=DEVICE_ADVICE[device])
        for device, names in engines.items()
    ]


def _rendering() -> Check:
    """The simulated cell's camera needs an OpenGL library that pip can't bring."""
    from lerobot_inference.sim.cell import RENDERING_ADVICE, missing_libraries

    if platform.system() != "Linux":
        return Check(name="rendering", ok=True, found="the system's own OpenGL")
    if missing := missing_libraries():
        advice = f"{RENDERING_ADVICE} (for sim and the demo)"
        return Check(name="rendering", ok=False, found=f"no {', '.join(missing)}", advice=advice)
    return Check(name="rendering", ok=True, found="EGL and OpenGL")


def _plugins() -> list[Check]:
    """What other distributions bring, loaded as it is where somebody asks for it."""
    from lerobot_inference.control.guards.chain import foreign_guards
    from lerobot_inference.control.guards.foreign import foreign_kind
    from lerobot_inference.engine import backend, foreign_engines

    try:
        guards, engines = foreign_guards(), foreign_engines()
    except UsageError as error:
        return [Check(name="plugins", ok=False, found=error.message, advice=error.hint or "")]
    return [
        *(_plugin(f"guard {name}", guard, partial(foreign_kind, guard)) for name, guard in guards.items()),
        *(_plugin(f"engine {name}", engine, partial(backend, name)) for name, engine in engines.items()),
    ]


def _plugin(name: str, plugin: Plugin, load: Callable[[], object]) -> Check:
    try:
        load()
    except UsageError as error:
        return Check(name=name, ok=False, found=error.message, advice=error.hint or "")
    return Check(name=name, ok=True, found=str(plugin))
