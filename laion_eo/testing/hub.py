"""A Hub on loopback, for tests: the real huggingface_hub and datasets clients speak to it.

It keeps dataset repositories in memory and answers the endpoints that those clients use; any other
request, and any malformed one, is refused and noted in ``complaints``. Faults are injected by
method and path.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from laion_eo.testing.hub_api import answer
from laion_eo.testing.hub_store import Blob, RefusalError, Repo
from laion_eo.testing.hub_wire import Reply, Request

TOKEN = "hf_loopback"  # noqa: S105 - opens nothing but this server


@dataclass
class Fault:
    """What goes wrong with matching requests.

    Attributes:
        method: HTTP method.
        path: Regular expression that the path contains.
        status: Answered instead of the work; 0 closes the connection without an answer.
        times: How often, before all is well again.
        headers: Of the answer, such as ``Retry-After``.
        after: Whether the request is carried out first, and only its answer lost.
        body_bytes: With ``status`` 0, how much of the request's body is read before.
    """

    method: str
    path: str
    status: int = 0
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    body_bytes: int = 1000


class LoopbackHub:
    """The state of the Hub, and what its clients did.

    Attributes:
        url: For ``HF_ENDPOINT``.
        token: For ``HF_TOKEN``: its user may write.
        user: Whose token it is.
        orgs: Organisations that the user may write to.
        repos: Repositories by name.
        faults: Faults still to come.
        requests: What was asked, as (method, path, status).
        complaints: Requests that no right client makes.
        damaged: Files that are served with a wrong last byte.
    """

    user = "someone"

    def __init__(self, url: str, orgs: tuple[str, ...] = ("org",)) -> None:
        self.url = url
        self.token = TOKEN
        self.signature = "signed"
        self.orgs = orgs
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, int]] = []
        self.complaints: list[str] = []
        self.damaged: set[str] = set()

    def put(
        self, repo: str, files: Mapping[str, bytes], private: bool = False, commit: str = ""
    ) -> None:
        """Commit files to a repository without a client, making it if need be.

        Args:
            repo: Its name.
            files: Bytes by path.
            private: Whether a repository that is made is private.
            commit: The commit's id, where a client will ask for a known one.
        """
        home = self.repos.setdefault(repo, Repo(repo, private))
        new = {
            path: Blob(data, path.endswith((".parquet", ".csv"))) for path, data in files.items()
        }
        head = home.at("main")
        home.add("main", "put", {**head.files, **new}, head, commit)

    def reader(self, request: Request) -> Repo:
        """Return the repository of a request that reads."""
        given = request.headers.get("Authorization")
        if given is not None and given != f"Bearer {self.token}":
            raise RefusalError(401, "Invalid credentials in Authorization header")
        repo = self.repos.get(request.parts["repo"])
        if repo is None or (repo.private and given is None):
            status = 404 if given else 401
            raise RefusalError(status, "Repository Not Found", "RepoNotFound")
        return repo

    def check_token(self, request: Request) -> None:
        """Refuse a request without the right token."""
        given = request.headers.get("Authorization")
        if given is None:
            raise RefusalError(401, "Invalid username or password.")
        if given != f"Bearer {self.token}":
            raise RefusalError(401, "Invalid credentials in Authorization header")

    def writer(self, request: Request) -> Repo:
        """Return the repository of a request that writes."""
        self.check_token(request)
        repo = self.reader(request)
        if repo.name.split("/")[0] not in (self.user, *self.orgs):
            raise RefusalError(403, f"You may not write to {repo.name}")
        return repo

    def damage(self, path: str, content: bytes) -> bytes:
        """Return the bytes to serve."""
        return content[:-1] + bytes([content[-1] ^ 1]) if path in self.damaged else content

    def fault_for(self, method: str, path: str) -> Fault | None:
        """Use up one of the faults that match."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer goes out as several small packets; without this each waits for the last's receipt.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def _work(self) -> None:
        hub = self.server.hub
        address = urlsplit(self.path)
        path = address.path  # escaped: a revision's slashes are no separators
        fault = hub.fault_for(self.command, path)
        length = int(self.headers.get("Content-Length", 0))
        if fault and fault.status == 0 and not fault.after:
            self.rfile.read(min(length, fault.body_bytes))
            self._hang_up()
            return
        body = self.rfile.read(length)
        query = dict(parse_qsl(address.query))
        request = Request(self.command, path, query, self.headers, body)
        reply = self._refused(fault) if fault and not fault.after else self._answer(hub, request)
        hub.requests.append((self.command, unquote(path), reply.status))
        if fault and fault.after:
            self._hang_up()
        else:
            self._send(reply)

    def _answer(self, hub: LoopbackHub, request: Request) -> Reply:
        chunked = "Transfer-Encoding" in self.headers
        try:
            if chunked:
                raise RefusalError(501, "a length is wanted, not chunks")
            with hub.lock:
                return answer(hub, request)
        except RefusalError as error:
            if error.status in (400, 501):
                hub.complaints.append(f"{request.method} {request.path}: {error}")
            headers = {"X-Error-Code": error.code} if error.code else {}
            headers["X-Error-Message"] = str(error).replace("\n", " ")
            return Reply({"error": str(error)}, error.status, headers)

    def _refused(self, fault: Fault) -> Reply:
        return Reply({"error": f"injected {fault.status}"}, fault.status, fault.headers)

    def _send(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _work  # noqa: N815 - the base's names


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: LoopbackHub

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


@contextmanager
def loopback_hub(orgs: tuple[str, ...] = ("org",)) -> Iterator[LoopbackHub]:
    """Run a Hub on 127.0.0.1 while the block runs.

    Clients need ``HF_ENDPOINT`` (the hub's ``url``), ``HF_TOKEN`` (its ``token``), a fresh
    ``HF_HOME``, and ``HF_HUB_DISABLE_XET=1``, all set before huggingface_hub is imported.

    Args:
        orgs: Organisations that the token may write to.
    """
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.hub = LoopbackHub(f"http://127.0.0.1:{server.server_address[1]}", orgs)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.hub
        finally:
            server.shutdown()
            thread.join()
