"""Judge results by the gate against the champion that the registry holds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.gate import VERDICT_FILE, Champion, GateVerdict, judge
from lerobot_inference.evaluation.results import RESULTS_FILE, EvalResults
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.evaluation.rules import GateRules
from lerobot_inference.records import save_record
from lerobot_inference.registry.base import ModelRegistry, ModelVersion, check_model_name
from lerobot_inference.registry.mlflow import open_registry
from lerobot_inference.tracking import Store, connect, has_store

SHA256_TAG = "sha256."
"""Before a file's name: the tag with its hash."""


def gate(results: Path, rules: GateRules, model_name: str, champion_results: Path | None, output: Path) -> GateVerdict:
    """Judge a results folder without registering anything, and write verdict.json.

    champion_results: an evaluation of the champion on the same episodes; the one it was registered with when None.

    Raises UsageError for a bad model name, ConfigError naming the file and what doesn't fit, ServiceError and
    StorageError.
    """
    check_model_name(model_name)
    loaded = load_results(results)
    champion = None
    if has_store():
        store = connect()
        champion = find_champion(store, open_registry(store), model_name)
    verdict = judge(loaded, rules, evaluated_by(champion, champion_results, model_name))
    save_record(verdict, output / VERDICT_FILE)
    return verdict


def find_champion(store: Store, registry: ModelRegistry, model: str) -> Champion | None:
    """The registry's champion with the evaluation that its own run logged; None when there is none.

    Raises ServiceError, StorageError.
    """
    found = registry.champion(model)
    if found is None:
        return None
    files = registered_files(found.tags)
    if not files:
        return Champion(found.version, files, "it wasn't registered by lerobot-inference register")
    return Champion(found.version, files, _logged_results(store, found, files))


def evaluated_by(champion: Champion | None, folder: Path | None, model: str) -> Champion | None:
    """The champion with the evaluation in `folder` in place of its own; as it is when `folder` is None.

    Raises ConfigError unless these are results of the champion's registered files.
    """
    if folder is None:
        return champion
    results = load_results(folder)
    if champion is None:
        raise ConfigError(f"{folder}: model {model} has no champion that these results could be of")
    evaluated = results.provenance.policy_files
    for name in sorted(evaluated.keys() | champion.files.keys()):
        if evaluated.get(name) != champion.files.get(name):
            found, expected = (_begin(files.get(name)) for files in (evaluated, champion.files))
            raise ConfigError(
                f"{folder}: these results are not of the champion, version {champion.version} of {model}: "
                f"{name} has sha256 {found}, registered was {expected}",
                hint=f"fetch models:/{model}/{champion.version} from the registry and evaluate that",
            )
    return Champion(champion.version, champion.files, results)


def registered_files(tags: Mapping[str, str]) -> dict[str, str]:
    """File name -> sha256, from the tags of a version."""
    return {key.removeprefix(SHA256_TAG): value for key, value in tags.items() if key.startswith(SHA256_TAG)}


def _logged_results(store: Store, version: ModelVersion, files: Mapping[str, str]) -> EvalResults | str:
    """What its run logged, or why there is nothing to compare with."""
    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        if store.fetch_artifact(version.run_id, RESULTS_FILE, Path(folder)) is None:
            return f"its run holds no {RESULTS_FILE}"
        try:
            results = load_results(Path(folder))
        except ConfigError as error:
            return f"its {RESULTS_FILE} can't be read by this version:{error.message.partition(':')[2]}"
    if results.provenance.policy_files != files:
        return f"its run's {RESULTS_FILE} is of other files than those registered"
    return results


def _begin(sha256: str | None) -> str:
    return f"{sha256[:12]}…" if sha256 else "none"
