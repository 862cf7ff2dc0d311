"""The thread that decodes ahead."""

import threading
from collections.abc import Generator

import pytest

from lerobot_inference.dataset.prefetch import prefetch
from lerobot_inference.errors import DatasetError


def prefetch_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_items_keep_their_order() -> None:
    assert list(prefetch((n for n in range(100)), depth=3)) == list(range(100))


def test_an_item_may_be_none() -> None:
    assert list(prefetch((n for n in (None, 1, None)), depth=2)) == [None, 1, None]


def test_nothing_is_an_empty_sequence() -> None:
    assert list(prefetch((n for n in ()), depth=2)) == []
    assert prefetch_threads() == []


def test_it_never_runs_further_ahead_than_its_depth() -> None:
    made: list[int] = []

    def make() -> Generator[int]:
        for n in range(100):
            made.append(n)
            yield n

    for n in prefetch(make(), depth=4):
        assert len(made) <= n + 1 + 4


def test_an_error_arrives_after_the_items_before_it() -> None:
    def make() -> Generator[int]:
        yield 1
        yield 2
        raise DatasetError("frame 3 is gone")

    items = prefetch(make(), depth=8)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(DatasetError, match="frame 3 is gone"):
        next(items)
    assert prefetch_threads() == []


def test_stopping_early_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def make() -> Generator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    items = prefetch(make(), depth=2)
    assert next(items) == 0
    items.close()
    assert closed.is_set()
    assert prefetch_threads() == []
