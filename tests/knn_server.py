"""A server on loopback that speaks the protocol of clip-retrieval's kNN service."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from laion_eo.types import Embeddings

Reply = tuple[int, str, bytes] | tuple[int, str, bytes, dict[str, str]]
"""Status code, content type, body; perhaps further headers."""


class Server(ThreadingHTTPServer):
    """Searches a pool of vectors; ``spoil`` may change any answer."""

    daemon_threads = True
    spoil: Callable[[str, Any, int], Reply | None]

    def __init__(self, pool: Embeddings) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pool = pool
        self.asked: list[tuple[str, Any]] = []
        self.spoil = lambda path, body, count: None
        self.names = json.dumps(["small", "large"]).encode()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def do_GET(self) -> None:
        self._send(200, "application/json", self.server.names)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append((self.path, body))
            count = len(self.server.asked)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(0.01)
        reply = self.server.spoil(self.path, body, count) or self._answer(body)
        with self.server.lock:
            self.server.at_once -= 1
        self._send(*reply)

    def _answer(self, body: Any) -> Reply:
        if self.path == "/metadata":
            rows = [{"id": i, "metadata": {"url": f"http://pool/{i}"}} for i in body["ids"]]
            return 200, "application/json", json.dumps(rows).encode()
        scores = self.server.pool @ np.array(body["embedding_input"], np.float32)
        best = np.argsort(-scores)[: body["num_result_ids"]]
        hits = [{"id": int(i), "similarity": float(scores[i])} for i in best]
        return 200, "application/json", json.dumps(hits).encode()

    def _send(
        self, status: int, kind: str, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        named = {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serve_knn(pool: Embeddings) -> Iterator[Server]:
    """Serve while the block runs; the server has the indices ``small`` and ``large``."""
    with Server(pool) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
