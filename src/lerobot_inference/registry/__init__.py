"""Results and a gate in, a verdict and a registered model version out."""

from lerobot_inference.registry.base import DEFAULT_MODEL_NAME
from lerobot_inference.registry.judge import gate
from lerobot_inference.registry.register import Candidate, Registration, register

__all__ = ["DEFAULT_MODEL_NAME", "Candidate", "Registration", "gate", "register"]
