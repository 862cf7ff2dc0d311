"""Spectral arc length: how smooth a movement is, whatever its size and duration.

Balasubramanian, Melendez-Calderon & Burdet, "A robust and sensitive metric for quantifying movement smoothness"
(IEEE Trans. Biomed. Eng. 2012); the band ends where the spectrum falls below a threshold, as in Balasubramanian,
Melendez-Calderon, Roby-Brami & Burdet, "On the analysis of movement smoothness" (J. NeuroEng. Rehabil. 2015).
"""

from __future__ import annotations

import math

import numpy as np

from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.types import ActionMode, TimeArray

CUT_OFF_HZ = 10.0
AMPLITUDE_THRESHOLD = 0.05
PADDING_LEVEL = 4


def arc_length(actions: TimeArray, action_mode: ActionMode, fps: float) -> Mean:
    """Of the speed profile of actions (T, A), all joints as one vector; nothing where the arm does not move."""
    velocities = actions * fps if action_mode is ActionMode.DELTA else np.diff(actions, axis=0) * fps
    speed = np.linalg.norm(velocities, axis=1)
    if not speed.any():
        return Mean.none()
    return Mean(np.asarray(spectral_arc_length(speed, fps)), np.ones(()))


def spectral_arc_length(speed: TimeArray, fps: float) -> float:
    """-sum of hypot(df / width, dA) over the band of the speed's amplitude spectrum A(f), max A = 1; 0 is smoothest.

    speed: (T,), moving. The band: from the first to the last frequency up to CUT_OFF_HZ (or Nyquist's) with
    AMPLITUDE_THRESHOLD of the largest amplitude. The spectrum is that of the speed padded to 2^PADDING_LEVEL times the
    next power of two.
    """
    size = 2 ** (math.ceil(math.log2(len(speed))) + PADDING_LEVEL)
    frequencies, amplitudes = np.fft.rfftfreq(size, 1 / fps), np.abs(np.fft.rfft(speed, size))
    amplitudes /= amplitudes.max()
    loud = np.flatnonzero((frequencies <= CUT_OFF_HZ) & (amplitudes >= AMPLITUDE_THRESHOLD))
    band = slice(loud[0], loud[-1] + 1)
    width = frequencies[loud[-1]] - frequencies[loud[0]]
    if width == 0:
        return 0.0
    return -float(np.hypot(np.diff(frequencies[band]) / width, np.diff(amplitudes[band])).sum())
