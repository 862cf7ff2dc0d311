"""The Hugging Face Hub: resolve a revision to a commit, and read its files over HTTP.

The token comes from the environment (HF_TOKEN) or the user's own login, never from an argument. No message holds an
address or what a server answered: either may hold a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lerobot_inference.errors import InputError, ServiceError, UsageError, require
from lerobot_inference.sources.kind import Kind
from lerobot_inference.sources.retry import BUSY, KEPT, TransientError
from lerobot_inference.sources.snapshot import Checksum, RemoteFile, Snapshot

if TYPE_CHECKING:
    import httpx
    from huggingface_hub.hf_api import RepoSibling

COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class HubSource:
    """org/name on the Hub. revision: branch, tag or commit; None is the default branch."""

    name: str
    revision: str | None

    @classmethod
    def parse(cls, text: str, revision: str | None) -> HubSource | None:
        """The repository that `text` names; None when it has another form."""
        return cls(text, revision) if HUB_NAME.fullmatch(text) else None

    @property
    def pin_hint(self) -> str | None:
        """A commit stays what it is; branches and tags move."""
        if self.revision and COMMIT.fullmatch(self.revision):
            return None
        return "name the commit by its 40 hexadecimal digits"

    def open(self, kind: Kind) -> Snapshot:
        """Which commit the revision is now, and its files. Raises InputError, ServiceError."""
        hub = require("huggingface_hub", "hub")
        require(
            "huggingface_hub.utils.logging", "hub"
        ).set_verbosity_error()  # its warnings quote addresses and what servers say
        with _hub_errors(self.name):
            info = hub.HfApi().repo_info(
                self.name, repo_type=kind.value, revision=self.revision, files_metadata=True, timeout=TIMEOUT_S
            )
            listed = {entry.rfilename: _describe(entry) for entry in info.siblings}
            if not COMMIT.fullmatch(info.sha):
                raise ValueError(f"{info.sha} is no commit")
        if self.pin_hint is None and info.sha != self.revision:
            raise InputError(f"{self.name}: asked for commit {self.revision}, the Hub answers with {info.sha}")
        files = tuple(listed[name] for name in kind.select(listed, f"{self.name}@{info.sha}"))
        return Snapshot(self.name, info.sha, files, partial(_read, self.name, kind, info.sha))


def _describe(entry: RepoSibling) -> RemoteFile:
    """A file of the Hub's listing: large ones (LFS) are known by their sha256, the others by git's blob id."""
    if entry.size is None or entry.blob_id is None:
        raise ValueError(f"{entry.rfilename} is listed without its size")
    checksum = Checksum("sha256", entry.lfs.sha256) if entry.lfs else Checksum("git", entry.blob_id)
    return RemoteFile(entry.rfilename, entry.size, checksum.value, checksum)


def _read(repository: str, kind: Kind, commit: str, file: RemoteFile, start: int) -> Iterator[bytes]:
    hub, utils = require("huggingface_hub", "hub"), require("huggingface_hub.utils", "hub")
    url = hub.hf_hub_url(repository, file.name, repo_type=kind.value, revision=commit)
    headers = utils.build_hf_headers() | {"Accept-Encoding": "identity", "Range": f"bytes={start}-"}
    with (
        _hub_errors(repository, file.name),
        hub.get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response,
    ):
        utils.hf_raise_for_status(response)
        skip = 0 if response.status_code == 206 else start  # 200: the server sends the whole file
        for piece in response.iter_bytes():
            if piece[skip:]:
                yield piece[skip:]
            skip = max(0, skip - len(piece))


@contextmanager
def _hub_errors(repository: str, file: str | None = None) -> Iterator[None]:
    """What goes wrong with a repository, or one file of it, as errors of ours."""
    hub = require("huggingface_hub.errors", "hub")
    httpx = require("httpx", "hub")
    try:
        yield
    except hub.GatedRepoError as error:
        raise InputError(
            f"{repository}: access to this repository must be granted on the Hub",
            hint="ask for access, then set HF_TOKEN or run: hf auth login",
        ) from error
    except hub.RevisionNotFoundError as error:
        raise InputError(f"{repository}: no such revision", hint="look up the branch, tag or commit") from error
    except hub.RepositoryNotFoundError as error:
        raise InputError(
            f"{repository}: no such repository on the Hugging Face Hub, or it is private",
            hint="check the name; for a private one set HF_TOKEN or run: hf auth login",
        ) from error
    except hub.HfHubHTTPError as error:
        raise _refusal(f"{repository}: {file}" if file else repository, error.response) from error
    except hub.OfflineModeIsEnabled as error:
        raise ServiceError(
            f"{repository}: HF_HUB_OFFLINE forbids to ask the Hub", hint="unset it to download"
        ) from error
    except UnicodeEncodeError as error:
        raise UsageError("HF_TOKEN holds a character that no token has", hint="set it again") from error
    except httpx.HTTPError as error:
        what = str(error) if isinstance(error, httpx.ConnectError) else type(error).__name__
        raise TransientError(f"{repository}: the Hugging Face Hub could not be reached: {what}", hint=KEPT) from error
    except hub.HFValidationError as error:
        raise InputError(f"{repository}: not a name that the Hub gives a repository") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ServiceError(
            f"{repository}: what answered is not the Hugging Face Hub", hint="check HF_ENDPOINT, and proxies on the way"
        ) from error


def _refusal(what: str, response: httpx.Response) -> Exception:
    """What a status without a meaning of its own comes to."""
    status = response.status_code
    if status == 404:
        return InputError(f"{what}: listed by the Hub, which then has no such file", hint="the repository is damaged")
    if status in (401, 403):
        return InputError(
            f"{what}: the Hub refused access ({status})",
            hint="HF_TOKEN is wrong, expired or may not read this repository: set another or run: hf auth login",
        )
    problem = f"{what}: the Hugging Face Hub could not be reached: it answered {status}"
    if status in BUSY:
        return TransientError(problem, hint=KEPT, wait_s=_wait_s(response.headers))
    return ServiceError(problem, hint=KEPT)


def _wait_s(headers: httpx.Headers) -> float:
    """How long the Hub asks us to wait, in seconds; 0 when it doesn't say."""
    limit = require("huggingface_hub.utils", "hub").parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    asked = headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 0.0
