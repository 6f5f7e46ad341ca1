"""Retriever ``knn-service``: a clip-retrieval server by its URL (section 2.2 of the paper)."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.retrievers.json_service import (
    BadAnswerError,
    Cache,
    JsonService,
    Question,
    ServiceUrl,
    batched,
)
from laion_eo.builtin.retrievers.metadata import FIELDS
from laion_eo.columns import FieldName, columns_of
from laion_eo.config import RunPath
from laion_eo.errors import DataError
from laion_eo.kinds import Retriever, RetrieverConfig, no_neighbors
from laion_eo.retrying import RetryPolicy
from laion_eo.texts import one_line, raw_texts, text_of
from laion_eo.types import JSON, Embeddings, Neighbors

METADATA_TOGETHER = 500
"""Rows of metadata asked for in one question."""
COSINE = 1.02
"""Similarities past this are no cosines: distances, or vectors that were never normalised."""
MAX_ID = 1 << 63
"""Row indices are below it: int64."""
FIRST_WAIT = 0.5
"""Seconds before the second try of a question; doubled from try to try."""
LONGEST_WAIT = 600.0
"""Seconds; a server whose Retry-After asks for more ends the run, which can be resumed later."""


class KnnService(Retriever):
    """Asks for each anchor's neighbours, and once for the metadata of all distinct ones.

    Every answer is checked before it is believed, and kept on disk: a resumed run never asks twice.
    The server's extras (deduplication after the top k, safety filters, aesthetics, which moves the
    query) lose neighbours, and are off unless asked for.
    """

    name = "knn-service"
    summary = "a clip-retrieval server, by URL"

    class Config(RetrieverConfig):
        """Options.

        Attributes:
            url: The server, such as ``http://host:1234``, or
                ``https://name:{env=KNN_PASSWORD}@host`` for one that wants a password.
            index: Which of its indices; the error for a wrong one lists them.
            modality: ``image`` or ``text``: which of the index's vectors are searched.
            deduplicate: The server drops results too alike one another, without refill.
            use_safety_model: The server drops what it holds unsafe.
            use_violence_detector: The server drops what it holds violent.
            aesthetic_score: 0 to 9: the server moves the query towards such pictures.
            aesthetic_weight: How far.
            concurrency: Questions in progress at a time.
            timeout: Seconds for one try.
            retries: Tries after the first, after growing waits; Retry-After is obeyed.
            max_bytes: A longer answer is not believed.
            cache: Folder of the answers; by default ``knn-service`` in the run directory.
        """

        url: ServiceUrl
        index: str
        modality: Literal["image", "text"] = "image"
        deduplicate: bool = False
        use_safety_model: bool = False
        use_violence_detector: bool = False
        aesthetic_score: int | None = Field(default=None, ge=0, le=9)
        aesthetic_weight: float | None = Field(default=None, allow_inf_nan=False)
        concurrency: int = Field(default=4, ge=1)
        timeout: float = Field(default=60.0, gt=0, le=86_400.0)
        retries: int = Field(default=5, ge=0)
        max_bytes: int = Field(default=64 << 20, ge=1)
        cache: RunPath | None = None

    config: Config
    _index_is_there = False

    @cached_property
    def _service(self) -> JsonService:
        config, work = self.config, self.context.work_dir
        folder = config.cache or (work / self.name if work else None)
        url = config.url.rstrip("/").removesuffix("/knn-service")
        policy = RetryPolicy(config.retries + 1, FIRST_WAIT, LONGEST_WAIT)
        return JsonService(
            url, config.concurrency, config.timeout, policy, config.max_bytes, Cache(folder)
        )

    def _check_index(self) -> None:
        """Ask once for the server's indices.

        Raises:
            DataError: The wanted one is not among them.
        """
        if self._index_is_there:
            return
        found = self._service.get("indices-list", _checked_names)
        if self.config.index not in found:
            raise DataError(
                f"{self._service.shown}: no index {self.config.index!r}; "
                f"it has {one_line(', '.join(found), 300)}."
            )
        self._index_is_there = True

    def facts(self) -> dict[str, JSON]:
        """Return the server, what it was told to leave out, and how often it was asked."""
        fields = {"url", "index", "deduplicate", "use_safety_model", "use_violence_detector"}
        options = self.config.model_dump(include=fields | {"aesthetic_score", "aesthetic_weight"})
        return {**options, "asked": self._service.asked, "cached": self._service.cached}

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        """Ask for the k nearest rows of each query.

        Args:
            queries: float32, (n, dim), rows of length 1.
            k: Neighbours wanted.

        Raises:
            RunError: The server gave no answer that can be believed.
            DataError: The server has no such index, or refused a question.
        """
        questions = [Question("knn-service", self._body(query, k)) for query in queries]
        distinct = {tuple(q.body["embedding_input"]): q for q in questions}
        progress, check_index = self.context.progress, self._check_index
        asked = list(distinct.values())
        answers = self._service.ask(asked, _checked_hits, progress, check_index)
        by_query = dict(zip(distinct, answers, strict=True))
        found = no_neighbors(len(queries), k)
        for row, question in enumerate(questions):
            hits = by_query[tuple(question.body["embedding_input"])]
            found.ids[row, : len(hits)] = [hit["id"] for hit in hits]
            found.scores[row, : len(hits)] = [hit["similarity"] for hit in hits]
        return found

    def _body(self, query: NDArray[np.float32], k: int) -> dict[str, JSON]:
        config = self.config
        aesthetic: dict[str, JSON] = {
            "aesthetic_score": config.aesthetic_score,
            "aesthetic_weight": config.aesthetic_weight,
        }
        return {
            "embedding_input": query.tolist(),
            "modality": config.modality,
            "indice_name": config.index,
            # Metadata comes with the first num_images only, and takes the server most of its time.
            # One, not none: with none, a server with arrow metadata fails.
            "num_images": 1,
            "num_result_ids": k,
            "deduplicate": config.deduplicate,
            "use_safety_model": config.use_safety_model,
            "use_violence_detector": config.use_violence_detector,
            "use_mclip": False,
            **{name: "" if value is None else value for name, value in aesthetic.items()},
        }

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        """Ask for the metadata of rows: ``url`` and ``caption``, in the order of ``ids``.

        Args:
            ids: int64, (m,), row indices.

        Raises:
            RunError: The server gave no answer that can be believed.
            DataError: The server knows no URLs.
        """
        order = np.unique(ids)
        questions = [
            Question("metadata", {"indice_name": self.config.index, "ids": batch})
            for batch in batched(order.tolist(), METADATA_TOGETHER)
        ]
        answers = self._service.ask(questions, _checked_metadata, self.context.progress)
        rows = [row["metadata"] for answer in answers for row in answer]
        columns = {name: raw_texts(row[name] for row in rows) for name in FIELDS}
        return pa.table(columns).take(np.searchsorted(order, ids))


def _checked_names(answer: JSON) -> list[str]:
    """Return the names of an answer to ``indices-list``."""
    if not isinstance(answer, list) or not all(isinstance(name, str) for name in answer):
        raise BadAnswerError(f"a list of names expected, got {_short(answer)}")
    return answer


def checked_hit(entry: JSON) -> tuple[int, float]:
    """Return the row index and the similarity of one result of a kNN service.

    Raises:
        BadAnswerError: It is no object with an id of int64 and a cosine.
    """
    found: dict[str, JSON] = entry if isinstance(entry, dict) else {}
    row, score = found.get("id"), found.get("similarity")
    if type(row) is not int or not 0 <= row < MAX_ID or not isinstance(score, int | float):
        raise BadAnswerError(f"a result with id and similarity expected, got {_short(entry)}")
    if isinstance(score, bool) or not abs(score) <= COSINE:  # NaN is none either
        raise BadAnswerError(f"id {row} has the similarity {_short(score)}, which is no cosine")
    return row, float(np.float32(score))


def _checked_hits(question: Question, answer: JSON) -> list[dict[str, JSON]]:
    """Return id and similarity of each result of an answer to ``knn-service``, best first."""
    wanted = question.body["num_result_ids"]
    if not isinstance(answer, list) or len(answer) > wanted:
        raise BadAnswerError(f"a list of at most {wanted} results expected, got {_short(answer)}")
    hits = [checked_hit(entry) for entry in answer]
    if len({row for row, _ in hits}) != len(hits):
        raise BadAnswerError("the same id twice")
    hits.sort(key=lambda hit: (-hit[1], hit[0]))
    return [{"id": row, "similarity": score} for row, score in hits]


def _checked_metadata(question: Question, answer: JSON) -> list[dict[str, JSON]]:
    """Return id, url and caption of each row of an answer to ``metadata``, by id."""
    ids = question.body["ids"]
    found: dict[int, dict[str, str | None]] = {}
    for entry in answer if isinstance(answer, list) else [answer]:
        said = entry if isinstance(entry, dict) else {}
        row, about = said.get("id"), said.get("metadata")
        if type(row) is not int or not isinstance(about, dict):
            raise BadAnswerError(f"a row with id and metadata expected, got {_short(entry)}")
        if row in found:
            raise BadAnswerError(f"the metadata of id {row} twice")
        found[row] = {field: field_text(about, field, row) for field in FIELDS}
    missing = [row for row in ids if row not in found]
    if missing:
        raise BadAnswerError(f"no metadata for id {missing[0]} and {len(missing) - 1} others")
    if len(found) > len(ids):
        raise BadAnswerError(f"metadata of {len(found)} rows instead of {len(ids)}")
    return [{"id": row, "metadata": found[row]} for row in ids]


def field_text(about: dict[str, JSON], field: FieldName, row: int) -> str | None:
    """Return a field of a row's metadata; pandas writes NaN for what is missing.

    Args:
        about: The metadata.
        field: ``url`` or ``caption``.
        row: The row index, for the message.

    Raises:
        BadAnswerError: It is no text.
    """
    for name in columns_of(field, about):
        value = about[name]
        if value is None or value != value:
            continue
        if not isinstance(value, str | int | float) or (field == "url" and type(value) is not str):
            raise BadAnswerError(f"id {row} has the {field} {_short(value)}, which is no text")
        return text_of(value)
    return None


def _short(value: JSON) -> str:
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}..."
