"""A kNN service that wants a password, and says what it was told where it is asked to."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from knn_server import Handler, Server

from laion_eo.types import Embeddings


class Guarded(Server):
    """Answers whoever has the password; in other moods it answers with what it was sent.

    Attributes:
        urls: Of the pool's rows.
        mood: ``ok``, a status code that is answered to everything, ``garbage`` or ``redirect``.
    """

    def __init__(self, pool: Embeddings, urls: list[str], user: str, password: str) -> None:
        super().__init__(pool)
        self.RequestHandlerClass = _Guard
        self.urls = urls
        self.wanted = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
        self.mood = "ok"
        self.let_in = 0


class _Guard(Handler):
    server: Guarded

    def do_GET(self) -> None:  # noqa: N802 - the base's name
        if self._is_let_in():
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802 - the base's name
        if not self._is_let_in():
            return
        if self.path == "/metadata":
            ids = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["ids"]
            rows = [
                {"id": i, "metadata": {"url": self.server.urls[i], "caption": "green"}} for i in ids
            ]
            self._send(200, "application/json", json.dumps(rows).encode())
            return
        super().do_POST()

    def _is_let_in(self) -> bool:
        mood = self.server.mood
        told = self.headers.get("Authorization", "")
        if mood == "ok" and told == self.server.wanted:
            self.server.let_in += 1
            return True
        said = f"{'x' * 100} you sent {told}\r\n{self.headers}".encode()
        if mood == "redirect":
            self._send(302, "text/plain", said, {"Location": f"http://elsewhere.test/{told}"})
        else:
            code = int(mood) if mood.isdigit() else 200 if mood == "garbage" else 401
            self._send(code, "text/plain", said)
        return False


@contextmanager
def serve_guarded(pool: Embeddings, urls: list[str], user: str, password: str) -> Iterator[Guarded]:
    """Serve while the block runs."""
    with Guarded(pool, urls, user, password) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
