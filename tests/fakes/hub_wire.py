"""What comes to the loopback Hub, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

from fakes.hub_store import RefusalError
from laion_eo.types import JSON


@dataclass(frozen=True)
class Request:
    """One request, read whole."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    parts: Mapping[str, str] = field(default_factory=dict)

    def json(self, *needed: str) -> dict[str, JSON]:
        """Return the body, which must be a JSON object with these keys."""
        if not self.headers.get("Content-Type", "").startswith(
            ("application/json", "application/vnd.git-lfs+json")
        ):
            raise RefusalError(400, f"JSON wanted, got {self.headers.get('Content-Type')!r}")
        data = json.loads(self.body)
        if missing := [key for key in needed if key not in data]:
            raise RefusalError(400, f"missing {missing}")
        return dict(data)


@dataclass(frozen=True)
class Reply:
    """One answer; ``body`` is bytes or what JSON writes."""

    body: JSON = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
