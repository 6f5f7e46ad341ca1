"""Broken embedders, scorers, filters and language taggers; see sources_and_pictures.py."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.kinds import Scorer
from laion_eo.testing import suites
from laion_eo.testing.colours import Colours, Letters
from laion_eo.types import LanguageTags, Verdict


class TestNameless(suites.EmbedderTests):
    fails = ("test_the_model_has_a_name", "strip")

    class component_cls(Colours):
        model_id = " "


class TestKnowsAnotherDim(suites.EmbedderTests):
    fails = ("test_the_model_is_known_before_it_is_loaded", "assert 48 in")

    class component_cls(Colours):
        def known_dim(self) -> int:
            return 48


class TestDoubles(suites.EmbedderTests):
    fails = ("test_pictures_become_unit_vectors", "float32 embeddings wanted, got float64")

    class component_cls(Colours):
        def embed_images(self, images: Any) -> Any:
            return super().embed_images(images).astype(np.float64)


class TestOtherDim(suites.EmbedderTests):
    fails = ("test_pictures_become_unit_vectors", r"embeddings of shape \(4, 50\) wanted")

    class component_cls(Colours):
        dim = 50


class TestLongTexts(suites.EmbedderTests):
    fails = ("test_texts_become_unit_vectors", "length 1 wanted, got 2")

    class component_cls(Colours):
        def embed_texts(self, texts: Any) -> Any:
            return super().embed_texts(texts) * np.float32(2)


class TestNeedsSome(suites.EmbedderTests):
    fails = ("test_nothing_becomes_no_vectors", "need at least one array")

    class component_cls(Colours):
        def embed_images(self, images: Any) -> Any:
            return np.concatenate([super(type(self), self).embed_images([i]) for i in images])


class TestDropout(suites.EmbedderTests):
    fails = ("test_the_same_picture_gives_the_same_vector", "Arrays are not equal")

    class component_cls(Colours):
        def embed_images(self, images: Any) -> Any:
            still = super().embed_images(images)
            noisy = still + np.random.default_rng().normal(0, 1e-5, still.shape)
            return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)


class TestBatchNorm(suites.EmbedderTests):
    fails = ("test_batches_do_not_matter", "min")

    class component_cls(Colours):
        def embed_images(self, images: Any) -> Any:
            vectors = super().embed_images(images)
            moved = vectors - vectors.mean(0) * 0.5
            unit = moved / np.linalg.norm(moved, axis=1, keepdims=True)
            return unit.astype(np.float32)


class TestReversed(suites.EmbedderTests):
    fails = ("test_order_is_kept", "assert .* > ")

    class component_cls(Colours):
        def embed_images(self, images: Any) -> Any:
            return super().embed_images(sorted(images, key=lambda image: float(image.mean())))


# --- scorers ------------------------------------------------------------------------------------


class Bright(Scorer):
    name = "bright"
    summary = "mean of the image"
    columns = pa.schema([("bright", pa.float32())])
    needs_images = True

    def values(self, batch: Any) -> list[float]:
        return [float(image.mean()) for image in batch.images]

    def score(self, batch: Any) -> pa.Table:
        return pa.table({"bright": pa.array(self.values(batch), pa.float32())})


class TestTakenColumn(suites.ScorerTests):
    fails = ("test_columns_are_new", "caption")

    class component_cls(Bright):
        columns = pa.schema([("caption", pa.string())])


class TestNeedsAScore(suites.ScorerTests):
    fails = ("test_what_it_needs_is_there", "'lang' in")

    class component_cls(Bright):
        def needs(self) -> tuple[str, ...]:
            return ("lang",)


class TestOtherType(suites.ScorerTests):
    fails = ("test_columns_are_as_declared", r"\(bright: double\) wanted, got \(bright: float\)")

    class component_cls(Bright):
        columns = pa.schema([("bright", pa.float64())])


class TestRowsMissing(suites.ScorerTests):
    fails = ("test_columns_are_as_declared", "a table of 6 rows wanted, got 5")

    class component_cls(Bright):
        def values(self, batch: Any) -> Any:
            return super().values(batch)[1:]


class TestNeedsTwo(suites.ScorerTests):
    fails = ("test_one_row", "IndexError")

    class component_cls(Bright):
        def values(self, batch: Any) -> Any:
            assert batch.images[1] is not None
            return super().values(batch)


class TestDice(suites.ScorerTests):
    fails = ("test_scores_never_change", "equals")

    class component_cls(Bright):
        _throw = itertools.count()

        def values(self, batch: Any) -> Any:
            return [float(next(self._throw)) for _ in batch.images]


class TestRanks(suites.ScorerTests):
    fails = ("test_rows_do_not_depend_on_each_other", "comparison failed")

    class component_cls(Bright):
        def values(self, batch: Any) -> Any:
            return [float(place) for place in range(len(batch.images))]


class TestScrawls(suites.ScorerTests):
    fails = ("test_images_are_left_alone", "Arrays are not equal")

    class component_cls(Bright):
        def values(self, batch: Any) -> Any:
            batch.images[:] = [image // 2 for image in batch.images]
            return super().values(batch)


class TestNotFinite(suites.ScorerTests):
    fails = ("test_numbers_are_finite", "isfinite")

    class component_cls(Bright):
        def values(self, batch: Any) -> Any:
            return [float("nan") for _ in batch.images]


class TestThinksOfCandidates(suites.ScorerTests):
    fails = ("test_anchors_are_scored_like_candidates", "NoneType")

    class component_cls(Bright):
        needs_images = False
        scores_anchors = True

        def values(self, batch: Any) -> Any:
            return [float(len(row)) for row in batch.table["url"].to_pylist()]


# --- filters ------------------------------------------------------------------------------------


class TestSilent(suites.FilterTests):
    fails = ("test_every_row_has_its_verdict", "dropped for the reason ''")

    class component_cls(MinSize):
        def keep(self, batch: Any) -> Verdict:
            return Verdict(super().keep(batch).mask, [""] * len(batch))


class TestNeedsALetterEach(suites.FilterTests):
    fails = (
        "test_what_it_needs_is_there",
        "a tuple of column names wanted from needs, got 'width'",
    )

    class component_cls(MinSize):
        def needs(self) -> Any:
            return "width"


class TestDoesNotSayWhatItNeeds(suites.FilterTests):
    fails = ("test_it_reads_what_it_needs_alone", "text_similarity")

    class component_cls(MinSize):
        def fit(self, data: Any) -> None:
            data.table["text_similarity"]


class TestKeepsAll(suites.FilterTests):
    fails = ("test_it_keeps_some_and_drops_some", "< 60")

    class component_cls(MinSize):
        def keep(self, batch: Any) -> Verdict:
            return Verdict(np.ones(len(batch), bool), [""] * len(batch))


class TestFirstOfBatch(suites.FilterTests):
    fails = ("test_batches_do_not_matter", "==")

    class component_cls(MinSize):
        def keep(self, batch: Any) -> Verdict:
            return Verdict(np.arange(len(batch)) < 1, ["not the first"] * len(batch))


class TestRemembers(suites.FilterTests):
    fails = ("test_another_fit_forgets_the_first", "==")

    class component_cls(MinSize):
        seen = 0

        def fit(self, data: Any) -> None:
            self.seen += 1

        def keep(self, batch: Any) -> Verdict:
            return Verdict(np.arange(len(batch)) < self.seen, ["too late"] * len(batch))


class TestNeedsRows(suites.FilterTests):
    fails = ("test_no_rows", "zero-size array")

    class component_cls(MinSize):
        def fit(self, data: Any) -> None:
            data.table["width"].to_numpy().min()


# --- language taggers ---------------------------------------------------------------------------


class TestTooSure(suites.LanguageTaggerTests):
    fails = ("test_every_text_has_a_tag", "confidences of 0..1 wanted")

    class component_cls(Letters):
        def tag(self, texts: Any) -> LanguageTags:
            tags = super().tag(texts)
            return LanguageTags(tags.codes, tags.scores * np.float32(100))


class TestNumbersAreEnglish(suites.LanguageTaggerTests):
    fails = ("test_what_says_nothing_has_no_language", "None")

    class component_cls(Letters):
        def tag(self, texts: Any) -> LanguageTags:
            return LanguageTags(["en"] * len(texts), np.ones(len(texts), np.float32))


class TestLongCodes(suites.LanguageTaggerTests):
    fails = ("test_codes_are_iso_639", "English")

    class component_cls(Letters):
        def tag(self, texts: Any) -> LanguageTags:
            tags = super().tag(texts)
            return LanguageTags([code and "English" for code in tags.codes], tags.scores)


class TestAllGerman(suites.LanguageTaggerTests):
    fails = ("test_it_knows_its_languages", "de")

    class component_cls(Letters):
        def tag(self, texts: Any) -> LanguageTags:
            tags = super().tag(texts)
            return LanguageTags([code and "de" for code in tags.codes], tags.scores)


class TestByCompany(suites.LanguageTaggerTests):
    fails = ("test_texts_do_not_depend_on_each_other", "==")

    class component_cls(Letters):
        def tag(self, texts: Any) -> LanguageTags:
            tags = super().tag(texts)
            code = "en" if len(texts) == 1 else "fr"
            return LanguageTags([known and code for known in tags.codes], tags.scores)


class TestNeedsText(suites.LanguageTaggerTests):
    fails = ("test_no_texts", "IndexError")

    class component_cls(Letters):
        def tag(self, texts: Any) -> LanguageTags:
            assert texts[0] is not None
            return super().tag(texts)
