"""What jobs do once they are submitted, as a timeline: run history and outputs, in the data plane of a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from azure_loopback.identity import has_token_for
from azure_loopback.server import Request, Response, Service, route
from azure_loopback.storage import Storage
from azure_loopback.workspace import ACCOUNT, API_HOST, CONTAINER, DATASTORE, WORKSPACE, WORKSPACE_ID, Workspace

DATA_PLANE = ("https://ml.azure.com", "https://management.azure.com")
JOB = "job"
"""In a moment of the timeline, the state of the job itself beside those of its steps."""


class JobStates(Service):
    """Lets a submitted job go through `timeline`, on to the next moment each time that somebody has seen its steps.

    Serve it before the Workspace, whose jobs it shows. timeline: moments of {JOB or step: state}.
    """

    host = "management.azure.com"

    def __init__(self, workspace: Workspace, timeline: Sequence[Mapping[str, str]]) -> None:
        self.workspace, self.timeline = workspace, list(timeline)
        self.now: dict[str, str] = {}
        self.go_on()

    def go_on(self) -> None:
        self.now |= self.timeline.pop(0) if self.timeline else {}

    @route("GET", WORKSPACE + r"/jobs/(?P<name>[^/]+)")
    def job(self, request: Request, name: str) -> Response:
        job = self.workspace.resources.get(f"jobs/{name}")
        if job and JOB in self.now:
            job["properties"]["status"] = self.now[JOB]
        return self.workspace.read(request, f"jobs/{name}")


class RunHistory(Service):
    """Shows the steps of a job, and the outputs that it wrote: output name -> file name -> content."""

    host = API_HOST

    def __init__(self, states: JobStates, storage: Storage, outputs: Mapping[str, Mapping[str, bytes]]) -> None:
        self.states, self.outputs = states, outputs
        for output, files in outputs.items():
            storage.put(ACCOUNT, CONTAINER, {f"{place(output)}{name}": content for name, content in files.items()})

    @route("GET", r"/discovery")
    def discovery(self, request: Request) -> Response:  # noqa: ARG002
        return Response.json({"api": f"https://{API_HOST}", "history": f"https://{API_HOST}"})

    @route("GET", r"/history/v1\.0" + WORKSPACE + r"/runs/(?P<name>[^/]+)/children")
    def children(self, request: Request, name: str) -> Response:
        steps = [
            {"runId": f"{name}-{step}", "displayName": step, "status": state, "runType": "azureml.StepRun"}
            for step, state in self.states.now.items()
            if step != JOB
        ]
        self.states.go_on()
        return refused(request) or Response.json({"value": steps})

    @route("POST", r"/history/v1\.0" + WORKSPACE + r"/rundata")
    def data(self, request: Request) -> Response:
        name = request.json()["runId"]
        outputs = {output: {"assetId": f"asset/{output}", "type": "uri_folder"} for output in self.outputs}
        return refused(request) or Response.json({"runMetadata": {"runId": name, "outputs": outputs}})

    @route("POST", r"/data/v1\.0" + WORKSPACE + r"/dataversion/batchGetResolvedUris")
    def uris(self, request: Request) -> Response:
        root = f"azureml:/{WORKSPACE_ID.split('/providers')[0]}/workspaces/{WORKSPACE_ID.rpartition('/')[2]}"
        found = {
            asset: {
                "uri": f"{root}/datastores/{DATASTORE}/paths/{place(asset.partition('/')[2])}",
                "type": "uri_folder",
            }
            for asset in request.json()["values"]
        }
        return refused(request) or Response.json({"values": found})


def place(output: str) -> str:
    """Where an output lies in the default datastore."""
    return f"azureml/outputs/{output}/"


def refused(request: Request) -> Response | None:
    if has_token_for(request, *DATA_PLANE):
        return None
    return Response.error(401, "AuthenticationFailed", "the token is missing or for another audience")
