from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import LanguageTagger
from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.testing import colours, serve_folder
from laion_eo.testing.web import GREEN, picture, small_run
from laion_eo.types import LanguageTags

Tagged: TypeAlias = dict[str, dict[str, tuple[str | None, float]]]
CAPTIONS = ["IMG_2034.jpg", "ein grünes Feld", "", "640 x 480 px", "USA", "農地", "field.png"]
WORDS = ["ein grünes Feld", "農地"]


class Everything(LanguageTagger):
    """Calls whatever it is shown Hebrew, as sure as the text is long, and remembers it."""

    name = "everything"
    summary = "for tests"
    seen: list[str]

    def setup(self) -> None:
        type(self).seen = []

    def tag(self, texts: Sequence[str]) -> LanguageTags:
        self.seen.extend(texts)
        return LanguageTags(
            ["he"] * len(texts), np.array([len(text) / 100 for text in texts], np.float32)
        )


class Judge(Everything):
    """Wants to judge noise itself."""

    name = "judge"

    @property
    def sees_noise(self) -> bool:
        return True


class Plugin:
    """Registers both."""

    @hookimpl
    def laion_eo_language_taggers(self) -> list[type[LanguageTagger]]:
        return [Everything, Judge]


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory, anchors: Path) -> Tagged:
    """What each tagger's run says of each caption, by the tagger's name."""
    folder = tmp_path_factory.mktemp("noise")
    for number in range(len(CAPTIONS)):
        picture(number, GREEN).save(folder / f"{number}.png")
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = [(f"{number}.png", caption) for number, caption in enumerate(CAPTIONS)]
        csv.writer(stream).writerows([("file", "caption"), *rows])
    registry = Registry.discover([colours, Plugin()])
    found: Tagged = {}
    with serve_folder(folder) as url:
        index(folder, folder / "pool", {"use": "colours"}, url, registry)
        for name in ("everything", "judge"):
            data = small_run(anchors, folder / "pool") | {"language_tagger": {"use": name}}
            run_dir = RunDir(run(data, folder / name, registry=registry).folder)
            captions = run_dir.read("candidates").select(["id", "caption"])
            table = captions.join(run_dir.read("languages"), "id").to_pylist()
            found[name] = {
                row["caption"] or "": (row["lang"], round(row["lang_score"], 3)) for row in table
            }
    return found


def test_noise_gets_no_language_whatever_the_tagger_says(
    tagged: Tagged,
) -> None:
    expected = {text: ("he", len(text) / 100) if text in WORDS else (None, 0) for text in CAPTIONS}
    assert tagged["everything"] == expected
    assert sorted(Everything.seen) == sorted(WORDS)  # nothing else is it shown


def test_a_tagger_that_asks_for_noise_sees_it(tagged: Tagged) -> None:
    assert tagged["judge"] == {text: ("he", len(text) / 100) for text in CAPTIONS}
    assert sorted(Judge.seen) == sorted(CAPTIONS)
