"""Seeds on their way through a run: its models, its scorers and its filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.errors import ConfigError
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.seeds.files import SeedFile
from laion_eo.evaluation.seeds.search import (
    FIRST_ID,
    Finds,
    finds_of,
    found_again,
    found_in_table,
)
from laion_eo.kinds import (
    AnchorSet,
    Embedder,
    Filter,
    FitData,
    FittedScorer,
    Retriever,
    ScoreBatch,
    Scorer,
)
from laion_eo.kinds.contract import check_embeddings, check_table, check_verdict
from laion_eo.pipeline import Runner
from laion_eo.pipeline.run_dir import RUN_FILE
from laion_eo.pipeline.stages.assemble import with_columns, with_downloads, with_scores
from laion_eo.pipeline.vectors.queries import scored_anchors
from laion_eo.pipeline.vectors.seen import Seen, with_images
from laion_eo.schema import DOWNLOADED, LANGUAGES, SCORES_FIXED
from laion_eo.types import Embeddings, Verdict

TOGETHER = 32
"""Pictures that are decoded at a time."""
Places = NDArray[np.int64]

UNKNOWN = frozenset(
    {
        *("url", "caption", "lang", "lang_score", "sha256", "md5", "final_url", "http_code"),
        *("fetched_at", "status_reason", "found_by"),
    }
)
"""What a filter may judge of a candidate, and a seed does not have or is not known by."""


class SeedRun:
    """The seeds in a finished run.

    Args:
        candidates: Of the run.
        files: The seeds.

    Raises:
        ConfigError: A component of the run is not there, or its options or data have changed.
    """

    def __init__(self, candidates: Candidates, files: Sequence[SeedFile]) -> None:
        self.files = list(files)
        self._run_dir = candidates.run_dir
        runner = Runner(self._run_dir.path / RUN_FILE, self._run_dir.path, (), candidates.registry)
        for stage in runner.stages:
            record = self._run_dir.record(stage.name)
            if record is None or record.fingerprint != runner.fingerprints[stage.name]:
                raise ConfigError(
                    f"{self._run_dir.path}: what the stage {stage.name!r} was made of has changed "
                    "since (another version, labels, anchors or pool): run it again first."
                )
        self.workbench = runner.workbench
        self._seen = Seen(self.workbench, self._run_dir)
        self._embedded: dict[int, Embeddings] = {}

    def embedded(self, embedder: Embedder) -> Embeddings:
        """Return the vectors of all seeds by a model: float32, (n, dim), rows of length 1."""
        stored = self._rounded(embedder)
        vectors: Embeddings = stored / np.linalg.norm(stored, axis=1, keepdims=True)
        return vectors

    def _rounded(self, embedder: Embedder) -> Embeddings:
        """Return the vectors rounded as those of the pool and of the candidates are stored."""
        if id(embedder) not in self._embedded:
            ready = self.workbench.ready(embedder)
            parts = []
            for start in range(0, len(self.files), TOGETHER):
                pictures = [file.picture() for file in self.files[start : start + TOGETHER]]
                found = ready.embed_images(pictures)
                parts.append(check_embeddings(ready, found, len(pictures), ready.dim))
            dtype = self.workbench.config.embeddings.dtype
            self._embedded[id(embedder)] = np.concatenate(parts).astype(dtype).astype(np.float32)
        return self._embedded[id(embedder)]

    def search(self) -> Finds:
        """Return which seeds the search finds."""
        anchors = self._seen.anchors(self.workbench.one(Embedder))
        seeds = self._rounded(self.workbench.one(Embedder))
        retriever = self.workbench.one(Retriever)
        if retriever.config.searches_again():
            hits = found_again(anchors, seeds, self.workbench.ready(retriever))
        else:
            neighbors = self._run_dir.read("neighbors")
            hits = found_in_table(anchors, seeds, neighbors, retriever.config.k)
        return finds_of(anchors, seeds, hits)

    def score(self, finds: Finds) -> pa.Table:
        """Return the seeds that were found as rows of candidates, with the scores of all scorers.

        Args:
            finds: What the search makes of all seeds.
        """
        places = np.flatnonzero(finds.found)
        rows = self._rows(places, finds)
        scorers = self.workbench.all(Scorer)
        for scorer in scorers:
            if not isinstance(scorer, FittedScorer):
                rows = self._scored(scorer, rows, places, finds)
        known = with_columns(with_downloads(self._run_dir), self._run_dir.read("scores"))
        known, fitted = with_images(known), self._run_dir.read("fitted_scores")
        for scorer in scorers:
            if isinstance(scorer, FittedScorer):
                embedder = self.workbench.embedder_of(scorer)
                data = self._seen.fit_data(known, self._anchors(embedder), embedder)
                self.workbench.ready(scorer).fit(data)
                rows = self._scored(scorer, rows, places, finds)
                known = with_columns(known, fitted.select(["id", *scorer.columns.names]))
        return rows

    def _scored(self, scorer: Scorer, rows: pa.Table, places: Places, finds: Finds) -> pa.Table:
        """Return rows with the columns of a scorer."""
        ready = self.workbench.ready(scorer)
        embedder = self.workbench.ready(self.workbench.embedder_of(scorer))
        anchors, seeds = self._anchors(embedder), self.embedded(embedder)
        found = [scorer.columns.empty_table()]
        for start in range(0, len(places), TOGETHER):
            some = places[start : start + TOGETHER]
            shown = [self.files[one].picture() for one in some] if scorer.needs_images else None
            near = anchors.embeddings[finds.query[some]]
            part = rows.slice(start, len(some))
            batch = ScoreBatch(part, seeds[some], near, embedder, anchors, shown)
            found.append(check_table(scorer, ready.score(batch), scorer.columns, len(some)))
        scores = pa.concat_tables(found)
        for field in scores.schema:
            rows = rows.append_column(field, scores[field.name])
        return rows

    def _rows(self, places: Places, finds: Finds) -> pa.Table:
        """Return the found seeds as candidates that were downloaded."""
        anchors = self._seen.anchors(self.workbench.one(Embedder)).table
        query = pa.array(finds.query[places])
        known = {
            "id": pa.array(places + FIRST_ID),
            "source": anchors["source"].take(query),
            "view": anchors["view"].take(query),
            "fast_similarity": pa.array(finds.cosine[places]),
        }
        told = [self.files[place].row for place in places.tolist()]
        for field in (*DOWNLOADED, *SCORES_FIXED, *LANGUAGES):
            if field.name not in known:
                known[field.name] = pa.array([row.get(field.name) for row in told], field.type)
        return pa.table(known)

    def _anchors(self, embedder: Embedder) -> AnchorSet:
        """Return the anchors as a model sees them, with their scores."""
        return AnchorSet(self._anchor_table, self._seen.anchors(embedder).embeddings)

    @cached_property
    def _anchor_table(self) -> pa.Table:
        return scored_anchors(self._run_dir).table

    def judge(self, rows: pa.Table) -> tuple[dict[int, tuple[str, str]], list[str]]:
        """Let the run's filters judge seeds, as they were fitted to the run.

        Args:
            rows: The seeds that were found, scored.

        Returns:
            By the place of each seed that is dropped, the filter and its reason; and the filters
            that have no say, as they judge what a seed does not have.
        """
        known = with_images(with_scores(self._run_dir))
        verdicts = self._run_dir.read("verdicts", ["id", "filter"])
        by = dict(zip(verdicts["id"].to_pylist(), verdicts["filter"].to_pylist(), strict=True))
        lost: dict[int, tuple[str, str]] = {}
        silent: list[str] = []
        for filter_ in self.workbench.all(Filter):
            if filter_.judges_alone and UNKNOWN.intersection(filter_.needs()):
                silent.append(filter_.name)
            elif filter_.judges_alone and rows.num_rows:
                verdict = self._verdict(filter_, rows, known)
                places = (rows["id"].to_numpy() - FIRST_ID).tolist()
                judged = zip(places, verdict.mask.tolist(), verdict.reasons, strict=True)
                lost |= {place: (filter_.name, why) for place, kept, why in judged if not kept}
                rows = rows.filter(pa.array(verdict.mask))
            stays = [by[number] != filter_.name for number in known["id"].to_pylist()]
            known = known.filter(pa.array(stays, pa.bool_()))
        return lost, silent

    def _verdict(self, filter_: Filter, rows: pa.Table, known: pa.Table) -> Verdict:
        embedder = self.workbench.one(Embedder)
        data = self._seen.fit_data(known, self._anchors(embedder), embedder)
        either = _Either(data, self.embedded(embedder))
        self.workbench.ready(filter_).fit(replace(data, vectors=either))
        return check_verdict(filter_, filter_.keep(rows), rows.num_rows)


@dataclass(frozen=True)
class _Either:
    """Reads the vectors of candidates, or those of seeds.

    Attributes:
        data: Of the candidates.
        seeds: float32, (n, dim).
    """

    data: FitData
    seeds: Embeddings

    def __call__(self, rows: pa.Table) -> Embeddings:
        """Return the vectors of rows: all candidates, or all seeds."""
        ids = rows["id"].to_numpy()
        if len(ids) and ids[0] >= FIRST_ID:
            seeds: Embeddings = self.seeds[ids - FIRST_ID]
            return seeds
        return self.data.vectors(rows)
