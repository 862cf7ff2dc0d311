"""The commands of docs/how-to/azure-ml.md do what the page says, in a workspace on loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from submit_kit import ROOT, Azure, copy_tree, serve_azure

from lerobot_inference.jobs.submit import SubmittedJob

PAGE = (ROOT / "docs" / "how-to" / "azure-ml.md").read_text()
COMMANDS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SHOWN = [line.removeprefix("    ") for line in PAGE.splitlines() if re.match(r"    \w", line)]

type Ended = tuple[Azure, subprocess.CompletedProcess[str], Path]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """All commands of the page, one after the other in one shell."""
    folder = copy_tree(tmp_path_factory.mktemp("repository"))
    with serve_azure() as azure:
        azure.pass_through(
            {"job": "Running", "download": "Running"},
            {"download": "Completed", "evaluate": "Running"},
            {"job": "Completed", "evaluate": "Completed"},
        )
        path = f"{Path(sys.executable).parent}{os.pathsep}{azure.cloud.environment['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", "\n".join(COMMANDS)],
            cwd=folder,
            env=os.environ | azure.cloud.environment | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return azure, done, folder


def test_the_first_command_prints_what_the_page_shows_and_fetches_the_report(ended: Ended) -> None:
    _, done, folder = ended
    printed = [_without_name(line) for line in (*done.stderr.splitlines(), *done.stdout.splitlines())]
    assert len(SHOWN) == 11
    assert [line for line in map(_without_name, SHOWN) if line not in printed] == []
    assert (folder / "fetched" / "report" / "report.html").is_file()


def test_the_second_command_sets_what_it_names(ended: Ended) -> None:
    azure, done, _ = ended
    job = SubmittedJob.model_validate_json(done.stdout[done.stdout.index("{") :])
    sent = azure.workspace.resources[f"jobs/{job.name}"]["properties"]
    assert len(azure.jobs) == 2
    assert sent["inputs"]["episodes"]["value"] == "all"
    assert sent["inputs"]["gate"]["uri"] == "azureml://datastores/workspaceblobstore/paths/rules/gate.yaml"
    assert sent["jobs"]["download"]["inputs"]["policy_revision"]["value"].startswith("0123456789abcdef")


def _without_name(line: str) -> str:
    """A line without the name of the job and what follows its address."""
    return re.sub(r"wsid=.*", "wsid=", re.sub(r"evaluate-\d{8}-\d{6}-[0-9a-f]{6}", "NAME", line))
