"""Explains one image of a run: the Python call behind ``laion-eo explain``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pyarrow.compute as pc

from laion_eo.errors import ConfigError, did_you_mean
from laion_eo.integrity.runs.records import NAMES
from laion_eo.integrity.stories.explanation import Explanation
from laion_eo.integrity.stories.stage_tables import StageTables
from laion_eo.integrity.stories.telling import Teller

LIKELY = 1000
"""Ids or URLs among which one is looked for that was meant."""


def explain(run: str | Path, what: int | str) -> Explanation:
    """Say, stage by stage, why an image is in or out of a run's dataset.

    A run that has not ended is explained as far as it has come.

    Args:
        run: The run directory.
        what: The id of the image, which is its row in the pool, or its URL.

    Raises:
        ConfigError: It is no run directory, or nothing in the run has that id or URL.
        DataError: A table of the run is damaged.
    """
    tables = StageTables(Path(run))
    asked = str(what).strip().encode("utf-8", "replace").decode()
    finished = tuple(step for step in NAMES if tables.has(step))
    unfinished = tuple(step for step in NAMES if step not in finished)
    if "neighbors" not in finished:
        raise ConfigError(
            f"{run}: its search is not complete, so nothing is known of an image yet."
        )
    ids = _ids(tables, asked)
    stories = tuple(Teller(tables).story(number) for number in ids)
    return Explanation(tables.run, asked, stories, finished, unfinished)


def _ids(tables: StageTables, asked: str) -> list[int]:
    """Return the ids that are meant by an id or a URL.

    Raises:
        ConfigError: There is none.
    """
    is_number = asked.isascii() and asked.isdecimal() and len(asked) < 19
    if is_number and tables.where("neighbors", "id", [int(asked)], ["id"]).num_rows:
        return [int(asked)]
    if tables.has("candidates"):
        found = tables.where("candidates", "url", [asked], ["id"])
        if found.num_rows:
            return [int(number) for number in found["id"].to_pylist()]
    raise ConfigError(f"{tables.run}: {_unknown(tables, asked, is_number)}")


def _unknown(tables: StageTables, asked: str, is_number: bool) -> str:
    """Return why nothing is known of an image, and which may have been meant."""
    if is_number:
        known = pc.unique(tables.all("neighbors", ["id"])["id"]).to_pylist()
        near = sorted(known, key=lambda number: abs(number - int(asked)))[:LIKELY]
        hint = did_you_mean(asked, map(str, near))
        return f"no anchor found the image {asked} among its nearest.{hint}"
    if not tables.has("candidates"):
        return f"no URL is known before the candidates are complete: ask for an id, not {asked!r}."
    known = pc.unique(tables.all("candidates", ["url"])["url"].drop_null()).to_pylist()
    hint = did_you_mean(asked, _likely(asked, known))
    return f"no candidate has the URL {asked!r}, and an id is a number.{hint}"


def _likely(asked: str, known: Sequence[str]) -> list[str]:
    """Return the URLs that are worth comparing: of the same file name, or else the same host."""
    name, host = PurePosixPath(asked).name, asked.split("/")[2:3]
    same_name = [url for url in known if name and PurePosixPath(url).name == name]
    same_host = [url for url in known if host and url.split("/")[2:3] == host]
    return [*same_name, *same_host, *known][:LIKELY]
