"""Steps in their own images, with as little of this machine as each needs.

Every path in a container is what it is outside, so a command is the same as that of a process. A step reads what is
mounted for it and writes to its own folder; it has no capabilities, no root, no other writable place than /tmp, and
no network unless it has business outside:

- the step that may reach the Hub (no HF_HUB_OFFLINE) has this machine's network and the variables of HUB_VARIABLES.
  They are passed through the engine, so `docker inspect` shows them as long as that step runs;
- an offline step that is not deterministic works on a registry: the server that MLFLOW_TRACKING_URI names, over this
  machine's network and with REGISTRY_VARIABLES, or else ./mlruns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lerobot_inference.errors import UsageError
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.images import Say, connect, image_id, require_current
from lerobot_inference.jobs.pipeline import Pipeline, Step
from lerobot_inference.jobs.process import GRACE_S
from lerobot_inference.jobs.record import StepRecord
from lerobot_inference.tracking.store import FOLDER as MLFLOW_FOLDER
from lerobot_inference.tracking.store import URI_VARIABLE as MLFLOW_URI

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.types import Mount

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
AZURE = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET")
HUB_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", *AZURE, *PROXIES)
REGISTRY_VARIABLES = (
    MLFLOW_URI,
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    *AZURE,
    *PROXIES,
)
USER_OF_ROOT = 10001  # as whom steps run when root calls; the user that our images have
HARDENING: dict[str, Any] = {
    "read_only": True,
    "tmpfs": {"/tmp": "rw,nosuid,nodev,mode=1777"},  # noqa: S108, inside the container
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 4096,
}


class Containers:
    """A Runner whose steps share nothing with this machine but what they are given."""

    def __init__(self, client: DockerClient, images: dict[str, str]) -> None:
        self._client = client
        self._images = images

    @classmethod
    def prepare(cls, pipeline: Pipeline, say: Say) -> Containers:
        """Find or build the image of every step. Raises ConfigError, ServiceError, UsageError."""
        environments = {step.name: Environment.of(step.component.path) for step in pipeline.steps}
        distinct = {found.path.resolve(): found for found in environments.values()}
        for environment in distinct.values():
            require_current(environment)
        client = connect()
        ids = {path: image_id(client, environment, say) for path, environment in distinct.items()}
        return cls(client, {name: ids[found.path.resolve()] for name, found in environments.items()})

    def program(self, step: Step) -> str:
        """The id of the step's image."""
        return self._images[step.name]

    def run(self, step: Step, planned: StepRecord, printed: BinaryIO) -> int:
        """Run a step to its end. Whatever raises, its container is stopped and removed."""
        from docker.errors import DockerException
        from requests import RequestException

        for path in _reads(step, planned):
            if secret := _unreadable(path):
                printed.write(
                    f"{secret}: only root may read it, and no step runs as root; chmod -R a+rX {path}\n".encode()
                )
                return UsageError.exit_code
        try:
            with self._container(step, planned) as container:
                lines = container.attach(stdout=True, stderr=True, stream=True)
                container.start()
                for line in lines:
                    printed.write(line)
                    printed.flush()
                return int(container.wait()["StatusCode"])
        except (DockerException, RequestException) as error:
            printed.write(f"{planned.command[0]} can't be run in a container: {error}\n".encode())
            return 127

    @contextmanager
    def _container(self, step: Step, planned: StepRecord) -> Iterator[Any]:
        """A step's container, not started yet; stopped and removed when the block ends."""
        user = _user()
        reads, writes = _reads(step, planned), _writes(step, planned)
        for folder in (Path(planned.log).parents[1], *writes):
            _hand_over(folder, user)
        container = self._client.containers.create(
            self._images[step.name],
            planned.command,
            entrypoint=[],
            environment=_environment(step),
            network_mode="host" if _reaches_out(step) else "none",
            user=user,
            mounts=[_mount(path, read_only=True) for path in reads] + [_mount(path) for path in writes],
            working_dir=str(Path.cwd()),
            stop_signal="SIGINT",
            **HARDENING,
        )
        try:
            yield container
        finally:
            try:
                container.stop(timeout=int(GRACE_S))
            finally:
                container.remove(force=True)


def _is_registrar(step: Step) -> bool:
    """Whether the step works on a registry."""
    return step.is_offline and not step.component.is_deterministic


def _reaches_out(step: Step) -> bool:
    """Whether the step has business on the network."""
    return not step.is_offline or (_is_registrar(step) and MLFLOW_URI in os.environ)


def _environment(step: Step) -> dict[str, str]:
    """The step's own variables, and of the caller's those that it has use for."""
    passed: tuple[str, ...] = ()
    if not step.is_offline:
        passed = HUB_VARIABLES
    elif _reaches_out(step):
        passed = REGISTRY_VARIABLES
    given = {name: os.environ[name] for name in passed if name in os.environ}
    # Whoever it runs as may have no name and no home in the image.
    return {"PYTHONUNBUFFERED": "1", "HOME": "/tmp", "USER": "lerobot", **given, **step.environment}  # noqa: S108


def _reads(step: Step, planned: StepRecord) -> list[Path]:
    """What a step reads: its inputs, also where a text names a local folder, and a parallel component's script."""
    found = [Path(value) for value in planned.inputs.values() if isinstance(value, str) and os.path.lexists(value)]
    if step.component.entry_script:
        found += [step.component.path.resolve().parent, step.component.entry_script.resolve().parent]
    return sorted({path.absolute() for path in found})


def _writes(step: Step, planned: StepRecord) -> list[Path]:
    """Where a step writes: its own folder, and the registry in ./mlruns when it works on that."""
    found = [Path(planned.log).parent]
    if _is_registrar(step) and MLFLOW_URI not in os.environ:
        found.append(Path.cwd() / MLFLOW_FOLDER)
        found[-1].mkdir(exist_ok=True)
    return found


def _mount(path: Path, read_only: bool = False) -> Mount:
    from docker.types import Mount

    return Mount(str(path), str(path), type="bind", read_only=read_only)


def _user() -> str:
    """Who calls, so that what a step writes is theirs; somebody else when root does."""
    return f"{os.getuid()}:{os.getgid()}" if os.getuid() else f"{USER_OF_ROOT}:{USER_OF_ROOT}"


def _hand_over(folder: Path, user: str) -> None:
    """Give a folder of ours to the user that steps run as; only root can, and has to."""
    if os.getuid() == 0:
        uid, gid = map(int, user.split(":"))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)


def _unreadable(path: Path) -> Path | None:
    """What root may read there and the user that steps run as when root calls may not."""
    if os.getuid():
        return None
    found = ((each, each.stat()) for each in (path, *path.rglob("*")) if each.exists())
    return next((each for each, stat in found if not stat.st_mode & 0o004 and stat.st_uid != USER_OF_ROOT), None)
