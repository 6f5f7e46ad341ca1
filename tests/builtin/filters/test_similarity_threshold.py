from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.builtin.filters.similarity_threshold import SimilarityThreshold
from laion_eo.component import WARNINGS, Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, RunError
from laion_eo.kinds import AnchorSet, FitData, PoolModel
from laion_eo.types import JSON


def scored(image: list[float], text: list[float]) -> pa.Table:
    return pa.table({"image_similarity": image, "text_similarity": text})


def threshold(**options: JSON) -> SimilarityThreshold:
    return SimilarityThreshold(SimilarityThreshold.Config.model_validate(options), Context())


def test_thresholds_are_fitted_at_mean_minus_sigma_deviations() -> None:
    rng = np.random.default_rng(3)
    image, text = rng.normal(0.8, 0.02, 500), rng.normal(0.2, 0.03, 500)
    table = scored(image.tolist(), text.tolist())
    judge = threshold()
    judge.fit(FitData(table))
    facts = judge.facts()
    for name, values in (("image_similarity", image), ("text_similarity", text)):
        assert facts[name]["threshold"] == pytest.approx(values.mean() - 1.5 * values.std())
        assert facts[name]["how"] == "fitted"
    low_image = image < facts["image_similarity"]["threshold"]
    low_text = text < facts["text_similarity"]["threshold"]
    assert (low_image & ~low_text).any()
    assert (~low_image & low_text).any()
    assert judge.keep(table).mask.tolist() == (~(low_image | low_text)).tolist()


def test_frozen_thresholds_are_taken_as_given() -> None:
    judge = threshold(image=0.78026, text=0.14919)
    table = scored([0.78026, 0.78, 0.9], [0.14919, 0.2, 0.1])
    judge.fit(FitData(table))
    verdict = judge.keep(table)
    assert verdict.mask.tolist() == [True, False, False]
    assert verdict.reasons[1] == "image_similarity 0.7800 < 0.78026"
    assert judge.facts()["image_similarity"] == {"threshold": 0.78026, "how": "frozen"}


def test_both_faults_are_told() -> None:
    judge = threshold(image=0.5, text=0.5)
    table = scored([0.1], [0.2])
    judge.fit(FitData(table))
    assert judge.keep(table).reasons == [
        "image_similarity 0.1000 < 0.50000; text_similarity 0.2000 < 0.50000"
    ]


def test_no_rows_are_fitted_without_a_warning() -> None:
    judge = threshold()
    judge.fit(
        FitData(
            scored([], []).cast(pa.schema([(n, pa.float32()) for n in scored([], []).column_names]))
        )
    )
    assert judge.facts()["image_similarity"]["threshold"] is None


def test_it_needs_both_similarities_frozen_or_not() -> None:
    for judge in (threshold(), threshold(image=0.5, text=0.1)):
        assert judge.needs() == ("image_similarity", "text_similarity")


def anchored(rows: pa.Table, texts: int = 0, **scores: list[float | None]) -> FitData:
    """Return rows with anchors that have scores of their own, the last ones of them texts."""
    total = len(next(iter(scores.values())))
    names = [None] * (total - texts) + ["a road"] * texts
    table = pa.table({"text": pa.array(names, pa.string()), **scores})
    model = PoolModel("colours-1", 3, "ab" * 32)
    return FitData(rows, AnchorSet(table, np.zeros((total, 3), np.float32)), model=model)


def test_fitted_to_the_anchors_it_does_not_depend_on_how_many_are_right() -> None:
    rng = np.random.default_rng(4)
    own = rng.normal(0.8, 0.05, 200).tolist()
    kept = []
    for right in (500, 50, 5):
        good, bad = rng.normal(0.8, 0.05, right), rng.normal(0.3, 0.1, 1_000)
        rows = scored([*good, *bad], [0.5] * (right + 1_000))
        judge = threshold(fit="anchors", percentile=5)
        judge.fit(anchored(rows, image_similarity=own, text_similarity=[0.4] * 200))
        mask = judge.keep(rows).mask
        kept.append(float(mask[:right].mean()))
        assert mask[right:].mean() < 0.001
    assert kept == pytest.approx([0.95] * 3, abs=0.25)
    assert judge.facts()["image_similarity"] == {
        "threshold": pytest.approx(np.percentile(own, 5)),
        "how": "fitted to the anchors",
        "anchors": 200,
        "percentile": 5.0,
        "model": "colours-1",
        "weights_sha256": "ab" * 32,
    }


def test_texts_and_anchors_without_a_score_do_not_count() -> None:
    rows = scored([0.5], [0.5])
    judge = threshold(fit="anchors", percentile=0)
    judge.fit(
        anchored(rows, texts=1, image_similarity=[None, 0.7, 0.6, 0.1], text_similarity=[0.3] * 4)
    )
    facts = judge.facts()["image_similarity"]
    assert (facts["threshold"], facts["anchors"]) == (pytest.approx(0.6), 2)


@pytest.mark.parametrize("texts", [0, 3])
def test_no_anchor_with_a_score_of_its_own(texts: int) -> None:
    scores: list[float | None] = [None, None, None] if texts == 0 else [0.1, 0.2, 0.3]
    data = anchored(
        scored([0.5], [0.5]), texts, image_similarity=scores, text_similarity=[0.1, 0.2, 0.3]
    )
    with pytest.raises(RunError, match="no image among the anchors has a 'image_similarity' of"):
        threshold(fit="anchors").fit(data)


def test_each_column_by_its_own_rule() -> None:
    rows = pa.table({"probe": [1.0, -3.0, 2.0, None], "a": [1, 2, 3, 4], "b": [0.1, 0.2, 0.3, 0.4]})
    judge = threshold(
        columns={"probe": {"percentile": 50}, "a": {"sigma": 0}, "b": {"threshold": 0.15}}
    )
    assert judge.needs() == ("probe", "a", "b")
    assert judge.needs_of_anchors() == ("probe",)
    judge.fit(anchored(rows, probe=[0.0, 1.0, 2.0]))
    how = {name: (fact["how"], fact["threshold"]) for name, fact in judge.facts().items()}
    assert how == {
        "probe": ("fitted to the anchors", 1.0), "a": ("fitted", 2.5), "b": ("frozen", 0.15)
    }  # fmt: skip
    verdict = judge.keep(rows)
    assert verdict.mask.tolist() == [False, False, True, False]
    assert verdict.reasons[:2] == [
        "a 1.0000 < 2.50000; b 0.1000 < 0.15000",
        "probe -3.0000 < 1.00000; a 2.0000 < 2.50000",
    ]
    assert verdict.reasons[3] == "probe has no value"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"a": {"sigma": 1, "percentile": 5}}}, "'columns.a': either sigma or perc"),
        ({"columns": {"a": {"fit": "anchors", "sigma": 1}}}, 'sigma is not for fit = "anchors"'),
        ({"columns": {"a": {"fit": "sigma", "percentile": 1}}}, 'percentile is not for fit = "'),
        ({"columns": {"a": {"fit": "sigma", "threshold": 1}}}, 'threshold is not for fit = "sig'),
        ({"columns": {"a": {"threshold": 1}}, "image": 0.2}, "image and text are not for use with"),
        ({"model": "tiny-1"}, "model says what frozen values belong to, and none is given"),
        ({"percentile": 101}, "'percentile': Input should be less than or equal to 100"),
        ({"columns": {"a": {"fit": "labels"}}}, "'columns.a.fit'"),
    ],
)
def test_options_that_are_refused(options: dict[str, JSON], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(SimilarityThreshold.Config, options, "run: [[filters]] 1")
    assert message in str(caught.value)


def test_frozen_values_of_another_model_are_refused() -> None:
    judge = threshold(image=0.78026, model="clip-l14")
    judge.check_model("clip-l14")
    with pytest.raises(ConfigError, match="belong to 'clip-l14', and the run's model is 'tiny-1'"):
        judge.check_model("tiny-1")
    judge.fit(FitData(scored([0.8], [0.2])))
    assert judge.facts()["image_similarity"]["model"] == "clip-l14"
    threshold(image=0.78026).check_model("tiny-1")


def test_columns_without_numbers_are_refused() -> None:
    judge = threshold(columns={"lang": {}})
    with pytest.raises(ConfigError, match="the column 'lang' holds string, and no numbers"):
        judge.check_columns(pa.schema([("lang", pa.string())]))


def warned(judge: SimilarityThreshold, data: FitData) -> list[str]:
    judge.fit(data)
    return list(judge.facts().get(WARNINGS, []))


def test_dropping_next_to_nothing_is_warned_of() -> None:
    """The paper's rule where most candidates are wrong: nothing goes, and two humps are kept."""
    rng = np.random.default_rng(6)
    image = np.r_[rng.normal(0.75, 0.02, 100), 0.4 + 0.2 * rng.random(1_900)]
    text = rng.normal(0.2, 0.02, 2_000)
    rows = scored(image.tolist(), text.tolist())
    told = warned(threshold(sigma=6), FitData(rows))
    assert told[0].startswith("similarity-threshold dropped 0 of 2,000 rows: unless nearly all")
    assert told[0].endswith('Is fit = "anchors" what you want?')
    assert "'image_similarity' that are kept have two humps, with a valley at 0." in told[1]
    assert len(told) == 2


def test_a_threshold_between_the_humps_is_not_warned_of() -> None:
    rng = np.random.default_rng(7)
    image = np.r_[rng.normal(0.75, 0.02, 100), rng.normal(0.4, 0.05, 1_900)]
    rows = scored(image.tolist(), rng.normal(0.2, 0.02, 2_000).tolist())
    assert warned(threshold(image=0.6, text=0.1), FitData(rows)) == []
    (told,) = warned(threshold(image=0.8, text=0.1), FitData(rows))
    assert "'image_similarity' that are dropped have two humps" in told
    few = rows.slice(0, 50)
    assert warned(threshold(sigma=9), FitData(few)) == []
