"""All that is wrong with OSMO workflow files, as far as it can be told without OSMO's server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lerobot_inference.jobs.document import DocumentError, Problem
from lerobot_inference.jobs.lint import LintReport
from lerobot_inference.jobs.osmo.workflow import read_workflow


def lint_workflows(paths: Sequence[Path]) -> LintReport:
    """Look at each file and collect every problem."""
    problems: list[Problem] = []
    for path in paths:
        try:
            read_workflow(path)
        except DocumentError as error:
            problems += error.problems
    return LintReport(files=[str(path) for path in paths], problems=problems, azure_sdk=None)
