"""The story of one image, from a run's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.config import Choice
from laion_eo.integrity.runs.groups import kept_copy
from laion_eo.integrity.stories.explanation import Fetched, Hit, Row, Story, Value
from laion_eo.integrity.stories.judgements import DUPLICATES, Facts, judgements
from laion_eo.integrity.stories.stage_tables import StageTables
from laion_eo.schema import DOWNLOAD_STATUSES, SCORES_FIXED, STATUS_REASON

BEST = 5
"""Hits that are listed of an image."""


class Teller:
    """Tells the stories of a run's images.

    Args:
        tables: The run's tables.
    """

    def __init__(self, tables: StageTables) -> None:
        self._tables = tables

    def story(self, number: int) -> Story:
        """Return what each stage made of an image."""
        candidate = self._row("candidates", number)
        verdict = self._row("verdicts", number)
        language = self._row("languages", number)
        scored = {**self._row("scores", number), **self._row("fitted_scores", number)}
        download = self._download(candidate)
        hits = self._hits(number)
        reasons = {STATUS_REASON: download.get("reason")}
        row = {**candidate, **download, **reasons, **scored, **language, **verdict}
        reason = cast("str | None", verdict.get("reason"))
        dropped_by = cast("str | None", verdict.get("filter"))
        is_copy = dropped_by == DUPLICATES and DUPLICATES in self._built_in
        return Story(
            id=number,
            url=cast("str | None", candidate.get("url")),
            caption=cast("str | None", candidate.get("caption")),
            hits=len(hits),
            anchors=len({hit.source for hit in hits}),
            best=tuple(hits[:BEST]),
            chosen=_chosen(candidate, hits),
            fetched=self._fetched(download) if download else None,
            image_error=cast("str | None", scored.get("image_error")),
            scores=_scores(scored),
            lang=cast("str | None", language.get("lang")),
            lang_score=cast("float | None", language.get("lang_score")),
            filters=judgements(self._chain, self._facts, row, self._built_in),
            kept=cast("bool | None", verdict.get("kept")),
            dropped_by=dropped_by,
            reason=reason,
            duplicate_of=kept_copy(reason) if is_copy else None,
            copies=self._copies(number),
            row=self._place(number),
        )

    def _row(self, stage: str, number: int) -> dict[str, object]:
        """Return an image's row of a stage; nothing where there is none."""
        if not self._tables.has(stage):
            return {}
        rows = self._tables.where(stage, "id", [number]).to_pylist()
        return dict(rows[0]) if rows else {}

    def _download(self, candidate: Mapping[str, object]) -> dict[str, object]:
        if not candidate or not self._tables.has("downloads"):
            return {}
        rows = self._tables.where("downloads", "url", [candidate["url"] or ""]).to_pylist()
        return dict(rows[0]) if rows else {}

    def _hits(self, number: int) -> list[Hit]:
        """Return the hits of an image, the most similar first."""
        found = self._tables.where("neighbors", "id", [number]).to_pylist()
        sources = sorted({hit["source"] for hit in found})
        rows = (
            self._tables.where("anchors", "source", sources, ["source", "anchor_id"]).to_pylist()
            if self._tables.has("anchors")
            else []
        )
        names = {row["source"]: row["anchor_id"] for row in rows}
        hits = [
            Hit(hit["source"], names.get(hit["source"]), hit["view"], hit["rank"], similarity)
            for hit in found
            for similarity in [hit["fast_similarity"]]
        ]
        # As the candidate is chosen: the most similar, then the first anchor, then its first view.
        return sorted(hits, key=lambda hit: (-hit.fast_similarity, hit.source, hit.view))

    def _fetched(self, download: Mapping[str, object]) -> Fetched:
        get = download.get
        status, filename = str(get("status")), cast("str | None", get("filename"))
        size = cast("int | None", get("bytes"))
        path = self._tables.run / "images" / Path(filename or "").name
        return Fetched(
            status=status,
            meaning=DOWNLOAD_STATUSES.get(status, ""),
            reason=str(get("reason") or ""),
            http_code=cast("int | None", get("http_code")),
            fetched_at=cast("datetime | None", get("fetched_at")),
            final_url=cast("str | None", get("final_url")),
            filename=filename,
            bytes=size,
            width=cast("int | None", get("width")),
            height=cast("int | None", get("height")),
            format=cast("str | None", get("format")),
            is_stored=bool(filename) and path.is_file() and path.stat().st_size == size,
        )

    @cached_property
    def _chain(self) -> tuple[Choice, ...]:
        return self._tables.filters()

    @cached_property
    def _facts(self) -> Facts:
        record = self._tables.record("verdicts")
        return record.facts if record else {}

    @cached_property
    def _built_in(self) -> frozenset[str]:
        return self._tables.built_in_filters()

    def _copies(self, number: int) -> tuple[int, ...]:
        """Return the images that were dropped as copies of this one."""
        if not self._tables.has("verdicts") or DUPLICATES not in self._built_in:
            return ()
        rows = self._tables.where("verdicts", "filter", [DUPLICATES], ["id", "reason"]).to_pylist()
        return tuple(row["id"] for row in rows if kept_copy(row["reason"]) == number)

    def _place(self, number: int) -> Row | None:
        """Return where the image is in the dataset."""
        if not self._tables.has("dataset"):
            return None
        for file in self._tables.parts("dataset"):
            ids = self._tables.read(file, ["id"])["id"]
            place = pc.index(ids, pa.scalar(number, pa.int64())).as_py()
            if place >= 0:
                return Row(file.path, place)
        return None


def _chosen(candidate: Mapping[str, object], hits: Sequence[Hit]) -> Hit | None:
    """Return the hit that a candidate was made from."""
    key = (candidate.get("source"), candidate.get("view"))
    return next((hit for hit in hits if (hit.source, hit.view) == key), None)


def _scores(scored: Mapping[str, object]) -> dict[str, Value]:
    """Return the scorers' columns; of a list of numbers, such as an embedding, its length."""
    found: dict[str, Value] = {}
    for name, value in scored.items():
        if name not in SCORES_FIXED.names:
            is_plain = value is None or isinstance(value, bool | int | float | str)
            found[name] = cast("Value", value) if is_plain else _described(value)
    return found


def _described(value: object) -> str:
    return f"{len(value)} numbers" if isinstance(value, list) else str(value)
