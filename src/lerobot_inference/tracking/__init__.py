"""Results in, an MLflow run out. Only calls that Azure ML's MLflow also answers."""

from lerobot_inference.tracking.log import log_evaluation
from lerobot_inference.tracking.store import DEFAULT_EXPERIMENT, Run, Store, connect

__all__ = ["DEFAULT_EXPERIMENT", "Run", "Store", "connect", "log_evaluation"]
