"""OSMO as far as we know it: what its server makes of a workflow's text, its tasks as processes, its program."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

TOKEN = re.compile(r"\{\{(uuid|workflow_id|output|input:[^}]+|host:[^}]+)\}\}")
SECTION = re.compile(r"^(version|workflow|default-values):.*?(?=^[a-zA-Z]|\Z)", re.DOTALL | re.MULTILINE)


def cast(text: str) -> int | float | str:
    """What `--set` makes of a text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def fill_in(text: str, /, **settings: object) -> dict[str, Any]:
    """The workflow, its values put in; tokens stay. OSMO's client sends what it got back once more, so twice."""
    sections = {found[1]: found[0] for found in SECTION.finditer(text)}
    values = yaml.safe_load(sections.get("default-values", "default-values: {}"))["default-values"] | settings
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    filled = sections["workflow"]
    for _ in range(2):
        kept = TOKEN.sub(lambda token: f"{{% raw %}}{token[0]}{{% endraw %}}", filled)
        filled = yaml.dump(yaml.safe_load(environment.from_string(kept).render(values)))
    workflow: dict[str, Any] = yaml.safe_load(filled)["workflow"]
    return workflow


@dataclass
class Cluster:
    """Runs the tasks of a workflow here, one after the other. credentials: name -> key -> secret."""

    folder: Path
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    def output(self, task: str, name: str) -> Path:
        return self.folder / task / "output" / name

    def run(self, workflow: Mapping[str, Any]) -> None:
        for task in workflow["tasks"]:
            self._run_task(task)

    def _run_task(self, task: Mapping[str, Any]) -> None:
        root = self.folder / task["name"]
        (root / "output").mkdir(parents=True)
        places = {"output": root / "output", "workflow_id": "wf-1"}
        for number, source in enumerate(task.get("inputs", [])):
            places[f"input:{number}"] = places[f"input:{source['task']}"] = self.folder / source["task"] / "output"
        filled = json.loads(TOKEN.sub(lambda token: str(places[token[1]]), json.dumps(task)))
        command = filled["command"]
        for file in filled.get("files", []):
            place = root / "files" / file["path"].lstrip("/")
            place.parent.mkdir(parents=True)
            place.write_text(file["contents"])
            command = [str(place) if word == file["path"] else word for word in command]
        secrets = {
            variable: self.credentials[name][key]
            for name, keys in filled.get("credentials", {}).items()
            for variable, key in keys.items()
        }
        own = filled.get("environment", {}) | secrets
        self.environments[task["name"]] = own
        assert command[0] == "lerobot-inference"
        ended = subprocess.run(
            [sys.executable, "-m", "lerobot_inference", *command[1:]],
            cwd=root,
            env={"PATH": os.environ["PATH"], "HOME": str(root), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"} | own,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, f"task {task['name']}: {ended.stdout}{ended.stderr}"


PROGRAM = """\
#!{python}
import json, sys
from pathlib import Path
here = Path(__file__).parent
file = Path(sys.argv[3]) if len(sys.argv) > 3 else None
seen = {{"argv": sys.argv[1:], "file": file.read_text() if file and file.is_file() else None}}
(here / "calls.jsonl").open("a").write(json.dumps(seen) + "\\n")
exit_code = int((here / "exit_code").read_text()) if (here / "exit_code").exists() else 0
if exit_code:
    print("there is no such pool", file=sys.stderr)
else:
    print("Workflow submit successful.")
sys.exit(exit_code)
"""


@dataclass(frozen=True)
class Program:
    """A program named `osmo` in a folder of its own: it notes how it is called, and fails where told to."""

    folder: Path

    @classmethod
    def install(cls, folder: Path, name: str = "osmo") -> Program:
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(PROGRAM.format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return cls(folder)

    def fail(self, exit_code: int) -> None:
        (self.folder / "exit_code").write_text(str(exit_code))

    @property
    def calls(self) -> list[dict[str, Any]]:
        record = self.folder / "calls.jsonl"
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
