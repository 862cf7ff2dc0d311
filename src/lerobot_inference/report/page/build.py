"""Draw the plots, then write the page that shows them beside the figures and the episodes."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import ConfigError, require
from lerobot_inference.evaluation.gate import GateVerdict
from lerobot_inference.evaluation.predictions import EpisodePredictions
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_predictions, load_results
from lerobot_inference.files import atomic_write, sha256_file
from lerobot_inference.report.page import tables
from lerobot_inference.report.page.explorer import Explorer, explore
from lerobot_inference.report.page.pictures import embed_pictures
from lerobot_inference.report.page.subject import describe, failures, fine_print, missing_figures, ranges
from lerobot_inference.report.page.verdict import describe_verdict
from lerobot_inference.report.render import render_plots
from lerobot_inference.report.text import source_name
from lerobot_inference.types import Progress, silent

PAGE_FILE = "report.html"
HERE = Path(__file__).parent
TEMPLATE, STYLE, SCRIPTS = "report.html.j2", "report.css", ("curves.js", "explorer.js")


@dataclass(frozen=True)
class Report:
    """What was written. plots: the run's own first. page: report.html, beside the plots' folder."""

    plots: list[Path]
    page: Path


def write_report(
    results_folder: Path,
    output: Path,
    dataset: Path | None = None,
    verdict: Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Write `output/plots` and `output/report.html`, replacing what was there.

    dataset: folder of the dataset that was evaluated; its camera frames go into the page. verdict: folder that `gate`
    wrote. Raises ConfigError when results or verdict can't be read, or the dataset is another one; DatasetError;
    UsageError without matplotlib or jinja2; StorageError. The page that was there before then stays.
    """
    require("jinja2", "report")
    results = load_results(results_folder)
    judged = GateVerdict.load(verdict) if verdict else None
    recorded = open_evaluated(dataset, results, results_folder) if dataset else None
    data = {
        score.episode: load_predictions(results_folder, results, score)
        for score in sorted(results.per_episode, key=lambda score: score.episode)
    }
    explorer = explore(results, data, recorded, progress)
    plots = render_plots(results_folder, output, progress)
    run_plots = [path for path in plots if path.parent == plots[0].parent]
    page = render_page(results, results_folder, judged, explorer, run_plots, data)
    with atomic_write(output / PAGE_FILE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Report(plots, output / PAGE_FILE)


def open_evaluated(folder: Path, results: EvalResults, results_folder: Path) -> Dataset:
    """The dataset in `folder`, known by the hashes of its meta files. Raises ConfigError when it is another one."""
    evaluated = {name: sha for name, sha in results.provenance.dataset_files.items() if name.startswith("meta/")}
    if not evaluated:
        raise ConfigError(
            f"{results_folder}: provenance.dataset_files names no file of meta/, so the dataset can't be recognised",
            hint="run evaluate again to write it, or plot without --dataset",
        )
    for name, sha256 in evaluated.items():
        path = folder / name
        found = sha256_file(path) if path.is_file() else None
        if found != sha256:
            state = f"is {found[:12]}…" if found else "is missing"
            raise ConfigError(
                f"{path}: not the dataset of these results: {name} {state}, {sha256[:12]}… when evaluated",
                hint=f"give the dataset that was evaluated, {results.dataset_repo_id}, or plot without --dataset",
            )
    return Dataset.open(folder)


def render_page(
    results: EvalResults,
    results_folder: Path,
    verdict: GateVerdict | None,
    explorer: Explorer,
    run_plots: list[Path],
    data: dict[int, EpisodePredictions],
) -> str:
    """The whole page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(HERE)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"breakable": _breakable, "source_name": source_name}
    style, script = _source(STYLE), "".join(_source(name) for name in SCRIPTS)
    context: dict[str, Any] = {
        # Nothing may be fetched, and no script runs but our own: the rest of the page is names that others chose.
        "content_policy": f"default-src 'none'; img-src data:; style-src {_csp_hash(style)}; "
        f"script-src {_csp_hash(script)}; base-uri 'none'; form-action 'none'",
        "style": Markup(style),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own file
        "results": results,
        "verdict": describe_verdict(verdict) if verdict else None,
        "subject": describe(results),
        "fine_print": fine_print(results),
        "missing": missing_figures(results),
        "numbers": tables.headline(results),
        "timing": tables.timing(results),
        "joints": tables.joints(results),
        "baselines": tables.baselines(results),
        "robustness": tables.robustness(results),
        "episodes": tables.episodes(results, explorer.episodes),
        "worst": tables.worst(results, explorer.episodes),
        "failures": failures(results_folder),
        "pictures": embed_pictures(run_plots, results, list(data.values())),
        "explorer": explorer,
        "left_out": ranges(explorer.left_out),
        "explorer_json": Markup(explorer.script_json()),  # noqa: S704 - escaped for a script element
    }
    return environment.get_template(TEMPLATE).render(context)


def _breakable(text: str) -> str:
    """The text, escaped, with a place to break the line behind each dot of a figure's path."""
    from markupsafe import Markup

    return Markup("<wbr>").join(re.split(r"(?<=[a-z]\.)(?=[a-z])", text))


def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
