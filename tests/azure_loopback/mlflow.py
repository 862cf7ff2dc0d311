"""The MLflow of a workspace: runs and models in a real MLflow server, artifacts in run history and blob storage."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from urllib.parse import urlencode

from azure_loopback.identity import has_token_for
from azure_loopback.server import Request, Response, Service, route
from azure_loopback.storage import SAS, Storage
from azure_loopback.workspace import ACCOUNT, API_HOST, CONTAINER, WORKSPACE, WORKSPACE_ID

TRACKING_URI = f"azureml://{API_HOST}/mlflow/v2.0{WORKSPACE_ID}"
ARTIFACT_ROOT = f"{TRACKING_URI}/experiments"
"""What the MLflow server behind it must be told."""
DATA_PLANE = ("https://ml.azure.com", "https://management.azure.com")


class Tracking(Service):
    """Hands calls on to the MLflow server at `address`, which decides what Azure ML answers at all."""

    host = API_HOST

    def __init__(self, address: str) -> None:
        self.address = address

    @route("GET", r"/mlflow/v2\.0" + WORKSPACE + r"(?P<call>/.+)")
    @route("POST", r"/mlflow/v2\.0" + WORKSPACE + r"(?P<call>/.+)")
    @route("PATCH", r"/mlflow/v2\.0" + WORKSPACE + r"(?P<call>/.+)")
    @route("DELETE", r"/mlflow/v2\.0" + WORKSPACE + r"(?P<call>/.+)")
    def forward(self, request: Request, call: str) -> Response:
        if refusal := refused(request):
            return refusal
        asked = urllib.request.Request(  # noqa: S310
            f"{self.address}{call}?{urlencode(request.query)}",
            request.body or None,
            {"Content-Type": "application/json"},
            method=request.method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        # A run's artifacts are at .../experiments/1/runs/<id>/artifacts here; MLflow's own server leaves out `runs`.
        body = re.sub(rb"(/experiments/\d+)/([0-9a-f]{32}/artifacts)", rb"\1/runs/\2", body)
        return Response(status, body, {"Content-Type": "application/json"})


class RunArtifacts(Service):
    """The files of runs. A path is taken once; from then on it is refused, whether its content ever came or not."""

    host = API_HOST

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.paths: dict[str, list[str]] = {}

    def files(self, run: str) -> dict[str, bytes | None]:
        """Path -> content of what a run holds; None where the content never came."""
        blobs = (
            (path, self.storage.blobs.get(f"{ACCOUNT}/{CONTAINER}/{place(run, path)}")) for path in self.paths[run]
        )
        return {path: blob.content if blob else None for path, blob in blobs}

    @route("POST", r"/history/v1\.0" + WORKSPACE + r"/experiments/[^/]+/runs/(?P<run>[^/]+)/artifacts/batch/metadata")
    def create(self, request: Request, run: str) -> Response:
        taken = self.paths.setdefault(run, [])
        created, errors = {}, {}
        for path in (entry["path"] for entry in request.json()["paths"]):
            if path in taken:
                message = f"Resource Conflict: ArtifactId {place(run, path)} already exists."
                errors[path] = {"error": {"code": "UserError", "message": message}}
            else:
                taken.append(path)
                created[path] = content_of(run, path)
        return refused(request) or Response.json({"artifactContentInformation": created, "errors": errors})

    @route("GET", r"/history/v1\.0" + WORKSPACE + r"/experiments/[^/]+/runs/(?P<run>[^/]+)/artifacts")
    def listing(self, request: Request, run: str) -> Response:
        found = [{"artifactId": place(run, path), "path": path} for path in self.paths.get(run, [])]
        return refused(request) or Response.json({"value": found})

    @route("GET", r"/history/v1\.0" + WORKSPACE + r"/experiments/[^/]+/runs/(?P<run>[^/]+)/artifacts/contentinfo")
    def content(self, request: Request, run: str) -> Response:
        path = request.query["path"]
        if path not in self.paths.get(run, []):
            return Response.error(404, "UserError", f"there is no artifact {path}")
        return refused(request) or Response.json(content_of(run, path))


def place(run: str, path: str) -> str:
    """Where a run's file lies in the default datastore."""
    return f"ExperimentRun/dcid.{run}/{path}"


def content_of(run: str, path: str) -> dict[str, str]:
    return {
        "contentUri": f"https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/{place(run, path)}?{SAS}",
        "origin": "ExperimentRun",
        "container": f"dcid.{run}",
        "path": path,
    }


def refused(request: Request) -> Response | None:
    if has_token_for(request, *DATA_PLANE):
        return None
    return Response.error(401, "AuthenticationFailed", "the token is missing or for another audience")
