"""A Hub on loopback, for tests: the real huggingface_hub and datasets clients speak to it.

It keeps dataset repositories in memory and answers the endpoints that those clients use; any other
request, and any malformed one, is refused and noted in ``complaints``. Faults are injected by
method and path.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from fakes.hub_api import answer
from fakes.hub_state import Fault, LoopbackHub
from fakes.hub_store import RefusalError
from fakes.hub_wire import Reply, Request


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
