"""A trained policy on disk: verify it, read its config, weights and statistics. Never imports torch."""

from lerobot_inference.checkpoint.checkpoint import Checkpoint
from lerobot_inference.checkpoint.config import ActConfig
from lerobot_inference.checkpoint.normalization import FeatureNormalization, Normalization, NormalizationMode

__all__ = ["ActConfig", "Checkpoint", "FeatureNormalization", "Normalization", "NormalizationMode"]
