"""Run an iterator ahead of its consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor


def prefetch[T](items: Generator[T], depth: int) -> Generator[T]:
    """Yield the items in order while a thread computes up to `depth` more.

    What `items` raises is raised here, at its place in the order. Closing this closes `items` and ends the thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        pending = deque(pool.submit(next, items, None) for _ in range(depth))
        try:
            while (item := pending.popleft().result()) is not None:
                pending.append(pool.submit(next, items, None))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
            items.close()
