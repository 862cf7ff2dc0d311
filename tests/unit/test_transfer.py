"""Files of any source: which names are taken, and how bytes arrive over a connection that breaks."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_inference.errors import InputError, ServiceError, StorageError
from lerobot_inference.sources import Kind, fetch, read_manifest
from lerobot_inference.sources.retry import WAITS_S, TransientError, retried
from lerobot_inference.sources.snapshot import Checksum, RemoteFile, Snapshot, fingerprint
from lerobot_inference.sources.transfer import INCOMPLETE, transfer
from lerobot_inference.types import silent


class Origin:
    """Files in memory. cuts: bytes after which each next read breaks; read: (name, first byte, bytes) of each."""

    def __init__(self, **contents: bytes) -> None:
        self.contents, self.cuts, self.read = contents, list[int](), list[tuple[str, int, int]]()

    def snapshot(self, **announced: RemoteFile) -> Snapshot:
        return Snapshot(
            "here", "1", tuple(({n: describe(n, c) for n, c in self.contents.items()} | announced).values()), self.get
        )

    def get(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        content = self.contents[file.name]
        end = start + self.cuts.pop(0) if self.cuts else len(content)
        self.read.append((file.name, start, len(content[start:end])))
        yield from (content[at : min(at + 7, end)] for at in range(start, min(end, len(content)), 7))
        if end < len(content):
            raise TransientError("cut")


@dataclass(frozen=True)
class Whole:
    """A source that holds one snapshot."""

    snapshot: Snapshot
    name: str = "here"
    revision: str | None = None
    pin_hint: str | None = None

    def open(self, kind: Kind) -> Snapshot:
        del kind
        return self.snapshot


def describe(name: str, content: bytes) -> RemoteFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return RemoteFile(name, len(content), sha256, Checksum("sha256", sha256))


def test_checksums_of_every_algorithm_fit_their_bytes_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello\n")
    known = {
        "sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        "md5": "b1946ac92492d2347c6235b4d2611184",
        "git": "ce013625030ba8dba906f756967f9e9ca394464a",  # what `git hash-object` prints
    }
    for algorithm, value in known.items():
        assert Checksum(algorithm, value).fits(tmp_path / "file")
        assert not Checksum(algorithm, "0" + value[1:]).fits(tmp_path / "file")


@given(content=st.binary(max_size=60), cuts=st.lists(st.integers(1, 30), max_size=6))
def test_a_connection_may_break_anywhere_and_no_byte_is_sent_twice(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int]
) -> None:
    folder, origin = tmp_path_factory.mktemp("transfer"), Origin(file=content)
    origin.cuts = list(cuts)
    hashes = transfer(origin.snapshot(), folder, "here", silent)
    assert (folder / "file").read_bytes() == content
    assert hashes == {"file": hashlib.sha256(content).hexdigest()}
    assert sum(count for _, _, count in origin.read) == len(content)


def test_what_an_earlier_try_left_is_gone_on_with_and_whole_files_are_not_asked_for(tmp_path: Path) -> None:
    origin = Origin(whole=b"w" * 20, begun=b"b" * 20)
    (tmp_path / INCOMPLETE).mkdir()
    (tmp_path / "whole").write_bytes(b"w" * 20)
    (tmp_path / INCOMPLETE / "begun").write_bytes(b"b" * 8)
    transfer(origin.snapshot(), tmp_path, "here", silent)
    assert origin.read == [("begun", 8, 12)]


def test_bytes_that_were_damaged_on_disk_are_found_and_fetched_again_the_next_time(tmp_path: Path) -> None:
    origin = Origin(file=b"b" * 20)
    (tmp_path / INCOMPLETE).mkdir()
    (tmp_path / INCOMPLETE / "file").write_bytes(b"?" * 8)
    with pytest.raises(InputError, match="here: file: its bytes are not those that were announced"):
        transfer(origin.snapshot(), tmp_path, "here", silent)
    assert not (tmp_path / "file").exists()
    transfer(origin.snapshot(), tmp_path, "here", silent)
    assert (tmp_path / "file").read_bytes() == b"b" * 20


def test_not_a_byte_more_than_announced_reaches_the_disk(tmp_path: Path) -> None:
    origin = Origin(file=b"b" * 10_000)
    with pytest.raises(InputError, match="file: is larger than the 20 bytes that were announced"):
        transfer(origin.snapshot(file=describe("file", b"b" * 20)), tmp_path, "here", silent)
    assert not (tmp_path / "file").exists()
    assert (tmp_path / INCOMPLETE / "file").stat().st_size == 0


def test_a_file_that_fails_stops_those_that_wait_and_is_the_error(tmp_path: Path) -> None:
    origin = Origin(**{f"file{count:02}": bytes(20) for count in range(40)})
    with pytest.raises(InputError, match="file00: its bytes"):
        transfer(origin.snapshot(file00=describe("file00", b"?" * 20)), tmp_path, "here", silent)
    assert len(origin.read) < 40


def test_two_downloads_to_the_same_place_do_not_mix_their_bytes(tmp_path: Path) -> None:
    origin, partial = Origin(file=b"b" * 20), tmp_path / INCOMPLETE / "file"
    partial.parent.mkdir()
    with partial.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="file: another process is downloading to it"):
            transfer(origin.snapshot(), tmp_path, "here", silent)
    transfer(origin.snapshot(), tmp_path, "here", silent)
    assert (tmp_path / "file").read_bytes() == b"b" * 20


def test_a_source_without_checksums_is_held_to_the_sizes(tmp_path: Path) -> None:
    origin = Origin(file=b"b" * 20)
    assert transfer(origin.snapshot(file=RemoteFile("file", 20, "tag", None)), tmp_path, "here", silent)
    assert (tmp_path / "file").read_bytes() == b"b" * 20


def test_a_try_that_ended_just_before_the_rename_is_finished_by_the_next(tmp_path: Path) -> None:
    origin = Origin(**{"config.json": b"{}"})
    snapshot = origin.snapshot()
    (partial := tmp_path / f".policy.{fingerprint(snapshot.files)[:12]}.partial").mkdir()
    (partial / "config.json").write_bytes(b"{}")
    manifest = fetch(Whole(snapshot), Kind.POLICY, tmp_path / "policy")
    assert origin.read == []
    assert read_manifest(tmp_path / "policy") == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_what_may_pass_is_tried_again_at_growing_intervals_and_no_longer_than_asked() -> None:
    waits, problems = list[float](), [TransientError("busy"), TransientError("busy", wait_s=30.0)]

    def call() -> str:
        if problems:
            raise problems.pop(0)
        return "done"

    assert retried(call, waits.append) == "done"
    assert waits == [WAITS_S[0], 30.0]


def test_what_does_not_pass_is_raised_at_the_end_and_what_cannot_pass_at_once() -> None:
    waits = list[float]()

    def call(error: ServiceError) -> None:
        raise error

    with pytest.raises(ServiceError, match="refused"):
        retried(lambda: call(ServiceError("refused")), waits.append)
    assert waits == []
    with pytest.raises(TransientError, match="busy"):
        retried(lambda: call(TransientError("busy")), waits.append)
    assert waits == list(WAITS_S)


@pytest.mark.parametrize(
    "name",
    [
        *("../x.json", "a/../../x.json", "/etc/x.json", "a//x.json", "./x.json", "a\0.json", "a\n.json"),
        *("C:x.json", "C:/x.json", "a\\..\\x.json", "\\\\host\\share\\x.json"),
    ],
)
def test_names_that_would_leave_the_folder_on_any_system_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="org/name: refused, it lists a file named"):
        Kind.POLICY.select(["config.json", name], "org/name")


@given(name=st.text(st.sampled_from("ab./\\: "), min_size=1, max_size=12).map(lambda text: f"{text}.json"))
def test_every_name_that_is_taken_stays_in_the_folder(name: str) -> None:
    folder = Path("/folder")
    try:
        taken = Kind.POLICY.select([name, "config.json"], "org/name")
    except InputError:
        return
    assert all((folder / each).resolve().is_relative_to(folder) for each in taken)
    assert all((folder / each).as_posix() == f"/folder/{each}" for each in taken)


def test_hidden_files_earlier_manifests_pickles_and_code_are_left_where_they_are() -> None:
    names = ["config.json", "download.json", "old/download.json", ".cache/x.json", "model.pt", "model.py"]
    assert Kind.POLICY.select(names, "org/name") == ["config.json"]


def test_a_name_that_is_both_a_file_and_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match="'data/a' is listed as a file and as a folder"):
        Kind.DATASET.select(["data/a", "data/a/b.parquet"], "org/name")


def test_a_source_with_none_of_the_files_says_which_were_expected() -> None:
    with pytest.raises(InputError, match="holds none of the files of a dataset"):
        Kind.DATASET.select(["config.json"], "org/name")


def test_a_fingerprint_changes_with_every_name_size_and_tag_and_not_with_the_order() -> None:
    first, second = RemoteFile("a", 1, "x", None), RemoteFile("b", 2, "y", None)
    others = [RemoteFile("c", 1, "x", None), RemoteFile("a", 2, "x", None), RemoteFile("a", 1, "z", None)]
    known = fingerprint((first, second))
    assert fingerprint((second, first)) == known
    assert known not in {fingerprint((other, second)) for other in others}
