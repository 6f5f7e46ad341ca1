"""Retriever ``replay``: recorded neighbours instead of a search."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.json_service import BadAnswerError
from laion_eo.builtin.retrievers.knn_service import COSINE, checked_hit, field_text
from laion_eo.builtin.retrievers.metadata import FIELDS, choose_columns
from laion_eo.columns import columns_of, require_column
from laion_eo.config import RunPath
from laion_eo.errors import ConfigError, DataError
from laion_eo.fingerprint import file_sha256
from laion_eo.kinds import PoolSize, Retriever, RetrieverConfig, no_neighbors
from laion_eo.texts import as_texts, parse_json, raw_texts
from laion_eo.types import JSON, Embeddings, Neighbors


class Replay(Retriever):
    """Returns recorded neighbours: ver-0 and ver-1 can be rebuilt from their published rows.

    The file is a published LAION-EO table (CSV or Parquet; ``source`` is the index of the anchor)
    or the recorded answers of a kNN service (JSON lines; line i is the list of results, or the one
    result, of anchor i). The query vectors themselves are ignored: the anchors must be the ones
    with which the file was made, in the same order.
    """

    name = "replay"
    summary = "recorded neighbours: a published LAION-EO file, or answers"

    class Config(RetrieverConfig):
        """Options.

        Attributes:
            file: CSV, Parquet or JSON lines; or a folder of CSV or Parquet files.
        """

        file: RunPath

    config: Config

    @cached_property
    def _table(self) -> pa.Table:
        """Columns source, id, score, url, caption; sorted by source, then best first."""
        file = self.config.file
        try:
            found = _named(_read(file), file)
        except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
            raise DataError(f"{file}: cannot be read: {error}") from None
        if any(found[name].null_count for name in ("source", "id", "score")):
            raise DataError(f"{file}: rows without source, id or similarity.")
        cosine = pc.less_equal(pc.abs(found["score"]), COSINE)  # NaN is none either
        if pc.any(pc.or_(pc.less(found["id"], 0), pc.invert(cosine))).as_py():
            raise DataError(f"{file}: rows whose id is negative, or similarity no cosine.")
        pairs = ["source", "id"]
        if len(found.select(pairs).group_by(pairs).aggregate([])) < len(found):
            raise DataError(f"{file}: an anchor that has the same id twice.")
        order = [("source", "ascending"), ("score", "descending"), ("id", "ascending")]
        return found.sort_by(order)

    def check(self) -> None:
        """Raise for options that search again, and where there is no such file.

        Raises:
            ConfigError: What was recorded cannot be asked for more.
            DataError: There is no such file.
        """
        if self.config.searches_again():
            raise ConfigError(
                "replay: hops, distinct and until search again, and recorded neighbours are all "
                "there is: leave them out of [retriever]."
            )
        if not self.config.file.exists():
            raise DataError(f"{self.config.file}: there is no such file of neighbours.")

    def identity(self) -> JSON:
        """Return the hash of each file."""
        files = _files(self.config.file)
        return [file_sha256(file) for file in files if file.is_file()]

    def pool_size(self) -> PoolSize:
        """Return the number of rows and bytes of the file."""
        size = sum(file.stat().st_size for file in _files(self.config.file))
        return PoolSize(self._table.num_rows, size)

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        """Return the k best recorded neighbours of each query, matched on its index.

        Args:
            queries: float32, (n, dim); only n matters.
            k: Neighbours wanted.

        Raises:
            DataError: The file cannot be read, or has neighbours of more than n anchors.
        """
        source = self._table["source"].to_numpy()
        if len(source) and (source[0] < 0 or source[-1] >= len(queries)):
            bad = source[0] if source[0] < 0 else source[-1]
            raise DataError(
                f"{self.config.file}: has neighbours of anchor {bad}, but the run has "
                f"{len(queries)} anchors: it was made with other anchors."
            )
        first = np.searchsorted(source, np.arange(len(queries)))
        rank = np.arange(len(source)) - first[source]
        kept = rank < k
        found = no_neighbors(len(queries), k)
        found.ids[source[kept], rank[kept]] = self._table["id"].to_numpy()[kept]
        found.scores[source[kept], rank[kept]] = self._table["score"].to_numpy()[kept]
        return found

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        """Return the recorded ``url`` and ``caption`` of rows, in the order of ``ids``."""
        rows = pc.index_in(pa.array(ids), self._table["id"].combine_chunks())
        return self._table.select(FIELDS).take(rows)


def _files(file: Path) -> list[Path]:
    if not file.is_dir():
        return [file]
    return sorted([*file.glob("*.csv"), *file.glob("*.parquet")])


def _read(file: Path) -> pa.Table:
    if file.suffix in (".jsonl", ".json"):
        return _read_answers(file)
    tables = [
        pq.read_table(part) if part.suffix == ".parquet" else _read_csv(part)
        for part in _files(file)
    ]
    if not tables:
        raise ValueError("no CSV or Parquet files in it")
    return pa.concat_tables(tables, promote_options="permissive")


def _named(table: pa.Table, file: Path) -> pa.Table:
    names = table.column_names
    for name in ("source", "id"):
        if name not in names:
            raise DataError(f"{file}: no column {name!r}; it has {', '.join(names)}.")
    score = require_column("similarity", names, file)
    chosen = choose_columns(names, file)
    return pa.table(
        {
            "source": table["source"].cast(pa.int64()),
            "id": table["id"].cast(pa.int64()),
            "score": table[score].cast(pa.float32(), safe=False),
            **{name: as_texts(table[column]) for name, column in chosen.items()},
        }
    )


def _read_csv(file: Path) -> pa.Table:
    return pyarrow.csv.read_csv(
        file,
        # Captions can hold line breaks.
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        # What is not UTF-8 is replaced, and counted, with the rest of the pool's texts.
        convert_options=pyarrow.csv.ConvertOptions(check_utf8=False),
    )


def _read_answers(file: Path) -> pa.Table:
    columns: dict[str, list[JSON]] = {name: [] for name in ("source", "id", "similarity", *FIELDS)}
    with file.open("rb") as stream:
        for source, line in enumerate(stream):
            try:
                results = _results(line)
            except (ValueError, BadAnswerError) as error:
                raise ValueError(f"line {source + 1}: {error}") from None
            for result in results:
                for name, value in {"source": source, **result}.items():
                    columns[name].append(value)
    numbers = {"source": pa.int64(), "id": pa.int64(), "similarity": pa.float64()}
    texts = {str(name): raw_texts(columns[name]) for name in FIELDS}
    found = {name: pa.array(columns[name], kind) for name, kind in numbers.items()}
    return pa.table({**found, **texts})


def _results(line: bytes) -> list[dict[str, JSON]]:
    """Return the results of one line, each with ``id``, ``similarity``, ``url`` and ``caption``."""
    answer = parse_json(line)
    found = []
    for entry in answer if isinstance(answer, list) else [answer]:
        if not isinstance(entry, dict):
            raise ValueError("neither a result nor a list of them")
        score = next((entry[name] for name in columns_of("similarity", entry)), None)
        row, similarity = checked_hit({"id": entry.get("id"), "similarity": score})
        texts = {str(field): field_text(entry, field, row) for field in FIELDS}
        found.append({"id": row, "similarity": similarity, **texts})
    return found
