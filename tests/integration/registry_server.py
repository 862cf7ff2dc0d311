"""A program: MLflow's own server on loopback that, like Azure ML's, has no aliases. Prints its address.

python registry_server.py FOLDER
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

type Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def without_aliases(application: Application) -> Application:
    """The application, refusing the endpoints that set, read and delete an alias."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].endswith("/alias"):
            start_response("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "there are no aliases here"}']
        return application(environ, start_response)

    return answer


def main(folder: Path) -> None:
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{folder / 'mlflow.db'}"
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = str(folder / "artifacts")  # no file://, which Azure's client refuses
    from mlflow.server import app
    from werkzeug.serving import make_server

    flask: Any = app
    server = make_server("127.0.0.1", 0, without_aliases(flask), threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
