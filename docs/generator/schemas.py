"""JSON Schemas of the files that are written and read."""

from __future__ import annotations

import json

from pydantic import BaseModel

from lerobot_inference.checkpoint import BundleContract, BundleManifest
from lerobot_inference.evaluation.gate import GateVerdict
from lerobot_inference.evaluation.pieces import PieceRecord
from lerobot_inference.evaluation.results import EvalResults, Failure
from lerobot_inference.evaluation.resume import EvaluationRecord
from lerobot_inference.evaluation.work_items import WorkItem
from lerobot_inference.jobs.lint import LintReport
from lerobot_inference.jobs.record import RunRecord
from lerobot_inference.jobs.submit import SubmittedJob
from lerobot_inference.registry import Registration
from lerobot_inference.ros2.status import Status
from lerobot_inference.sources import Manifest
from lerobot_inference.tracking import TrackingRecord

SCHEMAS: dict[str, type[BaseModel]] = {
    "eval_results": EvalResults,
    "failure_cases": Failure,
    "plan": EvaluationRecord,
    "download": Manifest,
    "verdict": GateVerdict,
    "registration": Registration,
    "manifest": BundleManifest,
    "contract": BundleContract,
    "run": RunRecord,
    "lint": LintReport,
    "piece": PieceRecord,
    "work_item": WorkItem,
    "tracking": TrackingRecord,
    "job": SubmittedJob,
    "status": Status,
}


def files() -> dict[str, str]:
    """reference/NAME.schema.json for each."""
    return {
        f"{name}.schema.json": json.dumps(record.model_json_schema(mode="serialization"), indent=2) + "\n"
        for name, record in SCHEMAS.items()
    }
