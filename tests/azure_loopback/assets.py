"""Models and data assets of a workspace, as someone else registered them."""

from __future__ import annotations

from azure_loopback.server import Request, Response, Service, route
from azure_loopback.workspace import WORKSPACE, Workspace, missing, unauthorized


class Assets(Service):
    """Puts assets into a workspace, which shows them, and lists the versions of each, the newest first."""

    host = "management.azure.com"

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def add_model(self, name: str, version: str, uri: str) -> None:
        model = {"modelType": "custom_model", "modelUri": uri, "flavors": {}}
        self.workspace.add(f"models/{name}/versions/{version}", model)

    def add_data(self, name: str, version: str, uri: str, kind: str = "uri_folder") -> None:
        self.workspace.add(f"data/{name}", {"latestVersion": version})
        self.workspace.add(f"data/{name}/versions/{version}", {"dataType": kind, "dataUri": uri})

    @route("GET", WORKSPACE + r"/(?P<place>models/[^/]+/versions)")
    def versions(self, request: Request, place: str) -> Response:
        found = [it for key, it in self.workspace.resources.items() if key.startswith(f"{place}/")]
        return unauthorized(request) or (Response.json({"value": found[::-1]}) if found else missing(place))
