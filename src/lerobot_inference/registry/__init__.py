"""Results and a gate in, a verdict and a registered model version out."""

from lerobot_inference.registry.base import DEFAULT_MODEL_NAME
from lerobot_inference.registry.judge import gate
from lerobot_inference.registry.register import Candidate, Registration, is_registered, register

__all__ = ["DEFAULT_MODEL_NAME", "Candidate", "Registration", "gate", "is_registered", "register"]
