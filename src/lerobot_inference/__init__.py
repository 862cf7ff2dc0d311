"""Evaluate, gate, register and deploy LeRobot ACT policies for a UR10e."""

from importlib.metadata import version

__version__ = version("lerobot-inference")
