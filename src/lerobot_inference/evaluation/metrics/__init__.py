"""The figures of an evaluation. One file a metric: a function from steps to a `Mean`, registered in `score.py`."""

from lerobot_inference.evaluation.metrics.error import ErrorSum, Spread
from lerobot_inference.evaluation.metrics.latency import latency
from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.score import ProtocolScore, measure_chunks, measure_deployed
from lerobot_inference.evaluation.metrics.windows import Chunks, Deployed, Windows

__all__ = [
    "Chunks",
    "Deployed",
    "ErrorSum",
    "Mean",
    "ProtocolScore",
    "Spread",
    "Windows",
    "latency",
    "measure_chunks",
    "measure_deployed",
]
