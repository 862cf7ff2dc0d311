"""Results and a gate in, a registered model version out."""

from lerobot_inference.registry.register import Candidate, Registration, register

__all__ = ["Candidate", "Registration", "register"]
