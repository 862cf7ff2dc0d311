"""MLflow's own server on loopback, which keeps its runs in sqlite and hands out artifacts itself.

As a program, `python mlflow_server.py FOLDER [ARTIFACT_ROOT]`, it prints its address and serves until it is ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"


@contextmanager
def mlflow_server(folder: Path, artifact_root: str = "mlflow-artifacts:/") -> Iterator[str]:
    """The address of a server that keeps everything in `folder`. artifact_root: what it tells clients to log to."""
    command = [sys.executable, __file__, str(folder), artifact_root]
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


def main(folder: Path, artifact_root: str) -> None:
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
    server = make_server("127.0.0.1", 0, flask, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
