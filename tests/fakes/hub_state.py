"""The state of the loopback Hub: its repositories, its faults, and what its clients did."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from fakes.hub_store import Blob, RefusalError, Repo
from fakes.hub_wire import Request

TOKEN = "hf_loopback"


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
