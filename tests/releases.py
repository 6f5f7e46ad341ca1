"""Releases to the loopback Hub, and what it then holds."""

from __future__ import annotations

from pathlib import Path

from fakes.hub_state import LoopbackHub

from laion_eo.hub.cards import CardHead, split_card
from laion_eo.hub.releasing import Published
from laion_eo.integrity.release import release
from laion_eo.types import JSON

REPO = "org/laion_eo"


def publish(run: Path, **options: JSON) -> Published:
    """Release a run to ``REPO``."""
    done = release(run, REPO, **options)
    assert isinstance(done, Published)
    return done


def files(hub: LoopbackHub, revision: str = "main") -> set[str]:
    """Return the paths in ``REPO``, but for git's own."""
    return set(hub.repos[REPO].at(revision).files) - {".gitattributes"}


def head(hub: LoopbackHub, revision: str = "main") -> CardHead:
    """Return the metadata of the card of ``REPO``."""
    card = hub.repos[REPO].file(revision, "README.md").content.decode()
    return split_card(card)[0]
