"""Results in, an MLflow run out. Only calls that Azure ML's MLflow also answers."""

from lerobot_inference.tracking.log import REPORT_FILE, log_evaluation
from lerobot_inference.tracking.store import DEFAULT_EXPERIMENT, Run, Store, connect, has_store

__all__ = ["DEFAULT_EXPERIMENT", "REPORT_FILE", "Run", "Store", "connect", "has_store", "log_evaluation"]
