"""A workspace on loopback, and a copy of our pipelines that can be submitted to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_loopback.runs import JobStates, RunHistory
from azure_loopback.server import Cloud, serve
from azure_loopback.storage import Storage
from azure_loopback.workspace import GROUP, NAME, SUBSCRIPTION, Workspace

ROOT = Path(__file__).parents[2]
WHEEL = "lerobot_inference-0.1.0-py3-none-any.whl"
OUTPUTS: Mapping[str, Mapping[str, bytes]] = {
    "report": {"report.html": b"<!doctype html>", "plots/aggregate_summary.png": b"PNG"},
    "results": {"eval_results.json": b"{}"},
    "verdict": {"verdict.json": b"{}"},
}


@dataclass
class Azure:
    """One workspace with its storage, and what leads a program to it."""

    cloud: Cloud
    workspace: Workspace
    storage: Storage
    states: JobStates

    @property
    def environment(self) -> dict[str, str]:
        named = {"AZURE_SUBSCRIPTION_ID": SUBSCRIPTION, "AZURE_RESOURCE_GROUP": GROUP, "AZUREML_WORKSPACE_NAME": NAME}
        return self.cloud.environment | named

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The properties of every job that was submitted."""
        return list(self.workspace.properties("jobs").values())

    def pass_through(self, *timeline: Mapping[str, str]) -> None:
        """What the job goes through: moments of {step or "job": state}."""
        self.states.timeline = list(timeline)
        self.states.go_on()


@contextmanager
def serve_azure() -> Iterator[Azure]:
    workspace, storage = Workspace(), Storage()
    states = JobStates(workspace, [])
    with serve(states, workspace, storage, RunHistory(states, storage, OUTPUTS)) as cloud:
        yield Azure(cloud, workspace, storage, states)


def start(azure: Azure, pipeline: Path, *options: str, folder: Path) -> subprocess.Popen[str]:
    """`pipeline submit` as a program of its own."""
    command = [sys.executable, "-m", "lerobot_inference", "pipeline", "submit", str(pipeline), *options]
    pipe, environment = subprocess.PIPE, os.environ | azure.environment
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=pipe, stderr=pipe, text=True)


SMALL = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
experiment_name: small
settings: {default_compute: azureml:cpu-cluster}
inputs: {rows: 3}
outputs: {report: {type: uri_folder}, results: {type: uri_folder}, verdict: {type: uri_folder}}
jobs:
  write:
    type: command
    component: component.yaml
    inputs: {rows: "${{parent.inputs.rows}}"}
    outputs:
      report: ${{parent.outputs.report}}
      results: ${{parent.outputs.results}}
      verdict: ${{parent.outputs.verdict}}
"""
SMALL_COMPONENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: write
inputs: {rows: {type: integer, min: 1, optional: true}}
outputs: {report: {type: uri_folder}, results: {type: uri_folder}, verdict: {type: uri_folder}}
environment: file:image/environment.yaml
command: write $[[--rows ${{inputs.rows}}]] ${{outputs.report}} ${{outputs.results}} ${{outputs.verdict}}
"""


def write_small(folder: Path) -> Path:
    """A pipeline of one step whose image is built, which is submitted in a moment."""
    (folder / "image").mkdir()
    (folder / "image" / "Dockerfile").write_text("FROM scratch\n")
    (folder / "image" / "environment.yaml").write_text("name: write\nbuild: {path: .}\n")
    (folder / "component.yaml").write_text(SMALL_COMPONENT)
    (folder / "small.yaml").write_text(SMALL)
    return folder / "small.yaml"


def copy_tree(folder: Path) -> Path:
    """Our pipelines, components and environments, with stand-ins for the files that `make images` writes."""
    for name in ("pipelines", "components", "environments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.whl", "requirements.txt"))
    for environment in (folder / "environments").glob("*/environment.yaml"):
        context = environment.parent
        (context / "requirements.txt").write_text(f"# what {context.name} needs\n")
        (context / WHEEL).write_bytes(b"a wheel")
    return folder
