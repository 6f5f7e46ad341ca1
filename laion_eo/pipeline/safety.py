"""What a run must settle before it fetches anything."""

from __future__ import annotations

from laion_eo.errors import ConfigError
from laion_eo.kinds import Downloader, Retriever
from laion_eo.pipeline.bench import Workbench


def check_allow_list(bench: Workbench) -> None:
    """Refuse a pool from before Re-LAION without an allow-list or a stated reason.

    Raises:
        ConfigError: Neither is there.
    """
    retriever = bench.one(Retriever)
    listed = getattr(bench.one(Downloader).config, "allow_list", None)
    because = retriever.config.no_allow_list_because.strip()
    if retriever.before_re_laion() and not listed and not because:
        raise ConfigError(
            f"{bench.run_file.name}: [retriever]: the pool is marked as made before Re-LAION, so "
            "it may link to what must not be had. Give [downloader] allow_list = a Parquet table "
            "of what may (column url, md5 or sha256; Re-LAION's rows, say), or say why not: "
            '[retriever] no_allow_list_because = "...", which is recorded.'
        )
