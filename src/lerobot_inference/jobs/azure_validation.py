"""What Azure's own SDK says about a file, without any network."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lerobot_inference.errors import UsageError, require
from lerobot_inference.jobs.document import Document


def azure_version() -> str | None:
    """The version of the installed SDK, None where the `azure` extra is not installed."""
    try:
        require("azure.ai.ml", "azure")
    except UsageError:
        return None
    return importlib.metadata.version("azure-ai-ml")


def validate(document: Document, kind: str) -> None:
    """Report what the SDK refuses when it loads and validates a file. Needs the `azure` extra.

    kind: component, environment or pipeline; it knows nothing of others.
    """
    from azure.ai.ml import load_component, load_environment, load_job

    loaders: dict[str, Callable[[Path], Any]] = {
        "component": load_component,
        "environment": load_environment,
        "pipeline": load_job,
    }
    if kind not in loaders:
        return
    with _quiet():
        try:
            loaded = loaders[kind](document.path)
            # An environment has no validation beyond its schema.
            found = loaded._validate().error_messages if hasattr(loaded, "_validate") else {}
        except Exception as error:  # it raises whatever it stumbles over, ValueError and TypeError included
            found = dict(_said(str(error)))
    for field, message in found.items():
        first, _, rest = message.partition("\n")
        hint = " ".join(rest.split()) or "this is what submitting it would say"
        document.report(f"Azure's SDK: {first}", *filter(None, field.split(".")), hint=hint)


def _said(text: str) -> Iterator[tuple[str, str]]:
    """Field -> message, out of the text of an exception: it holds JSON, in one of two shapes."""
    start = text.find("{")
    try:
        found = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else {}
    except ValueError:
        found = {}
    if "errors" in found:
        yield from ((str(error["path"]), str(error["message"])) for error in found["errors"])
    elif found:
        yield from _leaves(found)
    else:
        yield "", text.strip() or "refuses it"


def _leaves(found: object, *field: str) -> Iterator[tuple[str, str]]:
    """Every message in nested JSON, with the keys that lead to it."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _leaves(value, *field, *([] if key == "_schema" else [str(key)]))
    elif isinstance(found, list) and any(isinstance(item, Mapping) for item in found):
        for item in found:
            yield from _leaves(item, *field)
    else:
        yield ".".join(field), "; ".join(map(str, found)) if isinstance(found, list) else str(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the SDK's remarks about experimental classes and unused names to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
