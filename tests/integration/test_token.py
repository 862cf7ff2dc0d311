"""The Hub token is read by the download step, and what is written, printed or shown of any process never holds it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hub_server import Hub, serve

ROOT = Path(__file__).parents[2]
POLICY, DATASET = "lab/reach-act", "lab/reach-cell"
MARKER = "hf_MarkerThatIsSearchedForEverywhere"
RULES = "max:\n  aggregate_mae: 1000\n"


@dataclass
class Sightings:
    """Every process below this one as /proc shows it. with_marker, without_marker: command lines, by environment."""

    with_marker: set[str] = field(default_factory=set)
    without_marker: set[str] = field(default_factory=set)

    def look(self, folder: Path) -> None:
        """Look at every process whose command line or environment, hence home, leads to `folder`."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (process / "environ").read_bytes()
            except OSError:  # it ended meanwhile, or is not ours
                continue
            if str(folder) in command or str(folder).encode() in environment:
                (self.with_marker if MARKER.encode() in environment else self.without_marker).add(command)


def start(folder: Path, hub: Hub, *arguments: str, **environment: str) -> tuple[int, str, Sightings]:
    """Run a command in `folder`, watch every process of it, and return exit code, output and what was seen."""
    variables = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": MARKER,
        "HOME": str(folder / "home"),
        "HF_HOME": str(folder / "home" / "huggingface"),
    }
    command = [sys.executable, "-m", "lerobot_inference", *arguments]
    sightings, ended = Sightings(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            sightings.look(folder)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | variables | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
    finally:
        ended.set()
        watcher.join()
    return done.returncode, done.stdout, sightings


def holders(folder: Path) -> list[str]:
    """Files and names of files, below `folder`, that hold the marker."""
    return [
        str(path)
        for path in folder.rglob("*")
        if MARKER in path.name or (path.is_file() and MARKER.encode() in path.read_bytes())
    ]


@pytest.fixture(scope="module")
def repositories(checkpoint: Path, dataset_folder: Path) -> dict[str, Path]:
    return {POLICY: checkpoint, DATASET: dataset_folder}


@pytest.fixture
def hub(repositories: dict[str, Path]) -> Iterator[Hub]:
    with serve(repositories) as server:
        yield server


@pytest.mark.slow
def test_a_whole_pipeline_leaves_no_trace_of_the_token(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    settings = {
        "policy": POLICY,
        "dataset": DATASET,
        "device": "cpu",
        "episodes": "2",
        "batch_size": "4",
        "gate.path": str(tmp_path / "rules.yaml"),
    }
    sets = [word for name, value in settings.items() for word in ("--set", f"inputs.{name}={value}")]
    run = ["pipeline", "run", str(ROOT / "pipelines" / "evaluate.yaml"), "--output", str(tmp_path / "run")]
    exit_code, printed, seen = start(tmp_path, hub, *run, *sets)
    assert exit_code == 0, printed
    assert set(hub.tokens.values()) == {f"Bearer {MARKER}"}
    assert (tmp_path / "run" / "outputs" / "bundle" / "manifest.json").is_file()

    assert MARKER not in printed
    assert holders(tmp_path) == []
    everything = seen.with_marker | seen.without_marker
    assert not any(MARKER in command for command in everything)
    steps = {step for step in ("evaluate", "plot", "register", "export") if any(f" {step} " in c for c in everything)}
    assert steps == {"evaluate", "plot", "register", "export"}
    assert any(" download " in command for command in seen.with_marker)
    assert not [c for c in seen.with_marker if " download " not in c and " pipeline run " not in c]


def test_a_download_that_fails_tells_nothing_of_the_token_though_the_server_echoes_it_and_the_address_holds_it(
    hub: Hub, tmp_path: Path
) -> None:
    hub.echo, hub.fail = True, "config.json"
    address = hub.url.replace("://", f"://reader:{MARKER}@")
    arguments = ("download", "--policy", POLICY, "--output-policy", str(tmp_path / "policy"))
    exit_code, printed, seen = start(tmp_path, hub, *arguments, HF_ENDPOINT=address)
    assert exit_code == 6
    assert "the Hugging Face Hub could not be reached: it answered 500" in printed
    assert list(tmp_path.glob(".policy.*.partial"))
    assert seen.with_marker
    assert not any(MARKER in command for command in seen.with_marker | seen.without_marker)
    assert MARKER not in printed
    assert holders(tmp_path) == []


def test_a_token_that_cannot_be_sent_is_not_quoted(hub: Hub, tmp_path: Path) -> None:
    arguments = ("download", "--policy", POLICY, "--output-policy", str(tmp_path / "policy"))
    exit_code, printed, _ = start(tmp_path, hub, *arguments, HF_TOKEN=f"{MARKER}é")
    assert exit_code == 2, printed
    assert printed.startswith("error: HF_TOKEN holds a character that no token has")
    assert MARKER not in printed
