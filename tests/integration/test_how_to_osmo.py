"""The commands of docs/how-to/osmo.md do what the page says; only `osmo` itself is a stand-in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from osmo_stand_in import Program, fill_in

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "osmo.md").read_text()
COMMANDS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, list[subprocess.CompletedProcess[str]]]:
    """Every command of the page, in a folder that looks like the repository."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("pipelines", "components", "environments", "scripts", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    osmo = Program.install(folder / "bin")
    environment = os.environ | {"PATH": f"{osmo.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return osmo, [
        subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env=environment | {"NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        for command in COMMANDS
    ]


def test_every_command_succeeds_and_all_but_the_preview_submit(
    ended: tuple[Program, list[subprocess.CompletedProcess[str]]],
) -> None:
    osmo, results = ended
    assert [result.returncode for result in results] == [0] * len(COMMANDS), [result.stderr for result in results]
    assert len(osmo.calls) == len(COMMANDS) - 1
    assert osmo.calls[-2]["argv"][3:] == ["--pool", "gpu-pool", "--set-string", "device=cuda"]
    assert osmo.calls[-1]["argv"][2:] == [
        *("my-evaluate.yaml", "--pool", "gpu-pool", "--set-string", "episodes=all", "model_name=hve-robo-act")
    ]


def test_the_first_command_prints_what_the_page_shows(
    ended: tuple[Program, list[subprocess.CompletedProcess[str]]],
) -> None:
    shown = [line.removeprefix("    ") for line in PAGE.splitlines() if re.match(r"    \w+: ", line)]
    assert len(shown) == 6
    assert ended[1][0].stderr.splitlines() == shown


def test_the_table_of_tasks_is_what_is_submitted(
    ended: tuple[Program, list[subprocess.CompletedProcess[str]]],
) -> None:
    rows = re.findall(r"^\| .*`--[\w-]+.*\| (download[\w, ]*)", PAGE, re.MULTILINE)
    tasks = [[task["name"] for task in fill_in(call["file"])["tasks"]] for call in ended[0].calls]
    assert [row.strip().split(", ") for row in rows] == [tasks[1], tasks[2], tasks[0], tasks[3]]
