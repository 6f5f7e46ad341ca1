from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.builtin.filters.similarity_threshold import SimilarityThreshold
from laion_eo.component import Context
from laion_eo.kinds import FitData


def scored(image: list[float], text: list[float]) -> pa.Table:
    return pa.table({"image_similarity": image, "text_similarity": text})


def threshold(**options: float) -> SimilarityThreshold:
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
