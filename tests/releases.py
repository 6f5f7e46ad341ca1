"""Releases to the loopback Hub, and what it then holds."""

from __future__ import annotations

import json
from pathlib import Path

from fakes.hub_state import LoopbackHub

from laion_eo.config import validate
from laion_eo.file_record import record_file
from laion_eo.hub.cards import CardHead, split_card
from laion_eo.hub.releasing import HubPlan, Published, ReleaseOptions, Releaser
from laion_eo.integrity.release import find_release
from laion_eo.types import JSON

REPO = "org/laion_eo"


def release_made(
    run: Path, repo: str, config: str | None = None, *, dry_run: bool = False, **options: JSON
) -> Published | HubPlan:
    """Release what ``make_run`` made, which is no whole run: ``release`` itself refuses it."""
    releaser = Releaser(validate(ReleaseOptions, {"repo": repo, **options}, "release"))
    found = find_release(run, config)
    return releaser.plan(found) if dry_run else releaser.release(found)


def publish(run: Path, **options: JSON) -> Published:
    """Release what ``make_run`` made to ``REPO``."""
    done = release_made(run, REPO, **options)
    assert isinstance(done, Published)
    return done


def record_again(run: Path) -> None:
    """Let a run's manifest name the files of its dataset as they are now."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    files = sorted(file for file in (run / "dataset").rglob("*") if file.is_file())
    records = [record_file(run, file).model_dump(mode="json") for file in files]
    manifest["stages"]["dataset"]["files"] = records
    path.write_text(json.dumps(manifest), "utf-8")


def files(hub: LoopbackHub, revision: str = "main") -> set[str]:
    """Return the paths in ``REPO``, but for git's own."""
    return set(hub.repos[REPO].at(revision).files) - {".gitattributes"}


def head(hub: LoopbackHub, revision: str = "main") -> CardHead:
    """Return the metadata of the card of ``REPO``."""
    card = hub.repos[REPO].file(revision, "README.md").content.decode()
    return split_card(card)[0]
