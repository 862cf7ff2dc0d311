"""Play one chunk while the next is computed, and hand over without a jump."""

from __future__ import annotations

import numpy as np

from lerobot_inference.control.schedule import stack
from lerobot_inference.errors import UsageError
from lerobot_inference.types import ActionMode, FloatArray

FADE_TICKS = 5


class PrefetchSchedule:
    """Ask for the next chunk `lead` actions before `n_action_steps` of this one are used up, and play on meanwhile.

    The new chunk takes over at the action that is due when it arrives, not at its first: what it says of ticks that
    have passed is skipped. Chunks disagree, so where (absolute) and how fast the arm has been going differently is
    cancelled at that moment and fades out over FADE_TICKS: the joint positions asked for are C1. Where the next chunk
    comes late, the rest of the present one is played.
    """

    def __init__(self, n_action_steps: int, mode: ActionMode, lead: int) -> None:
        if not 0 <= lead < n_action_steps:
            raise UsageError(
                f"the next chunk can't be asked for {lead} actions before {n_action_steps} are used up",
                hint="a lead must be shorter than n_action_steps: let more of a chunk be used, or use a faster engine",
            )
        self.n_action_steps = n_action_steps
        self.lead = lead
        self._mode = mode
        self._chunk: FloatArray = np.empty((0, 0), np.float32)
        self._used = 0
        self._last: FloatArray | None = None

    @property
    def needs_chunk(self) -> bool:
        """True once all but `lead` of the n_action_steps are used."""
        return not self.ready or self._used >= self.n_action_steps - self.lead

    @property
    def ready(self) -> bool:
        """True unless the chunk is used up to its end."""
        return self._used < len(self._chunk)

    def chunk_ticks(self, ticks: int) -> range:
        """Where each chunk arrives at once: every (n_action_steps - lead)-th tick."""
        return range(0, ticks, self.n_action_steps - self.lead)

    def add_chunk(self, chunk: FloatArray, late: int = 0) -> None:
        """Take over at chunk[late]; chunk: (chunk, A) radians. One that comes too late for all of it is ignored."""
        if late >= len(chunk):
            return
        coming = chunk[late:]
        if self._last is not None and self.ready:  # else the arm stands still, and there is nothing to go on from
            coming = self._handed_over(coming, chunk[late - 1 : late])
        self._chunk, self._used = coming, 0

    def next_action(self) -> FloatArray:
        """The action (A,) that is due. Raises IndexError when a chunk is needed first."""
        if not self.ready:
            raise IndexError("the chunk is used up")
        action: FloatArray = self._chunk[self._used]
        self._used += 1
        self._last = action
        return action

    def coming(self, count: int) -> FloatArray:
        """The rest of the chunk, (up to count, A)."""
        return stack(list(self._chunk[self._used : self._used + count]))

    def reset(self) -> None:
        """Forget everything."""
        self._chunk, self._used, self._last = self._chunk[:0], 0, None

    def _handed_over(self, coming: FloatArray, passed: FloatArray) -> FloatArray:
        """The new chunk's actions (n, A), plus what the present one says otherwise, faded out.

        passed: (1, A) the new chunk's own action for the last given tick; (0, A) where it begins after that.
        """
        last = np.empty_like(passed) if self._last is None or not len(passed) else self._last[None]
        old = np.concatenate([last, self._chunk[self._used :]])
        new = np.concatenate([passed, coming])
        both = min(2, len(old), len(new))
        otherwise = old[:both] - new[:both]
        if self._mode is ActionMode.DELTA:  # an action is how fast; where from is the last command, whatever it is
            left = np.linspace(1, 0, FADE_TICKS + 1, dtype=np.float32)[:, None] * otherwise[0]
        else:
            left = fade(otherwise[0], otherwise[-1] - otherwise[0])
        added = left[1 : len(coming) + 1]
        handed = coming.copy()
        handed[: len(added)] += added
        return handed


def fade(offset: FloatArray, speed: FloatArray, ticks: int = FADE_TICKS) -> FloatArray:
    """(ticks + 1, A) a difference of position and speed (per tick) that vanishes, with its speed, after `ticks`.

    The cubic of Hermite through offset and speed at the beginning and through rest at 0.
    """
    s = np.arange(ticks + 1, dtype=np.float32)[:, None] / np.float32(ticks)
    faded: FloatArray = (2 * s**3 - 3 * s**2 + 1) * offset + (s**3 - 2 * s**2 + s) * ticks * speed
    return faded.astype(np.float32)
