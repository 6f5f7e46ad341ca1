from __future__ import annotations

from pathlib import Path

import pytest

from laion_eo.component import Context
from laion_eo.config import RunFile
from laion_eo.errors import PluginError
from laion_eo.pipeline.workbench import with_labels
from laion_eo.registry import Registry
from laion_eo.types import JSON

SIGMA: dict[str, JSON] = {"use": "similarity-threshold", "sigma": 2.0}
FROZEN: dict[str, JSON] = {"use": "similarity-threshold", "image": 0.7, "text": 0.1}
LABELS: dict[str, JSON] = {"use": "labels"}


def uses(filters: list[dict[str, JSON]] | None) -> list[str]:
    data: dict[str, JSON] = {"anchors": {"use": "images"}, "retriever": {"use": "exact-scan"}}
    run_file = RunFile.load({**data, **({} if filters is None else {"filters": filters})})
    found = with_labels(run_file, Path("labels.csv"), Registry.discover(), Context())
    mine = next(one for one in found.config.filters if one.use == "labels")
    assert mine.options["path"] == str(Path("labels.csv").absolute())
    return [one.use for one in found.config.filters]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (None, "min-size labels duplicates"),
        ([SIGMA], "labels"),
        ([{"use": "min-size"}, SIGMA, {"use": "duplicates"}], "min-size labels duplicates"),
        ([FROZEN, {"use": "duplicates"}], "similarity-threshold labels duplicates"),
        ([FROZEN, SIGMA], "similarity-threshold labels"),
        ([SIGMA, {"use": "min-size"}, SIGMA], "labels min-size"),
        ([{"use": "duplicates"}, {"use": "min-size"}], "labels duplicates min-size"),
        ([], "labels"),
        ([{"use": "min-size"}, {**LABELS, "path": "old.csv"}], "min-size labels"),
    ],
)
def test_what_labels_take_the_place_of(filters: list[dict[str, JSON]] | None, wanted: str) -> None:
    assert " ".join(uses(filters)) == wanted


def test_options_of_the_run_file_stay() -> None:
    filters = [{"use": "labels", "path": "old.csv", "precision": 0.8}]
    data = {"anchors": {"use": "images"}, "retriever": {"use": "exact-scan"}, "filters": filters}
    found = with_labels(RunFile.load(data), Path("new.csv"), Registry.discover(), Context())
    (choice,) = found.config.filters
    assert choice.options == {"path": str(Path("new.csv").absolute()), "precision": 0.8}
    assert filters[0]["path"] == "old.csv"


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(PluginError, match=r"\[\[filters\]\] 1"):
        uses([{"use": "no-such-filter"}])
