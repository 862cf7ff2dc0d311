"""What can be wrong inside an environment whose keys are right: a file of its own, or written into a component."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lerobot_inference.jobs.document import Document

_RELATIVE = "it is relative to this file"


def check_environment(document: Document, data: Mapping[str, Any], *field: str) -> None:
    """Report neither or both of image and build, and files that aren't there. data: the mapping at `field`."""
    build, conda = data.get("build"), data.get("conda_file")
    if build is not None and "image" in data:
        message = "image and build stand together, and Azure builds one of the two"
        document.report(message, *field, "image", hint="keep the image that exists, or the folder to build one from")
    if build is None and "image" not in data:
        message = "there is neither an image nor a build context"
        document.report(message, *field, hint="write image: NAME, or build: {path: ., dockerfile_path: Dockerfile}")
    if conda is not None and "image" not in data:
        hint = "add image: NAME, or install in the Dockerfile"
        document.report("packages are installed into an image, and there is none", *field, "conda_file", hint=hint)
    if isinstance(conda, str) and not document.beside(conda).is_file():
        document.report(f"{conda}: no such file", *field, "conda_file", hint=_RELATIVE)
    if isinstance(build, dict):
        _check_build(document, build, *field, "build")


def _check_build(document: Document, build: Mapping[str, Any], *field: str) -> None:
    path, dockerfile = build.get("path"), build.get("dockerfile_path", "Dockerfile")
    if path is None:
        document.report("no folder to build from", *field, hint="write path: . for the folder of this file")
    elif isinstance(path, str) and isinstance(dockerfile, str) and not re.match(r"\w{2,}://", path):
        context = document.beside(path)
        if not context.is_dir():
            document.report(f"{context}: no such folder", *field, "path", hint=_RELATIVE)
        elif not (context / dockerfile).is_file():
            message, hint = f"{context / dockerfile}: no such file", "it is relative to build.path"
            document.report(message, *field, *(["dockerfile_path"] if "dockerfile_path" in build else []), hint=hint)
