"""Policies and datasets arrive verified, pinned and once, from a folder or from a Hub on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hub_server import COMMIT, LISTING, Hub, serve

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import UsageError
from lerobot_inference.files import sha256_file
from lerobot_inference.sources import Folder, Kind, fetch, parse_source, read_manifest

POLICY, DATASET = "lab/reach-act", "lab/reach-cell"
MARKER = "hf_a_secret_for_this_test"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def the_hub(checkpoint: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A policy and a dataset on a Hub; the policy's repository also holds a pickle and code."""
    policy = Path(shutil.copytree(checkpoint, tmp_path_factory.mktemp("hub") / "policy"))
    (policy / "optimizer.pt").write_bytes(b"\x80\x04pickle")
    (policy / "modeling.py").write_text("raise SystemExit('code from a hub was run')")
    with serve({POLICY: policy, DATASET: dataset_folder}) as server:
        yield server


@pytest.fixture
def hub(the_hub: Hub) -> Hub:
    """The Hub, behaving."""
    the_hub.behave()
    return the_hub


def run(hub: Hub, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as HF_ENDPOINT is read when huggingface_hub is imported."""
    hub.requests.clear()
    hub.sent.clear()
    process = start(hub, *arguments)
    printed, said = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def start(hub: Hub, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lerobot_inference", "download", *map(str, arguments)],
        env=os.environ | hub.variables | {"HF_TOKEN": MARKER},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # also where this runs in the background
    )


@pytest.mark.parametrize("source", ["local", "hub"])
def test_a_folder_that_holds_something_else_is_not_replaced(
    hub: Hub, checkpoint: Path, tmp_path: Path, source: str
) -> None:
    thesis = tmp_path / "mine" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    policy = checkpoint if source == "local" else POLICY
    result = run(hub, "--policy", policy, "--output-policy", thesis.parent)
    assert (result.returncode, hub.requests) == (2, [])
    assert "mine is not empty and holds no earlier download" in result.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.tex"]


def test_a_dataset_does_not_take_the_place_of_the_policy(hub: Hub, tmp_path: Path) -> None:
    both = tmp_path / "both"
    result = run(hub, "--policy", POLICY, "--dataset", DATASET, "--output-policy", both, "--output-dataset", both)
    assert result.returncode == 2
    assert f"both holds {POLICY}, a model" in result.stderr
    assert Checkpoint.open(both).spec.action_dim == 6


def test_a_local_dataset_whose_videos_are_on_another_disk_is_copied_whole(dataset_folder: Path, tmp_path: Path) -> None:
    linked = Path(shutil.copytree(dataset_folder, tmp_path / "cell"))
    (linked / "videos").rename(tmp_path / "disk")
    (linked / "videos").symlink_to(tmp_path / "disk")
    manifest = fetch(Folder(linked), Kind.DATASET, tmp_path / "copy")
    assert manifest.files == fetch(Folder(dataset_folder), Kind.DATASET, tmp_path / "plain").files


def test_policy_and_dataset_arrive_pinned_verified_and_usable(hub: Hub, tmp_path: Path) -> None:
    policy, dataset = tmp_path / "policy", tmp_path / "dataset"
    result = run(
        hub, "--policy", POLICY, "--dataset", DATASET, "--output-policy", policy, "--output-dataset", dataset, "--json"
    )
    assert result.returncode == 0, result.stderr
    manifests = json.loads(result.stdout)
    assert manifests["policy"]["revision"] == manifests["dataset"]["revision"] == COMMIT
    for folder, manifest in ((policy, manifests["policy"]), (dataset, manifests["dataset"])):
        assert all(sha256_file(folder / name) == sha256 for name, sha256 in manifest["files"].items())
    assert Checkpoint.open(policy).spec.action_dim == 6
    assert Dataset.open(dataset).episode(2).length == 20


def test_pickles_and_code_are_left_on_the_hub(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy").returncode == 0
    assert not list(tmp_path.rglob("*.pt"))
    assert not list(tmp_path.rglob("*.py"))
    assert not any("optimizer.pt" in request or "modeling.py" in request for request in hub.downloads)


def test_a_second_download_transfers_nothing_and_a_pinned_one_asks_nothing(hub: Hub, tmp_path: Path) -> None:
    arguments = ("--policy", POLICY, "--output-policy", tmp_path / "policy")
    assert run(hub, *arguments).returncode == 0
    assert hub.downloads
    assert run(hub, *arguments).returncode == 0
    assert not hub.downloads
    assert run(hub, *arguments, "--policy-revision", COMMIT, "--require-pinned").returncode == 0
    assert not hub.requests


def test_a_copy_that_was_changed_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    arguments = ("--policy", POLICY, "--output-policy", tmp_path / "policy")
    assert run(hub, *arguments).returncode == 0
    (tmp_path / "policy" / "config.json").write_text("{}")
    assert run(hub, *arguments).returncode == 0
    assert Checkpoint.open(tmp_path / "policy").spec.state_dim == 6


def test_bytes_that_are_not_those_announced_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.corrupt = "config.json"
    result = run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy")
    assert result.returncode == 3
    assert "config.json: its bytes are not those that were announced" in result.stderr
    assert not (tmp_path / "policy").exists()


def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    arguments = ("--policy", POLICY, "--output-policy", tmp_path / "policy")
    hub.cut[WEIGHTS] = [1000, *[0] * 5]
    result = run(hub, *arguments)
    assert result.returncode == 6
    assert "run the same command again" in result.stderr
    assert not (tmp_path / "policy").exists()
    size = (hub.repositories[POLICY] / WEIGHTS).stat().st_size
    assert run(hub, *arguments).returncode == 0
    assert hub.sent == {WEIGHTS: [(1000, size - 1000)]}
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_a_cut_connection_is_taken_up_inside_the_file(hub: Hub, tmp_path: Path) -> None:
    hub.cut[WEIGHTS] = [1000, 500]
    assert run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy").returncode == 0
    size = (hub.repositories[POLICY] / WEIGHTS).stat().st_size
    assert hub.sent[WEIGHTS] == [(0, 1000), (1000, 500), (1500, size - 1500)]


def test_a_server_that_knows_no_ranges_sends_the_file_again_and_it_arrives_whole(hub: Hub, tmp_path: Path) -> None:
    hub.cut[WEIGHTS], hub.ranges = [100_000], False
    assert run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy").returncode == 0
    assert [start for start, _ in hub.sent[WEIGHTS]] == [0, 0]


def test_a_busy_hub_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.busy = {LISTING: [503, 429], "config.json": [429, 502]}
    result = run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy")
    assert result.returncode == 0, result.stderr
    assert not any(hub.busy.values())


def test_ctrl_c_ends_a_download_that_waits_and_keeps_what_came(hub: Hub, tmp_path: Path) -> None:
    hub.busy, hub.retry_after = {WEIGHTS: [429]}, "250"
    arguments = ("--policy", POLICY, "--output-policy", tmp_path / "policy")
    process = start(hub, *arguments)
    while not list(tmp_path.glob(".policy.*.partial/config.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode not in (None, 0)
    assert "Traceback" not in said
    assert not (tmp_path / "policy").exists()
    assert run(hub, *arguments).returncode == 0
    assert "config.json" not in hub.sent


def test_the_token_stays_on_the_hub_when_files_are_elsewhere(hub: Hub, tmp_path: Path) -> None:
    with serve(hub.repositories) as cdn:
        hub.cdn = cdn.url.replace("127.0.0.1", "localhost")
        result = run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy")
        assert result.returncode == 0, result.stderr
        assert set(hub.tokens.values()) == {f"Bearer {MARKER}"}
        assert set(cdn.tokens.values()) == {None}


def test_a_file_that_is_listed_and_not_there_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.missing = WEIGHTS
    result = run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy")
    assert result.returncode == 3
    assert f"{POLICY}: {WEIGHTS}: listed by the Hub, which then has no such file" in result.stderr
    assert not (tmp_path / "policy").exists()


def test_a_file_that_goes_on_after_its_announced_end_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.longer = WEIGHTS
    result = run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy")
    size = (hub.repositories[POLICY] / WEIGHTS).stat().st_size
    assert result.returncode == 3
    assert f"{WEIGHTS}: is larger than the {size} bytes that were announced" in result.stderr
    assert not (tmp_path / "policy").exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.listed = ("../../outside.json",)
    result = run(hub, "--policy", POLICY, "--output-policy", tmp_path / "here" / "policy")
    assert result.returncode == 3
    assert "refused, it lists a file named '../../outside.json'" in result.stderr
    assert not hub.downloads
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "message"),
    [
        (401, "RepoNotFound", 3, "no such repository on the Hugging Face Hub, or it is private"),
        (403, "GatedRepo", 3, "access to this repository must be granted on the Hub"),
        (403, "", 3, "the Hub refused access (403)"),
        (200, "", 6, "what answered is not the Hugging Face Hub"),
        (418, "", 6, "could not be reached: it answered 418"),
    ],
)
def test_a_hub_that_refuses_is_one_clear_line_without_what_it_answered(
    hub: Hub, tmp_path: Path, status: int, code: str, exit_code: int, message: str
) -> None:
    hub.status[POLICY], hub.echo = (status, code), True
    result = run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy")
    assert result.returncode == exit_code
    first, *hint = result.stderr.splitlines()
    assert first.startswith(f"error: {POLICY}: ")
    assert message in first
    assert len(hint) == 1
    assert MARKER not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("--policy", "lab/none"), 3, "lab/none: no such repository"),
        (("--policy", POLICY, "--policy-revision", "v9"), 3, "no such revision"),
        (("--policy", POLICY, "--require-pinned"), 2, "is not pinned"),
        (("--policy", "./nowhere"), 2, "no such folder, and not an org/name"),
        ((), 2, "nothing to download"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_line(
    hub: Hub, tmp_path: Path, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    result = run(hub, *arguments, "--output-policy", tmp_path / "policy")
    assert result.returncode == exit_code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_hub_that_does_not_answer_is_exit_code_6(tmp_path: Path) -> None:
    nobody = Hub({}, url="http://127.0.0.1:9")
    result = run(nobody, "--policy", POLICY, "--output-policy", tmp_path / "policy")
    assert result.returncode == 6
    assert "could not be reached" in result.stderr


def test_a_local_folder_is_copied_once_and_again_when_it_changes(checkpoint: Path, tmp_path: Path) -> None:
    origin = Path(shutil.copytree(checkpoint, tmp_path / "origin"))
    output = tmp_path / "copy"
    first = fetch(parse_source(str(origin)), Kind.POLICY, output)
    assert read_manifest(output) == first
    marker = (output / "model.safetensors").stat().st_mtime_ns
    assert fetch(parse_source(str(origin)), Kind.POLICY, output) == first
    assert (output / "model.safetensors").stat().st_mtime_ns == marker
    (origin / "README.md").write_text("new")
    assert "README.md" in fetch(parse_source(str(origin)), Kind.POLICY, output).files
    assert (output / "README.md").read_text() == "new"


def test_a_copy_of_a_download_keeps_where_it_came_from(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, "--policy", POLICY, "--output-policy", tmp_path / "policy").returncode == 0
    copied = fetch(parse_source(str(tmp_path / "policy")), Kind.POLICY, tmp_path / "copy")
    assert (copied.source, copied.revision) == (POLICY, COMMIT)


def test_a_folder_that_exists_wins_over_a_repository_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab" / "reach-act").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse_source(POLICY) == Folder(Path(POLICY))
    with pytest.raises(UsageError, match="local folder, which has no revision"):
        parse_source(POLICY, "main")
