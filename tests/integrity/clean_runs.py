"""Runs of many kinds, all of them sound: not one may be called altered."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import ScoreBatch, Scorer
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON

Data: TypeAlias = dict[str, JSON]
Make: TypeAlias = Callable[[Data, Path], None]


class Odd(Scorer):
    """Makes columns of kinds that no built-in scorer makes."""

    name = "odd"
    summary = "lists, texts and nothing"
    columns = pa.schema(
        [("words", pa.string()), ("numbers", pa.list_(pa.float32())), ("flag", pa.bool_())]
    )
    needs_images = True

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Score n rows."""
        rows = len(batch.images)
        values = {"words": ["a\x1b[31m"] * rows, "numbers": [[1.0, 2.0]] * rows}
        return pa.table({**values, "flag": [None] * rows}, schema=self.columns)


@hookimpl
def laion_eo_scorers() -> list[type[Scorer]]:
    """Register the scorer."""
    return [Odd]


class Stop:
    """Interrupts a run after so many batches of a stage, as Ctrl-C does."""

    def __init__(self, stage: str, after: int) -> None:
        self.stage, self.after = stage, after

    @hookimpl
    def laion_eo_after_batch(self, stage: str, done: int) -> None:
        """Interrupt."""
        if stage == self.stage and done >= self.after:
            raise KeyboardInterrupt


class Plugin:
    """Gives a module's hooks to a registry."""

    laion_eo_scorers = staticmethod(laion_eo_scorers)


def go(data: Data, folder: Path, overrides: Sequence[str] = (), *plugins: object) -> None:
    """Run, until it ends or is interrupted."""
    registry = Registry.discover([colours])
    for place, plugin in enumerate(plugins):
        registry.add(plugin, f"plugin-{place}")
    try:
        run(data, folder, overrides, registry)
    except KeyboardInterrupt:
        assert plugins


def _with(*overrides: str) -> Make:
    return lambda data, folder: go(data, folder, overrides)


def _then(*sessions: Sequence[str]) -> Make:
    def make(data: Data, folder: Path) -> None:
        for overrides in sessions:
            go(data, folder, overrides)

    return make


def _stopped(stage: str, after: int) -> Make:
    def make(data: Data, folder: Path) -> None:
        go(data, folder, (), Stop(stage, after))
        go(data, folder)

    return make


def _scorers(*uses: Data) -> Make:
    def make(data: Data, folder: Path) -> None:
        changed = deepcopy(data)
        changed["scorers"] += uses
        keys = [use["use"].replace("-", "_") for use in uses]
        changed["filters"][-1]["by"] = ["url", "sha256", *keys]
        go(changed, folder)

    return make


def _image_similarity_alone(data: Data, folder: Path) -> None:
    go({**data, "scorers": data["scorers"][:1], "filters": [{"use": "min-size"}]}, folder)


def _two_of_a_name(data: Data, folder: Path) -> None:
    frozen = {"use": "similarity-threshold", "image": 0.1, "text": 0.1}
    go({**data, "filters": [*data["filters"], frozen, {"use": "duplicates"}]}, folder)


def _odd_columns(data: Data, folder: Path) -> None:
    registry = Registry.discover([colours, Plugin()])
    run({**data, "scorers": [*data["scorers"], {"use": "odd"}]}, folder, (), registry)


def _allow_list(data: Data, folder: Path) -> None:
    pool = Path(data["retriever"]["pool"])
    urls = pq.read_table(next((pool / "metadata").glob("*.parquet")))["url"]
    listed = folder.with_name("allowed.parquet")
    pq.write_table(pa.table({"url": urls.slice(0, 6)}), listed)
    changed = deepcopy(data)
    changed["downloader"]["allow_list"] = str(listed)
    changed["filters"].append({"use": "allow-list", "path": str(listed)})
    go(changed, folder)


def _texts(data: Data, folder: Path) -> None:
    go({**data, "anchors": {"use": "texts", "prompts": ["a green image", "a red image"]}}, folder)


def _an_unreadable_anchor(data: Data, folder: Path) -> None:
    anchors = folder.with_name("anchors")
    shutil.copytree(data["anchors"]["root"], anchors)
    (anchors / "999.png").write_bytes(b"no picture")
    go({**data, "anchors": {"use": "images", "root": str(anchors)}}, folder)


def _dead_links(data: Data, folder: Path) -> None:
    go({**data, "downloader": {**data["downloader"], "max_bytes": 4900}}, folder)


def _published_elsewhere(data: Data, folder: Path) -> None:
    target = folder.with_name("published")
    go({**data, "publisher": {"use": "folder", "path": str(target)}}, folder)


def _images_elsewhere(data: Data, folder: Path) -> None:
    go(data, folder)
    (folder / "images").rename(folder.with_name("disk"))
    (folder / "images").symlink_to(folder.with_name("disk"))


def _mended(data: Data, folder: Path) -> None:
    go(data, folder)
    next(iter((folder / "images").iterdir())).unlink()
    shutil.rmtree(folder / "scores")
    go(data, folder)


OTHER_FILTERS = ("filters.min-size.width=50", "filters.min-size.height=50")
CLEAN_RUNS: dict[str, Make] = {
    "plain": _with(),
    "rows one by one": _with("engine.batch_rows=1"),
    "interrupted in the scores": _stopped("scores", 2),
    "other filters and back": _then((), OTHER_FILTERS, ()),
    "columns of a plugin": _odd_columns,
    "another configuration": _with("dataset.config=ver-1.x", "dataset.pretty_name=Fields"),
    "a licence and a contact": _with("dataset.license=mit", "dataset.contact=me@example.org"),
    "one part": _with("engine.batch_rows=1000"),
    "nothing dropped": _then((*OTHER_FILTERS, "filters.similarity-threshold.sigma=99")),
    "one neighbour": _with("retriever.k=1"),
    "the whole pool": _with("retriever.k=1000"),
    "views": _with("augmenter.use=crops"),
    "no text similarity": _image_similarity_alone,
    "perceptual hashes": _scorers({"use": "perceptual-hash"}, {"use": "embedding"}),
    "two filters of a name": _two_of_a_name,
    "an allow-list": _allow_list,
    "texts": _texts,
    "an unreadable anchor": _an_unreadable_anchor,
    "large images refused": _dead_links,
    "published elsewhere": _published_elsewhere,
    "images elsewhere": _images_elsewhere,
    "interrupted in the anchors": _stopped("anchors", 1),
    "interrupted in the neighbours": _stopped("neighbors", 0),
    "interrupted in the downloads": _stopped("downloads", 1),
    "interrupted in the languages": _stopped("languages", 0),
    "interrupted in the dataset": _stopped("dataset", 0),
    "run twice": _then((), ()),
    "other filters": _then((), OTHER_FILTERS),
    "fewer neighbours and back": _then((), ("retriever.k=3",), ()),
    "another configuration and back": _then((), ("dataset.config=ver-9",), ()),
    "mended": _mended,
}
