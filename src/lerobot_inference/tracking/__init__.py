"""Results in, an MLflow run out. Only calls that Azure ML's MLflow also answers."""

from lerobot_inference.tracking.log import REPORT_FILE, Evaluation, log_evaluation
from lerobot_inference.tracking.record import TRACKING_FILE, TrackingRecord
from lerobot_inference.tracking.run import Run, Upload, open_run
from lerobot_inference.tracking.store import DEFAULT_EXPERIMENT, Store, connect, has_store
from lerobot_inference.tracking.upload import upload
from lerobot_inference.tracking.workspace import workspace_uri

__all__ = [
    "DEFAULT_EXPERIMENT",
    "REPORT_FILE",
    "TRACKING_FILE",
    "Evaluation",
    "Run",
    "Store",
    "TrackingRecord",
    "Upload",
    "connect",
    "has_store",
    "log_evaluation",
    "open_run",
    "upload",
    "workspace_uri",
]
