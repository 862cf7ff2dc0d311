"""A lerobot ACT checkpoint as one ONNX graph: numpy, safetensors and onnx only, never torch."""

from lerobot_inference.engine.graph.policy import GRAPH_FILE, build_graph, write_graph

__all__ = ["GRAPH_FILE", "build_graph", "write_graph"]
