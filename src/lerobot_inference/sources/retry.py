"""Try again what a network or a busy service broke off."""

from __future__ import annotations

import time
from collections.abc import Callable

from lerobot_inference.errors import ServiceError

BUSY = (408, 429, 500, 502, 503, 504)
"""HTTP statuses that may be gone when tried again."""
KEPT = "run the same command again; what was downloaded is kept"
WAITS_S = (0.5, 1.0, 2.0, 4.0)
LONGEST_WAIT_S = 300.0  # the Hub counts requests in windows of five minutes


class TransientError(ServiceError):
    """May be gone when tried again. wait_s: how long the service asked us to wait, in seconds."""

    def __init__(self, message: str, hint: str | None = None, wait_s: float = 0.0) -> None:
        super().__init__(message, hint)
        self.wait_s = wait_s


def retried[T](call: Callable[[], T], wait: Callable[[float], object] = time.sleep) -> T:
    """What `call` returns, called again a few times after a TransientError; the last one is raised.

    wait: spends that many seconds between two calls.
    """
    for wait_s in WAITS_S:
        try:
            return call()
        except TransientError as error:
            wait(min(max(wait_s, error.wait_s), LONGEST_WAIT_S))
    return call()
