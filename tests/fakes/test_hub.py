"""The loopback Hub refuses what a right client never asks."""

from __future__ import annotations

import json
from hashlib import sha256
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from fakes.hub_state import TOKEN, LoopbackHub

REPO = "org/x"
PREFIX = f"/api/datasets/{REPO}"
NDJSON = "application/x-ndjson"
HEADER = {"key": "header", "value": {"summary": "x"}}


def ask(hub: LoopbackHub, path: str, body: object, kind: str = "application/json") -> int:
    """POST, or PUT bytes, with the token; return the status."""
    lines = body if kind == NDJSON else [body]
    assert isinstance(lines, list)
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    try:
        with urlopen(Request(hub.url + path, data, headers)) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (f"{PREFIX}/preupload/main", {}, "application/json"),
        (f"{PREFIX}/preupload/main", {"files": []}, "text/plain"),
        (
            f"{PREFIX}/preupload/main",
            {"files": [{"path": "a", "sample": "eA==", "size": 2}]},
            "application/json",
        ),
        (f"{PREFIX}/commit/main", [HEADER], NDJSON),
        (f"{PREFIX}/commit/main", [{"key": "file", "value": {}}], NDJSON),
        (f"{PREFIX}/commit/main", [HEADER, {"key": "file", "value": {"path": "../x"}}], NDJSON),
        (
            f"{PREFIX}/commit/main",
            [
                HEADER,
                {"key": "lfsFile", "value": {"path": "a", "algo": "sha256", "oid": "0" * 64}},
            ],
            NDJSON,
        ),
        (
            f"{PREFIX}/commit/main",
            [
                HEADER,
                {"key": "file", "value": {"path": "a.csv", "encoding": "base64", "content": ""}},
            ],
            NDJSON,
        ),
        (
            "/api/repos/create",
            {"name": "x", "organization": "org", "type": "model"},
            "application/json",
        ),
        (
            f"/datasets/{REPO}.git/info/lfs/objects/batch",
            {"operation": "upload"},
            "application/json",
        ),
    ],
)
def test_malformed_requests_are_refused_and_noted(
    hub: LoopbackHub, path: str, body: object, kind: str
) -> None:
    hub.put(REPO, {"a.txt": b"x"})
    assert ask(hub, path, body, kind) == 400
    assert len(hub.complaints) == 1
    assert len(hub.repos[REPO].commits) == 2
    hub.complaints.clear()


@pytest.mark.parametrize(
    ("signature", "body", "headers", "status"),
    [
        ("signed", b"x", {}, 200),
        ("signed", b"other bytes", {}, 400),
        ("forged", b"x", {}, 403),
        ("signed", b"x", {"Authorization": f"Bearer {TOKEN}"}, 403),
    ],
)
def test_only_the_announced_bytes_are_stored(
    hub: LoopbackHub, signature: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    hub.put(REPO, {"a.txt": b"x"})
    url = f"{hub.url}/lfs/{REPO}/{sha256(b'x').hexdigest()}?signature={signature}"
    request = Request(
        url, body, {"Content-Type": "application/octet-stream", **headers}, method="PUT"
    )
    try:
        with urlopen(request) as answer:
            found = answer.status
    except HTTPError as error:
        with error:
            found = error.code
    assert found == status
    assert len(hub.repos[REPO].stored) == (status == 200)
    hub.complaints.clear()


def test_unknown_endpoint_is_noted(hub: LoopbackHub) -> None:
    assert ask(hub, "/api/nothing", {}) == 501
    assert hub.complaints == ["POST /api/nothing: no such endpoint: POST /api/nothing"]
    hub.complaints.clear()


def test_stale_parent_is_412(hub: LoopbackHub) -> None:
    hub.put(REPO, {"a.txt": b"x"})
    first = hub.repos[REPO].branches["main"]
    hub.put(REPO, {"a.txt": b"y"})
    with pytest.raises(HfHubHTTPError) as caught:
        HfApi().create_commit(
            REPO,
            [CommitOperationAdd("b.txt", b"z")],
            commit_message="late",
            repo_type="dataset",
            parent_commit=first,
        )
    assert caught.value.response.status_code == 412


def test_private_repository_needs_the_token(hub: LoopbackHub) -> None:
    hub.put(REPO, {"a.txt": b"x"}, private=True)
    assert HfApi().repo_info(REPO, repo_type="dataset").private
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=False).repo_info(REPO, repo_type="dataset")


def test_files_and_ranges(hub: LoopbackHub) -> None:
    hub.put(REPO, {"v/a.csv": b"0123456789"})
    assert list(HfApi().list_repo_files(REPO, repo_type="dataset")) == [".gitattributes", "v/a.csv"]
    url = f"{hub.url}/datasets/{REPO}/resolve/main/v/a.csv"
    with urlopen(Request(url, headers={"Range": "bytes=2-4"})) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == "bytes 2-4/10"
        assert answer.read() == b"234"
