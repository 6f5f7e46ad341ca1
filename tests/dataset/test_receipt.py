from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from laion_eo.dataset.receipt import (
    RECEIPT,
    Estimate,
    FromLabels,
    FromSeeds,
    KindOfImage,
    Receipt,
    receipt_section,
    said_in_card,
)
from laion_eo.errors import DataError


def receipt(kind: str = "field", note: str = "") -> Receipt:
    precision = Estimate(value=0.95, low=0.84266, high=0.98951, count=40)
    recall = Estimate(value=0.75, low=0.61, high=0.854, count=40)
    kinds = (KindOfImage(kind=kind, count=30, right=28, precision=precision),)
    return Receipt(
        laion_eo="0.1.0",
        made=datetime(2026, 1, 2, tzinfo=UTC),
        verdicts="0" * 16,
        confidence=0.9,
        candidates=1200,
        kept=400,
        labels=FromLabels(
            sha256="a", sampling="stratified", labels=60, right=40, precision=precision, kinds=kinds
        ),
        seeds=FromSeeds(seeds=40, recall=recall, lost={"search": 10}),
        notes=(note,) if note else (),
    )


def test_it_survives_its_file(tmp_path: Path) -> None:
    receipt().save(tmp_path)
    assert Receipt.load(tmp_path) == receipt()
    assert Receipt.load(tmp_path / "nowhere") is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"version": 2}', b"[" * 9999])
def test_a_damaged_one_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECEIPT).write_bytes(content)
    with pytest.raises(DataError, match="not a receipt .*: delete it, and evaluate the run again"):
        Receipt.load(tmp_path)


def test_a_folder_is_no_receipt(tmp_path: Path) -> None:
    (tmp_path / RECEIPT).mkdir()
    with pytest.raises(DataError, match="no receipt"):
        Receipt.load(tmp_path)


def test_bounds_are_rounded_outwards() -> None:
    assert "| precision | 0.950 | 0.842 to 0.990 | 40 labels |" in receipt_section(receipt())


def test_what_the_card_says_is_read_back() -> None:
    body = f"# A dataset\n\n{receipt_section(receipt())}\n\n### The run file\n"
    assert said_in_card(body) == (
        "Estimated: precision 0.950 (90% interval 0.842 to 0.990, from 40 labels); "
        "recall of the whole search 0.750 (90% interval 0.610 to 0.854, from 40 hidden seeds)."
    )
    assert said_in_card("# A dataset\n\n### Receipt\n\nof a plugin\n") is None
    assert said_in_card("# A dataset\n") is None


def test_foreign_words_are_no_markup() -> None:
    odd = "a|b\n### Receipt\n<!-- end of the receipt --><script>"
    section = receipt_section(receipt(odd, odd))
    assert "<script>" not in section
    assert section.count("\n### Receipt\n") == 0
    assert section.startswith("### Receipt\n")
    assert section.count("<!-- end of the receipt -->") == 1
    assert (
        "| a\\|b ### Receipt &lt;!-- end of the receipt --&gt;&lt;script&gt; | 30 labels |"
        in section
    )
