"""``from laion_eo import load_dataset``: as datasets' own, but the bare name works anywhere."""

from __future__ import annotations

from typing import Any

from laion_eo.hub.cards import BARE_NAME


def load_dataset(path: str = BARE_NAME, name: str | None = None, **options: Any) -> Any:
    """Load a dataset as ``datasets.load_dataset`` does.

    The name ``laion_eo`` always means the dataset, never a folder of that name: what
    ``laion-eo pull`` fetched last (which works offline), or else the published dataset on the Hub.

    Args:
        path: ``"laion_eo"``; any other name is passed to ``datasets.load_dataset`` unchanged.
        name: The configuration: ``"ver-0"`` or ``"ver-1"``.
        options: ``split``, ``streaming`` (from the Hub), ``cache_dir``, ``token``; ``repo``, a
            dataset repository other than the one that the paper's authors published, and
            ``revision``, its tag, branch or commit.

    Returns:
        A Dataset, or without ``split`` a DatasetDict; the iterable kinds of them if ``streaming``.

    Raises:
        ValueError: There is no such configuration; the message lists the existing ones.
    """
    import datasets

    if path != BARE_NAME:
        return datasets.load_dataset(path, name, **options)
    split, streaming = options.pop("split", None), options.pop("streaming", False)
    builder = _builder(name, streaming, options)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare()
    return builder.as_dataset(split=split)


def _builder(name: str | None, streaming: bool, options: dict[str, Any]) -> Any:
    """Return the builder: that of what was pulled, unless the options name something else."""
    from laion_eo.dataset.builder import PUBLISHED_REPO, LaionEO
    from laion_eo.dataset.pull import newest_pulled, pinned

    if name is not None and not streaming and options.keys() <= {"cache_dir", "token"}:
        cache_dir = options.get("cache_dir")
        if (commit := newest_pulled(name, cache_dir)) is not None:
            return pinned(name, PUBLISHED_REPO, commit, cache_dir)
    if (revision := options.pop("revision", None)) is not None:
        options["tag"] = revision
    return LaionEO(config_name=name, **options)
