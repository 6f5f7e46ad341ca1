from __future__ import annotations

from laion_eo.schema import PUBLISHED, PUBLISHED_COLUMNS


def test_the_columns_are_those_of_the_published_dataset() -> None:
    wanted = (
        "source, url, filename, id, fast_similarity, caption, image_similarity, text_similarity, "
        "height, width, lang, lang_score"
    )
    assert PUBLISHED.names == wanted.split(", ")


def test_every_column_says_what_it_means() -> None:
    assert all(column.meaning for column in PUBLISHED_COLUMNS)
