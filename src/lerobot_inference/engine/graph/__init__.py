"""A lerobot ACT checkpoint as one ONNX graph: numpy, safetensors and onnx only, never torch."""

from lerobot_inference.engine.graph.policy import build_graph, write_graph

__all__ = ["build_graph", "write_graph"]
