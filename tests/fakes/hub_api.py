"""The loopback Hub's endpoints: what huggingface_hub and datasets call, checked strictly."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import parse_qs, unquote

from fakes.hub_card import card_faults
from fakes.hub_commit import changed_files, is_large
from fakes.hub_state import LoopbackHub
from fakes.hub_store import Blob, RefusalError, Repo
from fakes.hub_wire import Reply, Request
from laion_eo.types import JSON

REPO = r"(?P<repo>[\w.-]+(?:/[\w.-]+)?)"
Endpoint: TypeAlias = Callable[[LoopbackHub, Request], Reply]
ROUTES: list[tuple[str, re.Pattern[str], Endpoint]] = []


def _route(methods: str, pattern: str) -> Callable[[Endpoint], Endpoint]:
    def register(endpoint: Endpoint) -> Endpoint:
        expression = re.compile(pattern.replace("{R}", f"datasets/{REPO}"))
        ROUTES.extend((method, expression, endpoint) for method in methods.split())
        return endpoint

    return register


@_route("GET HEAD POST", "/api/(?:agent-harnesses|telemetry/.*)")
def _not_here(_: LoopbackHub, request: Request) -> Reply:
    """Refuse what newer clients ask on their own account, and do without."""
    raise RefusalError(404, f"{request.path} is not served here")


@_route("GET", "/api/whoami-v2")
def _whoami(hub: LoopbackHub, request: Request) -> Reply:
    hub.check_token(request)
    orgs = [{"name": name} for name in hub.orgs]
    return Reply({"type": "user", "name": hub.user, "orgs": orgs, "auth": {"type": "access_token"}})


@_route("POST", "/api/repos/create")
def _create(hub: LoopbackHub, request: Request) -> Reply:
    hub.check_token(request)
    data = request.json("name", "organization", "type")
    if data["type"] != "dataset":
        raise RefusalError(400, f"a dataset wanted, not a {data['type']}")
    owner = data["organization"] or hub.user
    name = f"{owner}/{data['name']}"
    about = {"url": f"{hub.url}/datasets/{name}", "name": name, "id": "0" * 24}
    if owner not in (hub.user, *hub.orgs):
        raise RefusalError(403, f"You don't have the rights to create a dataset under {owner!r}")
    if name in hub.repos:
        return Reply({**about, "error": "You already created this dataset repo"}, 409)
    private = data.get("visibility") == "private" or bool(data.get("private"))
    hub.repos[name] = Repo(name, private)
    return Reply(about)


@_route("POST", "/api/validate-yaml")
def _validate(_: LoopbackHub, request: Request) -> Reply:
    data = request.json("content", "repoType")
    errors = [{"message": fault} for fault in card_faults(data["content"])]
    return Reply({"errors": errors, "warnings": []}, 400 if errors else 200)


@_route("GET", "/api/{R}(?:/revision/(?P<rev>[^/]+))?")
def _info(hub: LoopbackHub, request: Request) -> Reply:
    return Reply(hub.reader(request).info(request.parts["rev"] or "main"))


@_route("GET", "/api/{R}/auth-check")
def _auth_check(hub: LoopbackHub, request: Request) -> Reply:
    hub.reader(request)
    return Reply({})


@_route("GET", "/api/{R}/refs")
def _refs(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.reader(request)

    def listed(kind: str, refs: Mapping[str, str]) -> list[JSON]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
            for name, oid in refs.items()
        ]

    pulls = {name: oid for name, oid in repo.branches.items() if name.startswith("refs/pr/")}
    heads = {name: oid for name, oid in repo.branches.items() if name not in pulls}
    found = {"branches": listed("heads", heads), "tags": listed("tags", repo.tags), "converts": []}
    if request.query.get("include_prs") in ("1", "true", "True"):
        found["pullRequests"] = [
            {"name": name, "ref": name, "targetCommit": oid} for name, oid in pulls.items()
        ]
    return Reply(found)


@_route("GET", "/api/{R}/discussions")
def _discussions(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.reader(request)
    asked = {"type": "pull_request", "status": "open"}
    if any(request.query.get(key, value) != value for key, value in asked.items()):
        raise RefusalError(400, f"open pull requests are all there is, not {request.query}")
    pulls = {name: oid for name, oid in repo.branches.items() if name.startswith("refs/pr/")}
    found = [
        {
            "num": int(name.rpartition("/")[2]),
            "title": repo.commits[oid].title,
            "status": "open",
            "isPullRequest": True,
            "author": {"name": hub.user},
            "createdAt": repo.commits[oid].date,
            "repo": {"name": repo.name, "type": "dataset"},
        }
        for name, oid in pulls.items()
        if name not in repo.closed
    ]
    return Reply({"discussions": found, "count": len(found), "start": 0})


@_route("GET", "/api/{R}/commits/(?P<rev>[^/]+)")
def _commits(hub: LoopbackHub, request: Request) -> Reply:
    found = hub.reader(request).history(request.parts["rev"])
    return Reply(
        [
            {"id": c.id, "title": c.title, "message": "", "date": c.date, "authors": []}
            for c in found
        ]
    )


@_route("GET", "/api/{R}/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?")
def _tree(hub: LoopbackHub, request: Request) -> Reply:
    recursive = request.query.get("recursive", "").lower() in ("1", "true")
    folder = (request.parts["path"] or "").rstrip("/")
    return Reply(hub.reader(request).tree(request.parts["rev"], folder, recursive))


@_route("POST", "/api/{R}/paths-info/(?P<rev>[^/]+)")
def _paths_info(hub: LoopbackHub, request: Request) -> Reply:
    if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        paths = parse_qs(request.body.decode())["paths"]
    else:
        paths = request.json("paths")["paths"]
    everything = hub.reader(request).tree(request.parts["rev"], "", recursive=True)
    return Reply([entry for entry in everything if entry["path"] in paths])


@_route("HEAD GET", "/{R}/resolve/(?P<rev>[^/]+)/(?P<path>.+)")
def _resolve(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.reader(request)
    blob = repo.file(request.parts["rev"], request.parts["path"])
    headers = {
        "X-Repo-Commit": repo.at(request.parts["rev"]).id,
        "ETag": f'"{blob.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    if blob.lfs:
        headers |= {"X-Linked-Size": str(len(blob.content)), "X-Linked-ETag": f'"{blob.etag}"'}
    content = hub.damage(request.parts["path"], blob.content)
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked is None or request.method == "HEAD":
        return Reply(content, 200, headers)
    start, stop = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
    if start >= len(content):
        raise RefusalError(416, f"{len(content)} bytes, asked from {start}")
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
    return Reply(content[start:stop], 206, headers)


@_route("POST", "/api/{R}/preupload/(?P<rev>[^/]+)")
def _preupload(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.writer(request)
    there = repo.at(request.parts["rev"]).files
    found = []
    for file in request.json("files")["files"]:
        sample = base64.b64decode(file["sample"], validate=True)
        if len(sample) != min(file["size"], 512):
            raise RefusalError(400, f"{file['path']}: a sample of {len(sample)} bytes")
        mode = "lfs" if is_large(file["path"], file["size"]) else "regular"
        about = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        if blob := there.get(file["path"]):
            about["oid"] = blob.etag
        found.append(about)
    return Reply({"files": found})


@_route("POST", r"/{R}\.git/info/lfs/objects/batch")
def _batch(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.writer(request)
    data = request.json("operation", "transfers", "objects", "hash_algo")
    if data["operation"] != "upload" or data["hash_algo"] != "sha256":
        raise RefusalError(400, "an upload with sha256 wanted")
    objects = []
    for thing in data["objects"]:
        about = {"oid": thing["oid"], "size": thing["size"]}
        if thing["oid"] not in repo.stored:
            href = f"{hub.url}/lfs/{repo.name}/{thing['oid']}"
            about["actions"] = {
                "upload": {"href": f"{href}?signature={hub.signature}", "header": {}},
                "verify": {"href": f"{href}/verify", "header": {}},
            }
        objects.append(about)
    return Reply({"transfer": "basic", "objects": objects})


@_route("PUT", f"/lfs/{REPO}/(?P<oid>[0-9a-f]{{64}})")
def _upload(hub: LoopbackHub, request: Request) -> Reply:
    if request.query.get("signature") != hub.signature or "Authorization" in request.headers:
        raise RefusalError(403, "the signed address wanted, and no other credentials")
    if Blob(request.body, lfs=True).sha256 != request.parts["oid"]:
        raise RefusalError(400, "the bytes do not have this SHA-256")
    hub.repos[request.parts["repo"]].stored[request.parts["oid"]] = request.body
    return Reply()


@_route("POST", f"/lfs/{REPO}/(?P<oid>[0-9a-f]{{64}})/verify")
def _verify(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.writer(request)
    data = request.json("oid", "size")
    if len(repo.stored.get(data["oid"], b"")) != data["size"]:
        raise RefusalError(404, "no such object of that size")
    return Reply({})


@_route("POST", "/api/{R}/commit/(?P<rev>[^/]+)")
def _commit(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.writer(request)
    if request.headers.get("Content-Type") != "application/x-ndjson":
        raise RefusalError(400, "NDJSON wanted")
    lines = [json.loads(line) for line in request.body.splitlines()]
    if not lines or lines[0]["key"] != "header" or not lines[0]["value"].get("summary"):
        raise RefusalError(400, "a header with a summary wanted first")
    branch = request.parts["rev"]
    if branch not in repo.branches:
        raise RefusalError(400, f"{branch} is not a branch")
    head, header = repo.at(branch), lines[0]["value"]
    if header.get("parentCommit", head.id) != head.id:
        raise RefusalError(412, "A commit has happened since. Please refresh and try again.")
    files = changed_files(repo, head, lines[1:])
    extra = {}
    if request.query.get("create_pr") == "1":
        number = sum(name.startswith("refs/pr/") for name in repo.branches) + 1
        branch = f"refs/pr/{number}"
        extra["pullRequestUrl"] = f"{hub.url}/datasets/{repo.name}/discussions/{number}"
    commit = repo.add(branch, header["summary"], files, head)
    url = f"{hub.url}/datasets/{repo.name}/commit/{commit.id}"
    return Reply({"success": True, "commitOid": commit.id, "commitUrl": url, **extra})


@_route("POST", "/api/{R}/(?P<kind>tag|branch)/(?P<name>[^/]+)")
def _ref(hub: LoopbackHub, request: Request) -> Reply:
    repo = hub.writer(request)
    if request.parts["kind"] == "tag":
        data = request.json("tag")
        refs, name, target = repo.tags, data["tag"], request.parts["name"]
    else:
        data = json.loads(request.body or b"{}")
        refs, name = repo.branches, request.parts["name"]
        target = data.get("startingPoint", "main")
    if name in refs:
        raise RefusalError(409, f"The reference {name} exists already")
    refs[name] = repo.at(target).id
    return Reply({})


def answer(hub: LoopbackHub, request: Request) -> Reply:
    """Carry out a request.

    Raises:
        RefusalError: The answer is an error.
    """
    for method, pattern, endpoint in ROUTES:
        match = pattern.fullmatch(request.path)
        if match and method == request.method:
            parts = {k: v and unquote(v) for k, v in match.groupdict().items()}
            try:
                return endpoint(hub, replace(request, parts=parts))
            except (ValueError, KeyError, TypeError, binascii.Error) as error:
                raise RefusalError(400, f"malformed: {type(error).__name__}: {error}") from error
    raise RefusalError(501, f"no such endpoint: {request.method} {request.path}")
