"""Run an iterator ahead of its consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor


def prefetch[T](items: Generator[T], depth: int) -> Generator[T]:
    """Yield the items in order while a thread of its own computes up to `depth` more.

    What `items` raises is raised here, at its place in the order. Closing this closes `items` and ends the thread,
    after the item that it is computing.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        pending = deque(pool.submit(next, items) for _ in range(depth))
        try:
            while True:
                try:
                    item = pending.popleft().result()
                except StopIteration:
                    return
                pending.append(pool.submit(next, items))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
            items.close()
