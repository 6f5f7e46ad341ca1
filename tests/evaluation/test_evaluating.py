from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from green_runs import GreenRun

from laion_eo import evaluate, plan_labels, verify
from laion_eo.dataset.receipt import RECEIPT, Receipt
from laion_eo.errors import ConfigError, DataError, RunError
from laion_eo.labels import Label, read_labels, write_labels
from laion_eo.pipeline.run_dir import RunDir

pytest.importorskip("sklearn", reason="the extra `learn` is not installed")

Seeds = Callable[[int, int], Path]


def sampled(run: GreenRun, tmp_path: Path, count: int = 24) -> Path:
    path = tmp_path / "sample.csv"
    plan_labels(run.folder, count, path, registry=run.registry)
    return run.answer(path)


def taught(run: GreenRun, tmp_path: Path) -> Path:
    path = tmp_path / "teach.csv"
    plan_labels(run.folder, 10, path, purpose="fit", registry=run.registry)
    run.answer(path)
    plan_labels(run.folder, 10, path, purpose="fit", labels=path, registry=run.registry)
    return run.answer(path)


def test_the_whole_way(green_run: GreenRun, tmp_path: Path, seeds: Seeds) -> None:
    before = evaluate(green_run.folder, sampled(green_run, tmp_path), registry=green_run.registry)
    assert before.labels and before.labels.precision
    assert before.labels.precision.low < 31 / 50 < before.labels.precision.high

    assert green_run.run(labels=taught(green_run, tmp_path)) == ["verdicts", "dataset"]
    wrong = {by for i, by in green_run.verdicts().items() if not green_run.truth()[i]}
    assert wrong == {"labels"}

    receipt = evaluate(
        green_run.folder,
        sampled(green_run, tmp_path),
        seeds(5, 3),
        width=0.1,
        registry=green_run.registry,
    )
    assert receipt.labels and receipt.labels.precision and receipt.labels.recall and receipt.seeds
    assert receipt.labels.precision.value == 1.0
    assert receipt.labels.recall.value == 1.0
    assert receipt.labels.more_for_precision
    assert [kind.kind for kind in receipt.labels.kinds] == ["field", "brick"]
    assert receipt.seeds.recall.value == 5 / 8
    assert receipt.seeds.lost == {"labels": 3}
    assert [kind.right for kind in receipt.seeds.kinds] == [5, 0]

    found = verify(green_run.folder)
    assert (found.faults, found.notes) == ((), ())
    card = (green_run.folder / "dataset/README.md").read_text()
    assert "| precision | 1.000 | " in card
    assert "| recall of the whole search | 0.625 | " in card
    croissant = json.loads((green_run.folder / "dataset/croissant-ver-0.json").read_text())
    assert croissant["rai:dataLimitations"].startswith("Estimated: precision 1.000 (90% interval 0")
    # No seed is in any table.
    ids = RunDir(green_run.folder).read("verdicts")["id"].to_pylist()
    assert len(ids) == 52
    assert max(ids) < 52


def test_the_next_run_publishes_the_card(green_run: GreenRun, tmp_path: Path) -> None:
    receipt = evaluate(green_run.folder, sampled(green_run, tmp_path), registry=green_run.registry)
    card = (green_run.folder / "dataset/README.md").read_bytes()
    assert green_run.run() == ["dataset"]
    assert (green_run.folder / "dataset/README.md").read_bytes() == card
    assert green_run.run() == []
    assert Receipt.load(green_run.folder) == receipt
    assert verify(green_run.folder).is_sound


def test_a_receipt_of_other_verdicts_is_left_out(
    green_run: GreenRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluate(green_run.folder, sampled(green_run, tmp_path), registry=green_run.registry)
    green_run.run(labels=taught(green_run, tmp_path))
    assert "### Receipt" not in (green_run.folder / "dataset/README.md").read_text()
    assert "receipt.json is of other verdicts, and is left out of the card" in caplog.text
    assert verify(green_run.folder).is_sound


def test_seeds_join_what_labels_said(green_run: GreenRun, tmp_path: Path, seeds: Seeds) -> None:
    first = evaluate(green_run.folder, sampled(green_run, tmp_path), registry=green_run.registry)
    second = evaluate(green_run.folder, seeds=seeds(4, 0), registry=green_run.registry)
    assert second.labels == first.labels
    assert second.seeds and second.seeds.recall.value == 1.0
    assert set(first.notes) <= set(second.notes)


def test_the_labels_of_the_run_directory(green_run: GreenRun, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to evaluate it with: name --labels or --seeds"):
        evaluate(green_run.folder, registry=green_run.registry)
    sampled(green_run, tmp_path).rename(green_run.folder / "labels.csv")
    assert evaluate(green_run.folder, registry=green_run.registry).labels
    assert verify(green_run.folder).notes == ()


def test_a_changed_receipt_is_found(green_run: GreenRun, tmp_path: Path) -> None:
    evaluate(green_run.folder, sampled(green_run, tmp_path), registry=green_run.registry)
    path = green_run.folder / RECEIPT
    path.write_text(path.read_text().replace('"kept": 50', '"kept": 51'))
    assert [fault.where for fault in verify(green_run.folder).faults] == [RECEIPT]


def test_killed_between_receipt_and_card(green_run: GreenRun, tmp_path: Path) -> None:
    evaluate(green_run.folder, sampled(green_run, tmp_path), registry=green_run.registry)
    card = (green_run.folder / "dataset/README.md").read_bytes()
    for name in ("run.json", "dataset.json"):
        (green_run.folder / ".stages" / name).unlink()
    (green_run.folder / "dataset/README.md").write_text("half")
    assert green_run.run() == ["dataset"]
    assert (green_run.folder / "dataset/README.md").read_bytes() == card
    assert verify(green_run.folder).is_sound


def test_labels_that_taught_estimate_nothing(green_run: GreenRun, tmp_path: Path) -> None:
    labels = taught(green_run, tmp_path)
    with pytest.raises(DataError, match="chosen to teach a filter, so they estimate nothing"):
        evaluate(green_run.folder, labels, registry=green_run.registry)
    assert not (green_run.folder / RECEIPT).exists()


def test_labels_by_hand_are_said_to_be(green_run: GreenRun, tmp_path: Path) -> None:
    path = tmp_path / "hand.csv"
    write_labels(path, [Label(i, truth) for i, truth in green_run.truth().items()][:30])
    receipt = evaluate(green_run.folder, path, registry=green_run.registry)
    assert receipt.labels
    assert receipt.labels.sampling == "assumed"
    assert any(note.startswith("Nobody drew these labels at random") for note in receipt.notes)


def test_what_the_filter_learnt_from_is_said(green_run: GreenRun, tmp_path: Path) -> None:
    path = sampled(green_run, tmp_path)
    green_run.run(labels=path)
    receipt = evaluate(green_run.folder, path, registry=green_run.registry)
    assert any("The filter has learnt from these labels" in note for note in receipt.notes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"confidence": 1.5}, "a confidence above 0 and below 1 wanted, got 1.5"),
        ({"width": 0.0}, "a width above 0 and below 1 wanted, got 0"),
        ({"seeds": "nowhere"}, "--seeds: nowhere: no such folder of pictures"),
        ({"labels": "nowhere.csv"}, "nowhere.csv: no such file of labels"),
    ],
)
def test_what_is_refused(green_run_once: GreenRun, options: dict[str, object], said: str) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        evaluate(green_run_once.folder, registry=green_run_once.registry, **options)  # type: ignore[arg-type]


def test_labels_of_another_run(green_run_once: GreenRun, tmp_path: Path) -> None:
    write_labels(tmp_path / "other.csv", [Label(9000, True)])
    with pytest.raises(DataError, match="of which run are they"):
        evaluate(green_run_once.folder, tmp_path / "other.csv", registry=green_run_once.registry)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished run; `laion-eo run` makes one"):
        evaluate(tmp_path)
    with pytest.raises(ConfigError, match="at least 1 label wanted, got 0"):
        plan_labels(tmp_path, 0, tmp_path / "x.csv")


def test_a_run_at_work_is_left_alone(green_run: GreenRun, tmp_path: Path) -> None:
    labels = sampled(green_run, tmp_path)
    with RunDir(green_run.folder).lock(), pytest.raises(RunError, match="another laion-eo works"):
        evaluate(green_run.folder, labels, registry=green_run.registry)


def test_a_plan_is_added_to_its_labels(green_run_once: GreenRun, tmp_path: Path) -> None:
    run, path = green_run_once, tmp_path / "labels.csv"
    plan_labels(run.folder, 12, path, registry=run.registry)
    first = read_labels(run.answer(path))
    assert plan_labels(run.folder, 8, path, labels=path, registry=run.registry) == 8
    both = read_labels(path)
    assert both[:12] == first
    assert len({label.id for label in both}) == 20
    other = tmp_path / "more.csv"
    plan_labels(run.folder, 8, other, labels=path, registry=run.registry)
    assert len(read_labels(other)) == 8
    assert not {label.id for label in read_labels(other)} & {label.id for label in both}
