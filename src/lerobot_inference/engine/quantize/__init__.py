"""A float32 policy graph as int8, calibrated on recorded frames: numpy, onnx and openvino only."""

from lerobot_inference.engine.quantize.recipe import quantize

__all__ = ["quantize"]
