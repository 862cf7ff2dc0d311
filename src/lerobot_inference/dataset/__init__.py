"""A LeRobot v3.0 dataset on disk, read without torch: metadata, table, video frames."""

from __future__ import annotations

from lerobot_inference.dataset.action_mode import ActionModeEvidence, infer_action_mode
from lerobot_inference.dataset.dataset import Dataset
from lerobot_inference.dataset.episode import Episode

__all__ = ["ActionModeEvidence", "Dataset", "Episode", "infer_action_mode"]
