"""An Azure ML workspace as Azure Resource Manager shows it: computes, datastores, assets and jobs, in memory."""

from __future__ import annotations

from typing import Any

from azure_loopback.identity import has_token_for
from azure_loopback.server import Request, Response, Service, route
from azure_loopback.storage import SAS

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = "robots"
NAME = "evaluation"
ACCOUNT = "evaluationstore"
CONTAINER = "azureml-blobstore"
DATASTORE = "workspaceblobstore"
API_HOST = "westeurope.api.azureml.ms"

MANAGEMENT = "https://management.azure.com"
PROVIDER = "/providers/Microsoft.MachineLearningServices/workspaces"
WORKSPACE_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}{PROVIDER}/{NAME}"
WORKSPACE = rf"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}{PROVIDER}/{NAME}"

type Resource = dict[str, Any]


class Workspace(Service):
    """resources: place under the workspace, such as computes/gpu or jobs/name -> what the service tells of it."""

    host = "management.azure.com"

    def __init__(self, computes: tuple[str, ...] = ("cpu-cluster",)) -> None:
        self.resources: dict[str, Resource] = {}
        for compute in computes:
            self.add_compute(compute)
        self.add(
            f"datastores/{DATASTORE}",
            {
                "datastoreType": "AzureBlob",
                "accountName": ACCOUNT,
                "containerName": CONTAINER,
                "endpoint": "core.windows.net",
                "protocol": "https",
                "isDefault": True,
                "credentials": {"credentialsType": "Sas"},
            },
        )

    def add(self, place: str, properties: Resource) -> Resource:
        """Put a resource there, as someone else would have before."""
        self.resources[place] = {
            "id": f"{WORKSPACE_ID}/{place}",
            "name": place.rpartition("/")[2],
            "type": f"Microsoft.MachineLearningServices/workspaces/{place.partition('/')[0]}",
            "properties": properties,
            "systemData": {"createdAt": "2026-01-01T00:00:00Z", "createdBy": "loopback"},
        }
        return self.resources[place]

    def add_compute(self, name: str) -> None:
        scale = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT120S"}
        cluster = {"vmSize": "STANDARD_NC4AS_T4_V3", "vmPriority": "Dedicated", "scaleSettings": scale}
        found = {"computeType": "AmlCompute", "provisioningState": "Succeeded", "properties": cluster}
        self.add(f"computes/{name}", found)

    def properties(self, kind: str) -> dict[str, Resource]:
        """Place -> properties of every resource of a kind, such as jobs, oldest first."""
        return {place: it["properties"] for place, it in self.resources.items() if place.startswith(f"{kind}/")}

    @route("GET", WORKSPACE)
    def workspace(self, request: Request) -> Response:
        if refusal := unauthorized(request):
            return refusal
        return Response.json(
            {
                "id": WORKSPACE_ID,
                "name": NAME,
                "type": "Microsoft.MachineLearningServices/workspaces",
                "location": "westeurope",
                "properties": {
                    "workspaceId": "99999999-8888-7777-6666-555555555555",
                    "discoveryUrl": f"https://{API_HOST}/discovery",
                    "mlFlowTrackingUri": f"azureml://{API_HOST}/mlflow/v1.0{WORKSPACE_ID}",
                    "storageAccount": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
                    f"/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}",
                },
            }
        )

    @route("POST", WORKSPACE + rf"/datastores/{DATASTORE}/listSecrets")
    def secrets(self, request: Request) -> Response:
        return unauthorized(request) or Response.json({"secretsType": "Sas", "sasToken": SAS})

    @route("GET", WORKSPACE + r"/datastores")
    def datastores(self, request: Request) -> Response:
        found = [it for place, it in self.resources.items() if place.startswith("datastores/")]
        return unauthorized(request) or Response.json({"value": found})

    @route("GET", WORKSPACE + r"/(?P<place>[^/]+/[^/]+(/versions/[^/]+)?)")
    def read(self, request: Request, place: str) -> Response:
        found = self.resources.get(place)
        return unauthorized(request) or (Response.json(found) if found else missing(place))

    @route("GET", WORKSPACE + r"/computes")
    def computes(self, request: Request) -> Response:
        found = [it for place, it in self.resources.items() if place.startswith("computes/")]
        return unauthorized(request) or Response.json({"value": found})

    @route("PUT", WORKSPACE + r"/(?P<place>(environments|codes|components)/[^/]+/versions/[^/]+)")
    def write(self, request: Request, place: str) -> Response:
        return unauthorized(request) or Response.json(self.add(place, request.json()["properties"]), 201)

    @route("PUT", WORKSPACE + r"/jobs/(?P<name>[^/]+)")
    def submit(self, request: Request, name: str) -> Response:
        if refusal := unauthorized(request):
            return refusal
        studio = {"jobServiceType": "Studio", "endpoint": f"https://ml.azure.com/runs/{name}?wsid={WORKSPACE_ID}"}
        given = {"status": "NotStarted", "services": {"Studio": studio}}
        return Response.json(self.add(f"jobs/{name}", request.json()["properties"] | given), 201)

    @route("GET", r"/metadata/endpoints")
    def clouds(self, request: Request) -> Response:  # noqa: ARG002
        """What azureml-mlflow asks before anybody has logged in."""
        login = {"loginEndpoint": "https://login.microsoftonline.com", "audiences": [MANAGEMENT]}
        cloud = {"name": "AzureCloud", "portal": "https://portal.azure.com", "resourceManager": MANAGEMENT}
        return Response.json([cloud | {"authentication": login, "suffixes": {"storage": "core.windows.net"}}])

    @route("GET", rf"(?!{WORKSPACE}(/|$)).*")
    def elsewhere(self, request: Request) -> Response:
        return unauthorized(request) or missing(request.path)


def unauthorized(request: Request) -> Response | None:
    """A 401 for a caller without a token for Azure's management."""
    if has_token_for(request, MANAGEMENT):
        return None
    return Response.error(401, "AuthenticationFailed", "the token is missing or for another audience")


def missing(what: str) -> Response:
    return Response.error(404, "ResourceNotFound", f"The Resource '{what}' was not found.")
