from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.builtin.filters.duplicates import GROUPS, Duplicates
from laion_eo.component import Context
from laion_eo.errors import ConfigError
from laion_eo.kinds import FitData
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.types import JSON


def rows(*entries: dict[str, Any]) -> pa.Table:
    """A table of rows that differ in everything but what each entry says."""
    full = [
        {"id": 10 + n, "url": f"u{n}", "sha256": f"s{n}", "width": 300, "height": 300,
         "image_similarity": 0.5, **entry}
        for n, entry in enumerate(entries)
    ]  # fmt: skip
    hashes = [entry.pop("perceptual_hash", None) for entry in full]
    table = pa.Table.from_pylist(full)
    if any(value is not None for value in hashes):
        table = table.append_column("perceptual_hash", pa.array(hashes, pa.uint64()))
    return table


def judge(table: pa.Table, work_dir: Path | None = None, **options: Any) -> dict[int, str]:
    """Return the reasons of the dropped rows."""
    filter_ = Duplicates(Duplicates.Config(**options), Context(work_dir=work_dir))
    filter_.fit(FitData(table))
    verdict = filter_.keep(table)
    found = zip(table["id"].to_pylist(), verdict.mask, verdict.reasons, strict=True)
    return {row: reason for row, kept, reason in found if not kept}


def test_the_largest_copy_stays_then_the_most_similar_then_the_first() -> None:
    same = {"sha256": "x"}
    large = {"width": 500, "image_similarity": 0.1}
    assert judge(rows(same, {**same, **large})) == {10: "same sha256 as id 11"}
    assert judge(rows(same, {**same, "image_similarity": 0.9})) == {10: "same sha256 as id 11"}
    assert judge(rows(same, same)) == {11: "same sha256 as id 10"}


def test_null_matches_nothing() -> None:
    assert judge(rows({"url": None}, {"url": None})) == {}


def test_a_row_is_matched_on_any_of_its_keys() -> None:
    table = rows({"width": 900}, {"url": "u0"}, {"sha256": "s0"}, {})
    assert judge(table) == {11: "same url as id 10", 12: "same sha256 as id 10"}


def test_a_chain_of_small_changes_does_not_merge_its_ends() -> None:
    table = rows(*({"perceptual_hash": h, "width": w} for h, w in ((0, 900), (7, 800), (63, 700))))
    options: dict[str, Any] = {"by": ("perceptual_hash",), "bits": 3}
    assert judge(table, **options) == {11: "3 bits of the perceptual hash from id 10"}
    assert judge(table, **options | {"bits": 6}).keys() == {11, 12}
    assert judge(table, **options | {"bits": 0}) == {}


def test_equal_hashes_and_near_hashes_take_each_other_out() -> None:
    table = rows(*({"perceptual_hash": h} for h in (5, 5, 4, None, 2**63)))
    assert judge(table, by=("perceptual_hash",), bits=1).keys() == {11, 12}


def test_embeddings_are_compared_by_cosine() -> None:
    vectors = [[1.0, 0.0], [0.999, 0.04], [0.0, 1.0]]
    table = rows(*({"embedding": vector} for vector in vectors))
    assert judge(table, by=("embedding",), cosine=0.99) == {11: "cosine 0.9992 to id 10"}


def test_rows_without_an_embedding_match_nothing() -> None:
    vectors = [None, [1.0, 0.0], None, [1.0, 0.0]]
    table = rows(*({"embedding": vector} for vector in vectors))
    chunks = pa.concat_tables([table.slice(0, 3), table.slice(3)])  # as parts of a run are read
    assert judge(chunks, by=("embedding",)).keys() == {13}
    assert judge(table.slice(0, 1), by=("embedding",)) == {}


def test_every_group_is_recorded(tmp_path: Path) -> None:
    table = rows({"width": 900}, {"url": "u0"}, {"sha256": "s0"}, {}, {"url": "u3"})
    judge(table, tmp_path)
    groups = pq.read_table(tmp_path / GROUPS).to_pylist()
    assert [(g["group"], g["id"], g["by"]) for g in groups] == [
        (10, 11, "url"), (10, 12, "sha256"), (13, 14, "url"),
    ]  # fmt: skip


def test_a_missing_column_names_its_scorer() -> None:
    with pytest.raises(ConfigError, match="add 'perceptual-hash' to"):
        judge(rows({}), by=("perceptual_hash",))


def test_a_run_groups_by_all_four_keys(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run_data["scorers"] += [{"use": "perceptual-hash"}]
    by = ["url", "sha256", "perceptual_hash", "embedding"]
    # The colours embedder sees nothing but the colour: one picture of it is enough.
    run_data["filters"] = [{"use": "duplicates", "by": by, "cosine": 0.99}]
    result = run(run_data, tmp_path / "run", registry=registry)
    groups = pq.read_table(tmp_path / "run" / GROUPS)
    facts = result.manifest["stages"]["verdicts"]["facts"]["duplicates"]
    assert facts["dropped"] == groups.num_rows > 20
    assert "embedding" in groups["by"].to_pylist()
    assert pq.read_table(result.dataset / "ver-0").num_rows == facts["groups"]
