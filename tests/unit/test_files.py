"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from lerobot_inference.errors import StorageError, UsageError
from lerobot_inference.files import atomic_folder, atomic_write, require_replaceable, sha256_file, storage_errors


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "new" / "a.txt").exists()
        temporary.write_text("whole")
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert names(tmp_path / "new") == ["a.txt"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ValueError, match="interrupted"), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise ValueError("interrupted")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_failed_folder_keeps_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with pytest.raises(ValueError, match="interrupted"), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "new").touch()
        raise ValueError("interrupted")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["old"]


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "new").touch()
    assert names(tmp_path / "out") == ["new"]


def test_a_replacement_that_is_killed_leaves_no_half_of_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it would be taken for a person's own files, which nothing replaces."""
    (tmp_path / "out").mkdir()
    for name in ("mark", "old"):
        (tmp_path / "out" / name).touch()
    remove = shutil.rmtree

    def killed(folder: Path, **options: bool) -> None:
        if (folder / "old").exists():
            (folder / "mark").unlink()
            raise KeyboardInterrupt
        remove(folder, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "mark").touch()
        patch.setattr(shutil, "rmtree", killed)
    assert names(tmp_path / "out") == ["mark"]
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "new").touch()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new"]


def test_two_that_write_one_folder_at_once_do_not_mix_their_files(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "first").touch()
        said = "out.partial: another process writes into it"
        with pytest.raises(StorageError, match=said), atomic_folder(tmp_path / "out") as another:
            (another / "second").touch()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["first"]


def test_a_folder_behind_a_link_is_replaced_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "disk" / "out").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "new").touch()
    assert (tmp_path / "out").is_symlink()
    assert names(tmp_path / "disk") == ["out"]
    assert names(tmp_path / "disk" / "out") == ["new"]


def test_only_a_new_an_empty_or_an_earlier_output_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "mark.json").touch()
    for name in ("new", "empty", "earlier"):
        require_replaceable(tmp_path / name, "run", "mark.json")
    (tmp_path / "file").touch()
    for other in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="is not empty and holds no earlier run"):
            require_replaceable(other, "run", "mark.json")


def test_the_folder_that_a_program_runs_in_is_not_taken_from_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in (Path(), Path("..")):
        with pytest.raises(UsageError, match="the folder that this runs in"):
            require_replaceable(path, "run", "mark.json")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_is_said_in_one_line_with_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="results.json: the disk is full") as caught,
        storage_errors(tmp_path / "results.json"),
    ):
        Path("/dev/full").write_text("x")
    assert caught.value.exit_code == 7
    assert "free some space" in str(caught.value.hint)


def test_a_file_where_a_folder_should_be_is_said_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    said = "a file is where a folder should be"
    with pytest.raises(StorageError, match=rf"taken/a\.txt: {said}"), atomic_write(tmp_path / "taken" / "a.txt"):
        pass
    with pytest.raises(StorageError, match=f"taken: {said}"), atomic_folder(tmp_path / "taken"):
        pass
    assert (tmp_path / "taken").read_text() == "mine"
    assert names(tmp_path) == ["taken"]


def test_a_folder_where_a_file_should_be_is_said_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    said = "taken: a folder is where the file should be"
    with pytest.raises(StorageError, match=said), atomic_write(tmp_path / "taken") as temporary:
        temporary.touch()
    assert names(tmp_path) == ["taken"]
    assert names(tmp_path / "taken") == ["inside"]


def test_an_unrelated_os_error_passes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        (tmp_path / "missing").read_text()


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
