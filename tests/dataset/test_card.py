from __future__ import annotations

from collections import Counter
from copy import deepcopy
from itertools import pairwise

import datasets
import huggingface_hub
import pytest
import yaml
from datasets.info import DatasetInfosDict
from fakes.hub_state import LoopbackHub
from huggingface_hub import DatasetCard
from made import made_rows
from markdown_it import MarkdownIt

from laion_eo.config import DatasetOptions
from laion_eo.dataset.card import render_card
from laion_eo.errors import ConfigError
from laion_eo.hub.cards import split_card
from laion_eo.pipeline import RunResult
from laion_eo.pipeline.stages import STAGES
from laion_eo.schema import PUBLISHED, PUBLISHED_COLUMNS
from laion_eo.types import JSON

needs_endpoint = pytest.mark.skipif(
    int(huggingface_hub.__version__.split(".")[0]) < 1,
    reason="huggingface-hub 0.x validates cards on the real Hub, whatever HF_ENDPOINT says",
)
OPTIONS = DatasetOptions(config="ver-1", contact="data@example.org")


@pytest.fixture
def manifest(finished_run: RunResult) -> dict[str, JSON]:
    return deepcopy(finished_run.manifest)


@needs_endpoint
def test_metadata_is_valid(hub: LoopbackHub, manifest: dict[str, JSON]) -> None:
    text = render_card(OPTIONS, made_rows(200), manifest, [])
    DatasetCard(text).validate(repo_type="dataset")
    assert ("POST", "/api/validate-yaml", 200) in hub.requests
    head, _ = split_card(text)
    assert head.language == ("en", "fr", "zh")
    assert head.size_categories == ("n<1K",)
    (info,) = DatasetInfosDict.from_dataset_card_data(DatasetCard(text).data).values()
    assert info.features == datasets.Features.from_arrow_schema(PUBLISHED)
    assert info.splits["train"].num_examples == 200


@needs_endpoint
def test_metadata_that_is_not_valid_is_refused(hub: LoopbackHub) -> None:
    with pytest.raises(ValueError, match="size_categories: 'many' is not allowed"):
        DatasetCard("---\nsize_categories: [many]\n---\n").validate(repo_type="dataset")


def test_numbers_come_from_the_manifest(manifest: dict[str, JSON]) -> None:
    manifest["stages"]["downloads"]["counts"]["http-error"] = 1234
    facts = manifest["stages"]["verdicts"]["facts"]["similarity-threshold"]
    facts["text_similarity"] = {"threshold": 0.14919, "how": "frozen"}
    text = render_card(OPTIONS, made_rows(200), manifest, ["## From a plugin"])
    assert "| downloads | http-error | 1,234 |" in text
    assert "| `text_similarity` | 0.14919 | frozen |" in text
    fitted = facts["image_similarity"]["threshold"]
    assert f"| `image_similarity` | {fitted:.5f} | fitted: mean" in text
    assert "| neighbours for each anchor (k) | 35 |" in text
    assert "## From a plugin" in text
    assert "write to data@example.org" in text
    for column in PUBLISHED_COLUMNS:
        assert f"| `{column.name}` |" in text


def test_only_datasets_of_the_earth_speak_of_it(manifest: dict[str, JSON]) -> None:
    options = DatasetOptions(config="dogs", pretty_name="Dogs", tags=("dogs", "animals"))
    manifest["run"]["dataset"] = options.model_dump()
    text = render_card(options, made_rows(0), manifest, [])
    head, body = split_card(text)
    assert head.tags == ("animals", "dogs", "laion-eo")
    own, bibtex = body.split("```bibtex")
    for word in ("earth", "satellite", "climate", "sensor"):
        assert word not in own.lower()
    assert "The method by which the images were found:" in own
    assert "Satellite Image Extraction" in " ".join(bibtex.split())  # the method's, by its title
    ours = DatasetOptions(config="ver-1", tags=("climate", "earth-observation"))
    head, body = split_card(render_card(ours, made_rows(0), manifest, []))
    assert head.tags == ("climate", "earth-observation", "laion-eo")
    assert "What people put on the web is no fair sample of the Earth: places, seasons," in body
    assert "The method by which" not in body


def test_facts_of_plugins_may_hold_anything(manifest: dict[str, JSON]) -> None:
    facts = manifest["stages"]["verdicts"]["facts"]
    facts["their-filter"] = {
        "sizes": {"small": 3},
        "cut": {"threshold": 0.25, "how": "by hand", "sigma": 2},
        "odd": {"threshold": "high", "how": "by ear"},
    }
    text = render_card(OPTIONS, made_rows(5), manifest, [])
    assert "| `cut` | 0.25000 | by hand |" in text
    assert "small" not in text
    assert "by ear" not in text
    facts["their-filter"] = ["no table"]
    with pytest.raises(ConfigError, match="manifest: 'stages.verdicts.facts.their-filter': "):
        render_card(OPTIONS, made_rows(5), manifest, [])


def test_secrets_and_paths_are_not_published(
    manifest: dict[str, JSON], finished_run: RunResult
) -> None:
    manifest["run"]["retriever"] |= {
        "api_key": "s3cret",
        "url": "https://me:s3cret@host/x?key=s3cret",
    }
    manifest["stages"]["anchors"]["facts"] = {"colours": {"weights": "/home/alice/w.pt"}}
    text = render_card(OPTIONS, made_rows(5), manifest, [])
    assert "s3cret" not in text
    assert "alice" not in text
    assert str(finished_run.folder.parent) not in text
    assert manifest["run"]["anchors"]["root"] not in text
    assert 'root = "…/anchors' in text


def test_markup_in_values_stays_text(manifest: dict[str, JSON]) -> None:
    options = DatasetOptions(config="ver-1", contact="<script>alert(1)</script>")
    manifest["stages"]["downloads"]["counts"]["a|b\n<img>"] = 1
    manifest["run"]["note"] = "```\n<!-- end of config ver-1 -->"
    text = render_card(options, made_rows(5), manifest, [])
    assert "<script>" not in text
    assert "| downloads | a\\|b &lt;img&gt; | 1 |" in text
    assert "````toml" in text


def test_markdown_renders(manifest: dict[str, JSON]) -> None:
    manifest["stages"]["downloads"]["counts"]["a|b"] = 1
    options = DatasetOptions(config="ver-1", pretty_name="Rivers", contact="me|you")
    _, body = split_card(
        render_card(options, made_rows(200), manifest, ["### More\n\nfrom a plugin"])
    )
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    kinds = Counter(token.type for token in tokens)
    tables = len(["choices", "thresholds", "counts", "parts", "languages", "fields"])
    assert kinds["table_open"] == tables
    headings = [b.content for a, b in pairwise(tokens) if a.type == "heading_open"]
    assert headings == [
        "Rivers",
        "ver-1",
        "How it was made",
        "Languages of the captions",
        "More",
        "The run file",
        "Data fields",
        "Known limits",
        "Citation",
    ]
    assert [token.info for token in tokens if token.type == "fence"] == ["python", "toml", "bibtex"]
    cells = [b.content for a, b in pairwise(tokens) if a.type == "td_open"]
    assert "a|b" in cells
    prose = [b.content for a, b in pairwise(tokens) if a.type == "paragraph_open"]
    assert not any("|--" in text or "```" in text for text in prose)  # a table or fence that broke


def test_shares_are_of_the_captions_with_a_language(manifest: dict[str, JSON]) -> None:
    codes = ["en"] * 3 + ["fr"] * 1 + [None] * 1_196
    rows = made_rows(1_200).set_column(10, "lang", [codes]).cast(PUBLISHED)
    text = render_card(OPTIONS, rows, manifest, [])
    assert "| en | 3 | 75.0 % |\n| fr | 1 | 25.0 % |\n\nShares are of the 4 captions" in text
    assert "1,196 of 1,200 have none" in text
    every = made_rows(200).set_column(10, "lang", [["en"] * 200]).cast(PUBLISHED)
    text = render_card(OPTIONS, every, manifest, [])
    assert "| en | 200 | 100.0 % |" in text
    assert "0 of 200 have none" in text


def test_language_unknown_to_the_hub(manifest: dict[str, JSON]) -> None:
    rows = made_rows(5).set_column(10, "lang", [["zh-Hans", "fr", "fr", "fr", "fr"]])
    text = render_card(OPTIONS, rows.cast(PUBLISHED), manifest, [])
    assert "| zh-Hans | 1 | 20.0 % |" in text
    assert split_card(text)[0].language == ("fr",)


def test_no_language_at_all(manifest: dict[str, JSON]) -> None:
    rows = made_rows(5).set_column(10, "lang", [[None] * 5])
    rows = rows.cast(PUBLISHED)
    text = render_card(OPTIONS, rows, manifest, [])
    assert "No caption was tagged." in text
    assert "language" not in yaml.safe_load(text.split("---")[1])


def test_who_made_what_comes_from_the_stages(manifest: dict[str, JSON]) -> None:
    """A stage of two sessions, one of unknown makers, and a plugin that was upgraded since."""
    scores, verdicts = (manifest["stages"][name]["made_by"] for name in ("scores", "verdicts"))
    (later,) = deepcopy(scores)
    later["software"]["laion_eo"] = "9.9"
    later["components"]["embedder"]["colours"]["distribution"] = "colours 2"
    scores[0]["components"]["embedder"]["colours"]["distribution"] = "colours 1"
    manifest["stages"]["anchors"]["made_by"][0] = scores[0]
    scores.append(later)
    manifest["stages"]["embeddings"]["made_by"] = [scores[0]]
    manifest["stages"]["fitted_scores"]["made_by"] = [scores[0]]
    manifest["stages"]["anchor_scores"]["made_by"] = [scores[0]]
    verdicts.clear()
    manifest["components"]["embedder"]["colours"]["distribution"] = "colours 3"
    text = render_card(OPTIONS, made_rows(20), manifest, [])
    own = manifest["laion_eo"]
    ours = ", ".join(stage.name for stage in STAGES if stage.name != "verdicts")
    assert (
        f"With laion-eo {own} ({ours}, dataset) and 9.9 (scores) and an unrecorded version "
        "(verdicts), by the method" in text.replace("\\_", "_")
    )
    assert "| embedder | `colours` | colours 1 and colours 2 |" in text
