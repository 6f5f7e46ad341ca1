"""What plugins return, mutated: a documented error that names the plugin, or a right result."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from third_party import installed, returning

from laion_eo.builtin.anchor_sources.images import FolderAnchors
from laion_eo.builtin.augmenters import NoAugmenter
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.builtin.normalizers import NoNormalizer
from laion_eo.builtin.publishers.folder import Folder
from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.scorers.similarity import ImageSimilarity
from laion_eo.component import Component
from laion_eo.errors import LaionEOError
from laion_eo.kinds import Retriever
from laion_eo.pipeline import plan, run
from laion_eo.testing.colours import Colours, Letters
from laion_eo.texts import one_line, raw_texts
from laion_eo.types import JSON, Embeddings, Neighbors


class Plain(Retriever):
    """A retriever whose search is not cut into shards."""

    name = "plain"
    summary = "exact-scan in one piece"

    class Config(ExactScan.Config):
        pass

    def _inner(self) -> ExactScan:
        inner = ExactScan(self.config, self.context)
        inner.setup()
        return inner

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        return self._inner().search(queries, k)

    def lookup(self, ids: Any) -> pa.Table:
        return self._inner().lookup(ids)


OUTPUTS: list[tuple[type[Component], str]] = [
    (FolderAnchors, "anchors"), (FolderAnchors, "count"), (FolderAnchors, "identity"),
    (NoNormalizer, "normalize"), (NoNormalizer, "facts"), (NoAugmenter, "augment"),
    (Colours, "embed_images"), (Colours, "embed_texts"), (Colours, "facts"),
    (Colours, "known_dim"), (ExactScan, "search_shard"), (ExactScan, "lookup"),
    (ExactScan, "shards"), (ExactScan, "take_counts"), (ExactScan, "pool_model"),
    (ExactScan, "pool_size"),
    (Plain, "search"), (Plain, "lookup"), (HttpDownloader, "download"),
    (HttpDownloader, "facts"), (ImageSimilarity, "score"), (ImageSimilarity, "needs"),
    (Letters, "tag"), (MinSize, "keep"), (MinSize, "needs"), (MinSize, "facts"),
    (Folder, "publish"),
]  # fmt: skip


class UnsayableError(Exception):
    """Raises when asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError("not today")


class Hostile:
    """An object whose every method raises."""

    def _fall(self, *_: object) -> Any:
        raise ArithmeticError("no\nluck \x1b[2J \ud800")

    __str__ = __repr__ = __eq__ = __ne__ = __lt__ = __len__ = __iter__ = __bool__ = _fall
    __getitem__ = __int__ = __float__ = __index__ = __array__ = __call__ = _fall
    __hash__ = object.__hash__


class Liar(list[Any]):
    """A list that lies about its length."""

    def __len__(self) -> int:
        return 4


def odd_values() -> list[Any]:
    """Values that no component should return, or be made of."""
    itself: list[Any] = []
    itself.append(itself)
    deep: Any = None
    for _ in range(5000):
        deep = [deep]
    far = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-5)))
    return [
        None, True, False, 0, 1, -1, 2**31, 2**63, 10**5000, 0.5, float("nan"), float("inf"),
        1e308, "", "a", "\0", "\ud800", "a\nb\x1b[2J", "x" * 200_000, b"", b"\xff", [],
        [None], ["a"], (), {},
        {"a": 1}, {1: 2}, {"\ud800": "\udfff"}, {"a": 10**5000}, {"a": Hostile()}, {Hostile(): 1},
        {"a": itself}, {"a": float("nan")}, {"a": deep}, itself, deep, set(), object(), Hostile(),
        Liar(), iter([]), int, Exception("a"), np.zeros(0), np.zeros((4, 49)), np.float32(0.5),
        np.array(["a"]), np.array([None, 1], dtype=object), np.full((4, 49), np.nan, np.float32),
        np.datetime64("NaT"), pa.table({}), pa.table({"url": ["a"], "caption": ["b"]}), far,
        Path("/"), complex(1, 1), datetime(2024, 1, 1), timedelta(days=1),
    ]  # fmt: skip


def faults() -> list[Exception]:
    return [
        ValueError("a\nb"), KeyError("\ud800"), RecursionError(), MemoryError("big"), TypeError(),
        UnsayableError(), StopIteration(1), AssertionError("\x1b[2J"), OSError(5, "no luck"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ]  # fmt: skip


def mutated(value: Any, draw: random.Random) -> Any:
    """The value, or something else in its place, or the value with something odd inside."""
    if draw.random() < 0.3:
        return draw.choice(odd_values())
    if draw.random() < 0.1:
        raise draw.choice(faults())
    if isinstance(value, pa.Table):
        return mutated_table(value, draw)
    if isinstance(value, np.ndarray):
        return mutated_array(value, draw)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = draw.choice([field.name for field in dataclasses.fields(value)])
        changed = object.__new__(type(value))  # past the checks of its own
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            object.__setattr__(
                changed, field.name, mutated(item, draw) if field.name == name else item
            )
        return changed
    if isinstance(value, list | tuple):
        return mutated_list(list(value), draw)
    if isinstance(value, dict):
        return {**value, draw.choice(["a", "\0", "rows"]): draw.choice(odd_values())}
    if hasattr(value, "__next__"):
        return iter(mutated_list(list(value), draw))
    return draw.choice(odd_values())


def mutated_list(value: list[Any], draw: random.Random) -> list[Any]:
    place = draw.randrange(len(value) + 1)
    kind = draw.randrange(6)
    if kind == 0:
        return value[:place]
    if kind == 1:
        return value[::-1]
    if kind == 2:
        return value + value[place:]
    if kind == 3:
        return [*value[:place], draw.choice(odd_values()), *value[place:]]
    if kind == 4 and place < len(value):
        return [*value[:place], mutated(value[place], draw), *value[place + 1 :]]
    return Liar(value)


def mutated_array(value: np.ndarray[Any, Any], draw: random.Random) -> Any:
    first = np.arange(value.size).reshape(value.shape) == 0
    kinds: list[Callable[[], Any]] = [
        lambda: value[:-1],
        lambda: value[::-1],
        lambda: np.concatenate([value, value]),
        lambda: value.astype(draw.choice(["f8", "f2", "i1", "O", "?", "U9"])),
        lambda: value[None],
        lambda: value[..., :-1],
        lambda: np.where(first, draw.choice([np.nan, -1, 1e30]), value),
        lambda: np.asfortranarray(value),
        lambda: value.view(np.ma.MaskedArray),
        lambda: np.zeros_like(value),
        lambda: value.tolist(),
    ]
    return draw.choice(kinds)()


def mutated_table(value: pa.Table, draw: random.Random) -> Any:
    rows = max(value.num_rows, 1)
    name = draw.choice(value.column_names or ["a"])
    place = value.schema.get_field_index(name)
    odd = [draw.choice([None, "a", "\ud800", b"\xff\0", "\x1b[2J"]) for _ in range(value.num_rows)]
    kinds: list[Callable[[], Any]] = [
        lambda: value.slice(0, draw.randrange(rows)),
        lambda: pa.concat_tables([value, value]),
        lambda: value.drop_columns([name]),
        lambda: value.append_column(name, value[name]),
        lambda: value.set_column(place, name, raw_texts(odd)),
        lambda: value.set_column(place, name, raw_texts(odd).cast(pa.large_binary())),
        lambda: value.set_column(place, name, pa.nulls(value.num_rows)),
        lambda: value.set_column(place, name, pa.array([np.nan] * value.num_rows, pa.float32())),
        lambda: value.set_column(place, name, pa.array([["a"]] * value.num_rows)),
        lambda: value.set_column(place, name, value[name].dictionary_encode()),
        lambda: value.append_column("more", pa.nulls(value.num_rows)),
        lambda: value.to_batches()[0],
        lambda: value.to_pylist(),
        lambda: value.replace_schema_metadata({"a": "b"}),
        lambda: value.rename_columns(["\ud7ff"] * value.num_columns),
    ]
    return draw.choice(kinds)()


def try_one(base: type[Component], method: str, draw: random.Random, data: dict[str, JSON]) -> bool:
    """Run with one odd output; return whether it ran to the end."""
    broken = returning(base, method, lambda value: mutated(value, draw))
    registry, table = installed(broken)
    data = deepcopy(data)
    many = isinstance(data.get(table), list)
    options = {} if many else dict(data.get(table, {}))
    data[table] = [{"use": "third-party"}] if many else {**options, "use": "third-party"}
    data["filters"] = data["filters"] if table == "filters" else []
    with TemporaryDirectory() as name:
        try:
            plan(data, Path(name) / "run", (), registry)
            result = run(data, Path(name) / "run", (), registry)
        except LaionEOError as error:
            assert one_line(error) == str(error)
            assert "third-party" in str(error) or "plugin 'theirs'" in str(error), error
            return False
        (file,) = result.dataset.glob("*/*.parquet")
        rows = pq.read_table(file)
        rows.validate(full=True)
        assert len(set(rows["id"].to_pylist())) == rows.num_rows
        manifest = (result.folder / "manifest.json").read_text("utf-8")
        assert "\\ud" not in manifest
    return True


def fuzz(examples: int, data: dict[str, JSON]) -> Counter[bool]:
    counts: Counter[bool] = Counter()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(OUTPUTS), st.integers(0, 2**32))
    def each(output: tuple[type[Component], str], seed: int) -> None:
        counts[try_one(*output, random.Random(seed), data)] += 1

    each()
    return counts


def test_plugin_outputs(run_data: dict[str, JSON]) -> None:
    assert fuzz(15, run_data)[False] > 2


@pytest.mark.slow
def test_200_plugin_outputs(run_data: dict[str, JSON]) -> None:
    counts = fuzz(200, run_data)
    assert counts[False] > 50, counts
