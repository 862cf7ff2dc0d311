"""Everything that can go wrong, as few kinds as a person or a script needs to tell apart.

Every error carries a message that names the file and field, what was found and what was expected; a `hint`
that says what to do about it; and the exit code of the process that it ends.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class LerobotInferenceError(Exception):
    """Base of all errors that are meant for a person to read."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LerobotInferenceError):
    """The call asks for something that can't be: a bad option, an absent device or extra."""

    exit_code = 2


class InputError(LerobotInferenceError):
    """A file that was given is missing, damaged or doesn't fit the others."""

    exit_code = 3


class CheckpointError(InputError):
    """The trained policy can't be used."""


class DatasetError(InputError):
    """The dataset, or one episode of it, can't be read."""


class ConfigError(InputError):
    """A YAML or JSON file of ours (gate rules, pipeline, results) is wrong."""


class EngineError(LerobotInferenceError):
    """The policy ran and produced something unusable: wrong shape, NaN, infinity."""

    exit_code = 4


class EvaluationError(LerobotInferenceError):
    """Nothing could be scored."""

    exit_code = 4


class GateRejectedError(LerobotInferenceError):
    """The gate's verdict was `reject` and the caller asked for that to be an error."""

    exit_code = 5


class ServiceError(LerobotInferenceError):
    """The Hub, Azure or MLflow could not be reached or refused. Work on disk is kept."""

    exit_code = 6


class StorageError(LerobotInferenceError):
    """The disk is full or can't be written. Nothing half-written is left behind."""

    exit_code = 7


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of this package brings it.

    Raises UsageError when it isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise UsageError(
            f"{module} is not installed",
            hint=f"install it with: pip install 'lerobot-inference[{extra}]'",
        ) from error
