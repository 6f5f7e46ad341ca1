from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.schema import PUBLISHED
from laion_eo.types import JSON


def test_run_gives_a_dataset_of_the_domain(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, web_url: str
) -> None:
    result = run(run_data, tmp_path / "run", registry=registry)
    table = pq.read_table(result.dataset / "ver-0")
    assert table.schema.remove_metadata() == PUBLISHED
    assert table.num_rows > 20
    urls = table["url"].to_pylist()
    assert len(set(urls)) == len(urls)
    assert all(url.startswith(f"{web_url}green") for url in urls)


def test_same_run_again_does_nothing(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    first = run(run_data, tmp_path / "run", registry=registry)
    assert first.ran
    assert run(run_data, tmp_path / "run", registry=registry).ran == []
