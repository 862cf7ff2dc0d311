"""MLflow's own server on loopback, whole or reduced to what Azure ML's answers. It keeps its runs in sqlite.

As a program, `python mlflow_server.py FOLDER ARTIFACT_ROOT (all|azure)`, it prints its address and serves until it is
ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from wsgiref.types import StartResponse, WSGIEnvironment

type Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"

API = "/api/2.0/mlflow/"
ON_AZURE = {
    *("experiments/create", "experiments/get", "experiments/get-by-name", "experiments/search"),
    *("runs/create", "runs/get", "runs/update", "runs/search", "runs/delete"),
    *("runs/log-batch", "runs/log-metric", "runs/log-parameter", "runs/set-tag", "metrics/get-history"),
    *("registered-models/create", "registered-models/get", "registered-models/search", "registered-models/set-tag"),
    *("model-versions/create", "model-versions/get", "model-versions/search", "model-versions/set-tag"),
    *("model-versions/get-download-uri", "model-versions/update", "model-versions/delete"),
}
"""What Azure ML's documentation lists as supported. What MLflow 3 has beside that, it lacks: aliases, logged models,
traces, data sets, prompts."""
MOST_METRICS, MOST_PARAMS = 250, 200
"""In a batch and in a run; Azure ML's service limits."""


@contextmanager
def mlflow_server(
    folder: Path, artifact_root: str = "mlflow-artifacts:/", answers: Literal["all", "azure"] = "all"
) -> Iterator[str]:
    """The address of a server that keeps everything in `folder`. artifact_root: what it tells clients to log to."""
    command = [sys.executable, __file__, str(folder), artifact_root, answers]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, (folder / "log.txt").read_text()
            yield address
        finally:
            process.kill()
            process.communicate()


def as_on_azure(application: Application) -> Application:
    """The application, refusing what Azure ML refuses."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        if refusal := refused(environ["PATH_INFO"], json.loads(body or b"{}")):
            status, code, message = refusal
            start_response(status, [("Content-Type", "application/json")])
            return [json.dumps({"error_code": code, "message": message}).encode()]
        return application(environ, start_response)

    return answer


def refused(path: str, body: dict[str, Any]) -> tuple[str, str, str] | None:
    """Status, MLflow's code and a message for what Azure ML refuses."""
    call = path.removeprefix(API)
    if call not in ON_AZURE:
        return "404 Not Found", "ENDPOINT_NOT_FOUND", f"Azure ML has no {path}"
    wrong = None
    if call == "runs/search":
        asked = body.get("filter", "") + " ".join(body.get("order_by", []))
        wrong = next((word for word in ("attributes.", "status", "`", '"', "LIKE", "metrics.") if word in asked), None)
    if call == "runs/log-batch":
        for name, most in (("metrics", MOST_METRICS), ("params", MOST_PARAMS)):
            if len(body.get(name, [])) > most:
                wrong = f"A field of the entity is over the size limit: {name}, limit {most}"
    return ("400 Bad Request", "INVALID_PARAMETER_VALUE", f"not supported: {wrong}") if wrong else None


def main(folder: Path, artifact_root: str, answers: str) -> None:
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / DATABASE}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": artifact_root,
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / ARTIFACTS),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    from mlflow.server import app
    from mlflow.server.handlers import initialize_backend_stores
    from werkzeug.serving import WSGIRequestHandler, make_server

    initialize_backend_stores(os.environ["_MLFLOW_SERVER_FILE_STORE"], None, artifact_root)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    flask: Any = app
    server = make_server("127.0.0.1", 0, as_on_azure(flask) if answers == "azure" else flask, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
