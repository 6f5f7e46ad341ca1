from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.builtin.filters.labels import LabelsFilter, choose_cut
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, DataError
from laion_eo.kinds import AnchorSet, FitData
from laion_eo.labels import Label, write_labels
from laion_eo.schema import ANCHORS
from laion_eo.types import JSON, Embeddings, Verdict

pytest.importorskip("sklearn", reason="the extra `learn` is not installed")

DIM = 24


def cloud(count: int, side: float, seed: int) -> Embeddings:
    """Points on either side of a plane, near enough to it that some are hard to tell."""
    found = np.random.default_rng(seed).normal(0, 0.25, (count, DIM)).astype(np.float32)
    found[:, 0] += side
    unit: Embeddings = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


class World:
    """600 rows, a tenth of them of the domain, 20 anchors, and a score that ranks them roughly."""

    def __init__(self, right: int = 60, rows: int = 600) -> None:
        self.truth = np.arange(rows) < right
        vectors = np.concatenate([cloud(right, 1.0, 1), cloud(rows - right, -0.4, 2)])
        anchors = cloud(20, 1.0, 3)
        centre = anchors.mean(axis=0)
        score = (vectors @ centre).astype(np.float32)
        self.table = pa.table({"id": np.arange(rows), "near": score})
        plain = ANCHORS.empty_table().drop_columns(["embedding"]).to_pydict()
        told = {name: pa.nulls(20, ANCHORS.field(name).type) for name in plain}
        table = pa.table({**told, "near": (anchors @ centre).astype(np.float32)})
        self.data = FitData(self.table, AnchorSet(table, anchors), lambda some: vectors[some["id"]])

    def known(self, count: int = 60, seed: int = 0) -> dict[int, bool]:
        """Labels of rows near the middle, where they teach most."""
        order = np.argsort(np.abs(self.table["near"].to_numpy() - 0.5))[: 2 * count]
        some = np.random.default_rng(seed).permutation(order)[:count]
        return {int(row): bool(self.truth[row]) for row in some}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def labels_filter(path: Path, labels: Mapping[int, bool], **options: JSON) -> LabelsFilter:
    write_labels(path, [Label(row, label) for row, label in labels.items()])
    config = validate(LabelsFilter.Config, {"path": str(path), **options}, "run: [[filters]] 1")
    return LabelsFilter(config, Context())


def judged(made: LabelsFilter, world: World) -> Verdict:
    made.check()
    made.fit(world.data)
    return made.keep(world.table)


def test_a_few_labels_find_the_domain(world: World, tmp_path: Path) -> None:
    found = judged(labels_filter(tmp_path / "labels.csv", world.known()), world)
    kept = found.mask
    assert (kept & world.truth).sum() / kept.sum() >= 0.95
    assert (kept & world.truth).sum() / world.truth.sum() >= 0.9
    dropped = [why for why, stays in zip(found.reasons, kept, strict=True) if not stays]
    assert all(why == "labelled 0" or why.startswith("probability ") for why in dropped)


def test_a_label_decides_its_own_row(world: World, tmp_path: Path) -> None:
    wrong = {0: False, 599: True}  # whatever the regression says of them
    found = judged(labels_filter(tmp_path / "labels.csv", world.known() | wrong), world)
    assert not found.mask[0]
    assert found.reasons[0] == "labelled 0"
    assert found.mask[599]


def test_the_same_labels_say_the_same(world: World, tmp_path: Path) -> None:
    made = [labels_filter(tmp_path / f"{i}.csv", world.known()) for i in range(2)]
    masks = [judged(one, world).mask.tolist() for one in made]
    assert masks[0] == masks[1]
    assert made[0].facts() == made[1].facts()


def test_a_higher_precision_keeps_less(world: World, tmp_path: Path) -> None:
    counts = []
    for precision in (0.6, 0.97, 0.999):
        made = labels_filter(tmp_path / "labels.csv", world.known(30), precision=precision)
        counts.append(int(judged(made, world).mask.sum()))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


def test_too_few_labels_say_so_in_a_line(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = labels_filter(tmp_path / "labels.csv", world.known(20))
    with caplog.at_level(logging.WARNING, "laion_eo"):
        judged(made, world)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith(
        "labels: 20 labels are too few to show a precision of 0.97 with 90% confidence: of the "
    )
    assert made.facts()["note"] in said[0]
    assert made.facts()["is_shown"] is False


def test_many_labels_show_it(world: World, tmp_path: Path) -> None:
    easy = World(right=300)
    known = {row: bool(easy.truth[row]) for row in range(0, 600, 2)}
    made = labels_filter(tmp_path / "labels.csv", known, precision=0.9)
    kept = judged(made, easy).mask
    facts = made.facts()
    assert facts["is_shown"] is True
    assert "note" not in facts
    assert (kept & easy.truth).sum() / kept.sum() >= 0.9


def test_labels_of_other_runs_are_counted(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = labels_filter(tmp_path / "labels.csv", world.known() | {10_000: True, 10_001: False})
    with caplog.at_level(logging.WARNING, "laion_eo"):
        judged(made, world)
    assert "labels: 2 of 62 labels are of images that are not among the rows here" in caplog.text
    assert made.facts()["elsewhere"] == 2


def test_a_sample_is_held_out(world: World, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    made = labels_filter(path, world.known())
    held_out = [row for row in range(20) if row not in world.known()]
    sample = [Label(row, False, "", "a", "kept 1/1", 60) for row in held_out]
    write_labels(path, [*(Label(r, t) for r, t in world.known().items()), *sample])
    found = judged(made, world)
    assert made.facts()["held_out"] == len(held_out)
    # As if their labels were not there: nothing is learnt from them, and they do not decide.
    alone = judged(labels_filter(tmp_path / "alone.csv", world.known()), world)
    assert found.mask.tolist() == alone.mask.tolist()
    assert found.mask[held_out].any()


def test_one_side_alone_leans_on_weak_examples(world: World, tmp_path: Path) -> None:
    right = {row: True for row, label in world.known().items() if label}
    kept = judged(labels_filter(tmp_path / "labels.csv", right), world).mask
    assert kept.sum() < 300
    assert (kept & world.truth).sum() >= len(right)


def test_no_example_of_a_side_is_an_error(tmp_path: Path) -> None:
    rows = pa.table({"id": np.arange(5)})
    data = FitData(rows, vectors=lambda some: cloud(5, 1.0, 0)[some["id"]])
    made = labels_filter(tmp_path / "labels.csv", {0: True, 1: True})
    with pytest.raises(DataError, match="2 labels of these rows, and no example of other things"):
        made.fit(data)


def test_another_content_is_another_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    first = labels_filter(path, {0: True, 1: False}).identity()
    assert labels_filter(path, {0: True, 1: False}).identity() == first
    assert labels_filter(path, {0: True, 1: True}).identity() != first


def test_what_is_refused_before_any_work(tmp_path: Path) -> None:
    made = labels_filter(tmp_path / "labels.csv", {}, columns=["lang"])
    with pytest.raises(DataError, match="not one image is labelled yet"):
        made.check()
    with pytest.raises(ConfigError, match="numbers wanted in the column 'lang', got string"):
        made.check_columns(pa.schema([("lang", pa.string())]))
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(DataError, match="no such file of labels"):
        made.identity()
    with pytest.raises(ConfigError, match="precision"):
        labels_filter(tmp_path / "labels.csv", {}, precision=1.0)


def test_where_nothing_is_likely_nothing_is_kept(tmp_path: Path) -> None:
    wanted = labels_filter(tmp_path / "labels.csv", {0: True}).config
    rows, labels = np.array([0.9, 0.8, 0.6]), np.zeros(0, dtype=bool)
    cut = choose_cut(rows, np.zeros(0), labels, 0.5, wanted)
    assert (rows >= cut.probability).sum() == 0
    everything = choose_cut(np.array([0.99, 0.98, 0.1]), np.zeros(0), labels, 0.5, wanted)
    assert everything.probability == 0.5
