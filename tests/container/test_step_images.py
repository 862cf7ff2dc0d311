"""The image of every step: hardened, no larger than allowed, with what its step needs and nothing else."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from lerobot_inference.errors import InputError
from lerobot_inference.jobs.containers import HARDENING
from lerobot_inference.jobs.environment import Environment

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = {path.parent.name: Environment.read(path) for path in ROOT.glob("environments/*/environment.yaml")}
REPORT = runpy.run_path(str(ROOT / "scripts" / "image_report.py"))
MODULES = ("torch", "lerobot", "openvino", "onnxruntime", "pyarrow", "av", "matplotlib", "mlflow", "azure.ai.ml")
OUTPUTS = "--output-policy /tmp/policy --output-dataset /tmp/dataset"
NO_INPUT = {
    "download": f"download --policy /srv --dataset /srv {OUTPUTS}",
    "evaluate": "evaluate --policy /nowhere --dataset /nowhere --output /tmp/results",
    "evaluate_parallel": "evaluate --policy /nowhere --dataset /nowhere --output /tmp/results",
    "export": "export --policy /nowhere --dataset /nowhere --output /tmp/bundle",
    "plot": "plot --results /nowhere --output /tmp/report",
    "register": "register --policy /nowhere --results /nowhere --report /nowhere --output /tmp/verdict",
}
PROBE = """\
import importlib.util, json, os, pathlib, re, stat
def attempt(path):
    try:
        pathlib.Path(path, "written").touch()
    except OSError:
        return False
    return True
def there(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
tool = re.compile(r"(.*-)?(gcc|g\\+\\+|cc|c\\+\\+|cpp|ld|as|clang|make|cmake)(-[0-9.]+)?$")
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
found = [pathlib.Path(folder, name) for folder, _, names in os.walk("/") for name in names]
found = [path for path in found if path.parts[1] not in ("proc", "sys", "dev") and path.is_file()]
print(json.dumps({
    "uid": os.getuid(),
    "gid": os.getgid(),
    "capabilities": int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "written": [path for path in ("/", "/usr", "/home/lerobot", "/opt", "/var/tmp", "/tmp") if attempt(path)],
    "setuid": [str(path) for path in found if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)],
    "compilers": [str(path) for path in found if path.parent.name == "bin" and tool.match(path.name)],
    "keys": [str(path) for path in found if path.name in ("id_rsa", "id_ed25519", ".netrc", ".pypirc")],
    "modules": [module for module in MODULES if there(module)],
}))
"""


def run(engine: DockerClient, step: str, *command: str) -> tuple[int, str]:
    """Exit code and output of a command in a step's image, as `make images` built it, with all that HARDENING takes."""
    container = engine.containers.create(
        ENVIRONMENTS[step].image, list(command), environment={"HOME": "/tmp"}, network_mode="none", **HARDENING
    )
    try:
        container.start()
        return int(container.wait(timeout=120)["StatusCode"]), container.logs().decode()
    finally:
        container.remove(force=True)


@pytest.fixture(params=sorted(ENVIRONMENTS))
def step(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def probe(engine: DockerClient, step: str) -> dict[str, Any]:
    code, printed = run(engine, step, "python3", "-c", f"MODULES = {MODULES}\n{PROBE}")
    assert code == 0, printed
    found: dict[str, Any] = json.loads(printed)
    return found


def test_an_image_gives_its_step_no_rights_and_no_tools(engine: DockerClient, step: str) -> None:
    found = probe(engine, step)
    assert (found["uid"], found["gid"]) == (10001, 10001)
    assert found["capabilities"] == 0
    assert found["no_new_privileges"] == "1"
    assert found["interfaces"] == ["lo"]
    assert found["written"] == ["/tmp"]
    assert [found["setuid"], found["compilers"], found["keys"]] == [[], [], []]


def test_an_image_holds_what_its_step_needs_and_none_of_the_other_heavy_libraries(engine: DockerClient) -> None:
    held = {step: set(probe(engine, step)["modules"]) for step in ENVIRONMENTS}
    assert held["download"] == {"azure.ai.ml"}
    assert held["register"] == {"azure.ai.ml", "mlflow"}
    assert held["plot"] == {"av", "matplotlib", "pyarrow"}
    assert held["evaluate"] == held["evaluate_parallel"] == {"av", "onnxruntime", "openvino", "pyarrow"}
    assert {"av", "lerobot", "onnxruntime", "openvino", "pyarrow", "torch"} <= held["export"]


def test_bad_input_ends_with_its_exit_code_and_one_message(engine: DockerClient, step: str) -> None:
    code, printed = run(engine, step, "lerobot-inference", *NO_INPUT[step].split())
    assert code == InputError.exit_code, printed
    assert "error: /" in printed
    assert "Traceback" not in printed


def test_no_variable_and_no_command_of_the_build_holds_a_secret(engine: DockerClient, step: str) -> None:
    image = engine.images.get(ENVIRONMENTS[step].image)
    built = "\n".join(layer["CreatedBy"] for layer in image.history()) + "\n".join(image.attrs["Config"]["Env"])
    for word in ("token", "password", "secret", "://"):
        assert word not in built.lower(), word


def test_an_image_keeps_its_budget(engine: DockerClient) -> None:
    budgets = {name: limit for name, limit in REPORT["BUDGETS"].items() if name in ENVIRONMENTS}
    for name, limit in budgets.items():
        image, base = (engine.images.get(tag).attrs["Size"] for tag in (ENVIRONMENTS[name].image, base_of(name)))
        assert (image - base) / REPORT["MB"] <= limit, name


def base_of(step: str) -> str:
    return str(REPORT["base_of"](ENVIRONMENTS[step]))


def test_the_structure_of_an_image_is_as_written(engine: DockerClient, step: str) -> None:
    assert engine.ping()
    program = Path(sys.executable).with_name("container-structure-test")
    config = Path(__file__).with_name("structure.yaml")
    call = [str(program), "test", "--image", ENVIRONMENTS[step].image, "--config", str(config)]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_an_sbom_names_the_packages_of_debian_and_of_python(engine: DockerClient, tmp_path: Path) -> None:
    assert engine.ping()
    output = tmp_path / "download.spdx.json"
    runpy.run_path(str(ROOT / "scripts" / "write_sboms.py"))["write_sbom"](ENVIRONMENTS["download"].image, output)
    document = json.loads(output.read_text())
    assert document["spdxVersion"] == "SPDX-2.3"
    places = [
        place["referenceLocator"] for package in document["packages"] for place in package.get("externalRefs", [])
    ]
    for kind in ("pkg:deb/debian/libc6@", "pkg:pypi/huggingface-hub@", "pkg:pypi/lerobot-inference@"):
        assert any(place.startswith(kind) for place in places), kind
