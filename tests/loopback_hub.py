"""A small Hugging Face hub on 127.0.0.1: enough of its HTTP API for transformers, datasets and huggingface_hub.

It serves folders as repositories of models and data sets, each with one branch, `main`, whose commits are hashes of
what the folder held when it was published. It differs from the real hub in three ways: every file is answered
directly, never by a redirect to a storage host or by Xet; listings come on one page; and a 401 for an unknown
repository carries `X-Error-Code: RepoNotFound`, because huggingface_hub reads a bare 401 that way only over https.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import yaml

MODELS = "models"
DATASETS = "datasets"
BRANCH = "main"
WHEN = "2024-01-01T00:00:00.000Z"
UNREACHABLE = "http://127.0.0.1:9"

_ID = r"(?P<repo>[^/]+(?:/[^/]+)??)"
_API = re.compile(rf"^/api/(?P<kind>models|datasets)/{_ID}(?:/(?P<action>revision|tree|paths-info|refs)(?:/(?P<rest>.*))?)?$")
_FILE = re.compile(rf"^/(?:(?P<kind>datasets)/)?{_ID}/resolve/(?P<revision>[^/]+)/(?P<file>.+)$")
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
_FRONT_MATTER = re.compile(rb"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
_HUB_VARIABLES = (
    "DATASETS_OFFLINE",
    "HF_ASSETS_CACHE",
    "HF_DATASETS_CACHE",
    "HF_DATASETS_OFFLINE",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_MODULES_CACHE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HF_XET_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HUGGING_FACE_HUB_TOKEN",
    "TRANSFORMERS_CACHE",
    "TRANSFORMERS_OFFLINE",
)


def environment(hub: LoopbackHub | None, home: str | Path) -> dict[str, str]:
    """The environment of a process that has this hub, or none at all, and its Hugging Face caches in `home`.

    Without a hub the endpoint is a loopback port that refuses: such a process reaches no network.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _HUB_VARIABLES}
    return {
        **kept,
        "HF_ENDPOINT": hub.endpoint if hub is not None else UNREACHABLE,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


class LoopbackHub:
    """The server, running in a thread between `__enter__` and `__exit__`.

    Args:
        models: the folder of each model repository, by its id, with or without a namespace.
        datasets: the folder of each data set repository, by its id.
        aliases: old ids that redirect to today's, as the hub's `imdb` does to `stanfordnlp/imdb`.

    Attributes:
        requests: every request so far, as `"METHOD /path?query"`.
        fault: what befalls requests for a file's content, or where it begins with `api ` those of the API: an HTTP status
            such as "503", "cut" (half of an answer of full length), "wrong" (a byte changed), "slow", "silent" or "".
        times: how many of them it befalls; later ones are answered well.

    Example:
        with LoopbackHub({"tiny/bert": folder}, datasets={"tiny/reviews": other}) as hub:
            subprocess.run(command, env=environment(hub, home))
    """

    def __init__(
        self,
        models: Mapping[str, str | Path] | None = None,
        *,
        datasets: Mapping[str, str | Path] | None = None,
        aliases: Mapping[str, str] | None = None,
    ):
        self.requests: list[str] = []
        self.fault, self.times = "", 10**9
        self.aliases = dict(aliases or {})
        self._repositories: dict[tuple[str, str], Repository] = {}
        for repo_id, folder in (models or {}).items():
            self.publish(repo_id, folder)
        for repo_id, folder in (datasets or {}).items():
            self.publish(repo_id, folder, kind=DATASETS)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def endpoint(self) -> str:
        """The value for `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def publish(self, repo_id: str, folder: str | Path, *, kind: str = MODELS) -> str:
        """Make what the folder holds now the head of the repository; earlier commits stay. Returns the commit."""
        repository = self._repositories.setdefault((kind, repo_id), Repository(repo_id))
        return repository.commit(Path(folder))

    def commit(self, repo_id: str, *, kind: str = MODELS) -> str:
        """The commit at the head of the repository."""
        return self._repositories[kind, repo_id].head

    def find(self, kind: str, repo_id: str) -> Repository:
        """The repository, or the hub's answer that there is none."""
        try:
            return self._repositories[kind, unquote(repo_id)]
        except KeyError:
            raise HubError(HTTPStatus.UNAUTHORIZED, "RepoNotFound", "Invalid username or password.") from None

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def befalls(self, method: str, path: str) -> str:
        """The fault that befalls a request, counted; the empty string where none does."""
        where, _, fault = self.fault.rpartition(" ")
        wanted = method == "GET" and _FILE.match(path) if where != "api" else _API.match(path)
        if not (fault and wanted and self.times > 0):
            return ""
        self.times -= 1
        return fault

    def _handler(self) -> type[Handler]:
        return type("BoundHandler", (Handler,), {"hub": self})


@dataclass(frozen=True)
class Commit:
    """The files of a repository at one commit, by their paths."""

    sha: str
    files: Mapping[str, bytes]

    def read(self, path: str) -> bytes:
        """One file's content, or the hub's answer that there is none."""
        if path not in self.files:
            raise HubError(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found", commit=self.sha)
        return self.files[path]

    def entry(self, path: str) -> dict[str, Any] | None:
        """The description of a file or a folder; nothing where there is neither."""
        if path in self.files:
            content = self.files[path]
            return {"type": "file", "oid": blob_id(content), "size": len(content), "path": path}
        if any(name.startswith(f"{path}/") for name in self.files):
            return {"type": "directory", "oid": blob_id(path.encode()), "size": 0, "path": path}
        return None

    def tree(self, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
        """The descriptions of what lies in a folder; the root is the empty string."""
        prefix = f"{folder}/" if folder else ""
        inside = [name[len(prefix) :] for name in self.files if name.startswith(prefix)]
        if folder and not inside:
            raise HubError(HTTPStatus.NOT_FOUND, "EntryNotFound", f"{folder} does not exist")
        listed: set[str] = set()
        for name in inside:
            parts = name.split("/")
            deepest = len(parts) if recursive else 1
            listed.update("/".join(parts[:depth]) for depth in range(1, deepest + 1))
        return [entry for name in sorted(listed) if (entry := self.entry(prefix + name))]

    def card(self) -> dict[str, Any]:
        """The YAML at the top of README.md."""
        front = _FRONT_MATTER.match(self.files.get("README.md", b""))
        return yaml.safe_load(front.group(1)) if front else {}


@dataclass
class Repository:
    """The commits of one repository, in the order in which they were published."""

    repo_id: str
    commits: dict[str, Commit] = field(default_factory=dict)
    head: str = ""

    def commit(self, folder: Path) -> str:
        """Add what the folder holds as the newest commit."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        listing = "".join(f"{blob_id(files[name])} {name}\n" for name in sorted(files))
        self.head = hashlib.sha1(listing.encode()).hexdigest()
        self.commits[self.head] = Commit(self.head, files)
        return self.head

    def at(self, revision: str) -> Commit:
        """The commit that a revision names, or the hub's answer that it names none."""
        wanted = self.head if revision == BRANCH else revision
        if wanted not in self.commits:
            raise HubError(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[wanted]

    def info(self, revision: str, *, blobs: bool) -> dict[str, Any]:
        """What the hub says about the repository at a revision."""
        commit = self.at(revision)
        return {
            "_id": commit.sha[:24],
            "id": self.repo_id,
            "modelId": self.repo_id,
            "sha": commit.sha,
            "createdAt": WHEN,
            "lastModified": WHEN,
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "cardData": commit.card(),
            "siblings": [_sibling(path, content, blobs) for path, content in commit.files.items()],
        }

    def refs(self) -> dict[str, Any]:
        """The branches and the tags."""
        branch = {"name": BRANCH, "ref": f"refs/heads/{BRANCH}", "targetCommit": self.head}
        return {"branches": [branch], "tags": [], "converts": []}


class HubError(Exception):
    """An answer that is an error, in the hub's own shape."""

    def __init__(self, status: HTTPStatus, code: str, message: str, *, commit: str | None = None):
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message}
        if commit is not None:
            self.headers["X-Repo-Commit"] = commit


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests out of its class's `hub`."""

    hub: LoopbackHub
    fault = ""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `hub.requests` is the log."""

    def _answer(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        self.fault = self.hub.befalls(self.command, url.path)
        try:
            if self.fault.isdigit():
                raise HubError(HTTPStatus(int(self.fault)), "", "a fault")
            self._route(url.path, url.query, body)
        except HubError as error:
            content = json.dumps({"error": str(error)}).encode()
            later = {"Retry-After": "1"} if error.status == HTTPStatus.TOO_MANY_REQUESTS else {}
            self._send(error.status, content, {"Content-Type": "application/json", **error.headers, **later})

    def _route(self, path: str, query: str, body: bytes) -> None:
        api, file = _API.match(path), _FILE.match(path)
        match = api or file
        if match is None:
            raise HubError(HTTPStatus.NOT_FOUND, "NotFound", "Sorry, we can't find the page you are looking for.")
        if match["repo"] in self.hub.aliases:
            self._redirect(match)
        elif api:
            self._send_json(self._api(api, query, body))
        else:
            self._send_file(match)

    def _redirect(self, match: re.Match[str]) -> None:
        before, after = self.path[: match.start("repo")], self.path[match.end("repo") :]
        location = before + self.hub.aliases[match["repo"]] + after
        self._send(HTTPStatus.TEMPORARY_REDIRECT, b"", {"Location": location})

    def _api(self, match: re.Match[str], query: str, body: bytes) -> Any:
        repository = self.hub.find(match["kind"], match["repo"])
        asked = parse_qs(query)
        if match["action"] == "refs":
            return repository.refs()
        revision, _, path = (match["rest"] or BRANCH).partition("/")
        revision, path = unquote(revision), unquote(path)
        if match["action"] == "tree":
            return repository.at(revision).tree(path.rstrip("/"), recursive=_truth(asked, "recursive"))
        if match["action"] == "paths-info":
            entries = map(repository.at(revision).entry, self._paths(body))
            return [entry for entry in entries if entry is not None]
        return repository.info(revision, blobs=_truth(asked, "blobs"))

    def _paths(self, body: bytes) -> list[str]:
        if "json" in self.headers.get("Content-Type", ""):
            return json.loads(body)["paths"]
        return [value for name, value in parse_qsl(body.decode()) if name == "paths"]

    def _send_json(self, answer: Any) -> None:
        self._send(HTTPStatus.OK, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send_file(self, match: re.Match[str]) -> None:
        commit = self.hub.find(match["kind"] or MODELS, match["repo"]).at(unquote(match["revision"]))
        content = commit.read(unquote(match["file"]))
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": f'"{blob_id(content)}"',
            "X-Repo-Commit": commit.sha,
            "Accept-Ranges": "bytes",
        }
        span = self._span(len(content))
        if span is None:
            self._send(HTTPStatus.OK, content, headers)
        elif not span:
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", {"Content-Range": f"bytes */{len(content)}"})
        else:
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{len(content)}"
            self._send(HTTPStatus.PARTIAL_CONTENT, content[span.start : span.stop], headers)

    def _span(self, size: int) -> range | None:
        """The bytes that the request's one range asks for; nothing without a range, empty where it lies outside."""
        match = _RANGE.match(self.headers.get("Range", ""))
        if match is None or not any(match.groups()):
            return None
        first, last = match.groups()
        if not first:
            return range(max(0, size - int(last)), size)
        return range(int(first), min(size, int(last) + 1) if last else size)

    def _send(self, status: HTTPStatus, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self._write(content)

    def _write(self, content: bytes) -> None:
        """Write an answer's body, with the fault that befalls it."""
        if self.fault == "wrong" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.fault == "cut":
            content, self.close_connection = content[: len(content) // 2], True
        if self.fault == "silent":
            time.sleep(15)
        parts = 8 if self.fault == "slow" else 1
        step = max(1, -(-len(content) // parts))
        for start in range(0, len(content), step):
            self.wfile.write(content[start : start + step])
            time.sleep(0.3 if parts > 1 else 0)


def blob_id(content: bytes) -> str:
    """The id that git gives a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _sibling(path: str, content: bytes, blobs: bool) -> dict[str, Any]:
    return {"rfilename": path, **({"size": len(content), "blobId": blob_id(content)} if blobs else {})}


def _truth(asked: Mapping[str, list[str]], name: str) -> bool:
    return asked.get(name, [""])[-1].lower() in ("1", "true")
