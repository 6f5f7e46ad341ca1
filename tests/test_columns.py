from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.columns import ALIASES, FieldName, columns_of, find_column, require_column
from laion_eo.errors import DataError

LAION = {
    "laion2B-multi": ["SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH", "LICENSE", "LANGUAGE", "NSFW",
                      "similarity"],
    "joined": ["URL", "TEXT", "WIDTH", "HEIGHT", "similarity", "hash", "punsafe", "pwatermark"],
    "joined, with scores": ["URL", "TEXT", "WIDTH", "HEIGHT", "similarity", "hash", "punsafe",
                            "pwatermark", "LANGUAGE", "aesthetic"],
    "laion400m index": ["image_path", "caption", "NSFW", "similarity", "LICENSE", "url", "key",
                        "shard_id", "status", "error_message", "width", "height", "exif",
                        "original_width", "original_height"],
}  # fmt: skip
OTHERS = {
    "clip-retrieval inference": ["image_path", "caption", "url"],
    "clip-retrieval answer": ["id", "similarity", "url", "caption"],
    "img2dataset": ["caption", "url", "key", "status", "error_message", "width", "height",
                    "original_width", "original_height", "exif", "sha256"],
    "DataComp": ["uid", "url", "text", "original_width", "original_height",
                 "clip_b32_similarity_score", "face_bboxes", "sha256"],
    "DataComp's arrays": ["b32_img", "b32_txt", "l14_img", "l14_txt"],
    "ClickHouse": ["url", "caption", "NSFW", "similarity", "text_embedding", "image_embedding"],
    "SISAP": ["emb"],
    "laion-1m": ["url", "caption", "image", "img_emb"],
    "imagefolder": ["file_name", "text"],
    "ours": ["image_path", "caption", "url", "width", "height"],
    "ver-1": ["source", "url", "filename", "id", "fast_similarity", "caption", "image_similarity",
              "text_similarity", "height", "width", "lang", "lang_score"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (LAION["laion2B-multi"], {"url": "URL", "caption": "TEXT", "similarity": "similarity"}),
        (LAION["joined"], {"url": "URL", "caption": "TEXT", "similarity": "similarity"}),
        (LAION["joined, with scores"],
         {"url": "URL", "caption": "TEXT", "similarity": "similarity"}),
        (LAION["laion400m index"],
         {"url": "url", "caption": "caption", "file": "image_path", "similarity": "similarity"}),
        (OTHERS["clip-retrieval inference"],
         {"url": "url", "caption": "caption", "file": "image_path"}),
        (OTHERS["clip-retrieval answer"],
         {"url": "url", "caption": "caption", "similarity": "similarity"}),
        (OTHERS["img2dataset"], {"url": "url", "caption": "caption", "sha256": "sha256"}),
        (OTHERS["DataComp"], {"url": "url", "caption": "text", "sha256": "sha256"}),
        (OTHERS["DataComp's arrays"], {"vector": "l14_img"}),
        (OTHERS["ClickHouse"], {"url": "url", "caption": "caption", "similarity": "similarity",
                                "vector": "image_embedding"}),
        (OTHERS["SISAP"], {"vector": "emb"}),
        (OTHERS["laion-1m"], {"url": "url", "caption": "caption", "vector": "img_emb"}),
        (OTHERS["imagefolder"], {"file": "file_name", "caption": "text"}),
        (OTHERS["ours"], {"url": "url", "caption": "caption", "file": "image_path"}),
        (OTHERS["ver-1"],
         {"url": "url", "caption": "caption", "similarity": "fast_similarity"}),
    ],
    ids=[*LAION, *OTHERS],
)  # fmt: skip
def test_the_real_column_sets(columns: list[str], expected: dict[FieldName, str]) -> None:
    found = {field: find_column(field, columns) for field in ALIASES}
    assert {field: name for field, name in found.items() if name} == expected


@pytest.mark.parametrize(
    ("field", "columns", "expected"),
    [
        ("caption", ["text", "TEXT", "caption"], ["caption", "text", "TEXT"]),
        ("caption", ["TEXT", "Text"], ["TEXT", "Text"]),  # neither is as in the table: the first
        ("url", ["URL", "url"], ["url", "URL"]),
        ("url", ["urls", "final_url", "u r l"], []),
        ("file", ["image_path", "FILE_NAME", "file"], ["file", "FILE_NAME", "image_path"]),
        ("md5", ["MD5", "hash"], ["MD5"]),
        ("sha256", [], []),
    ],
)
def test_the_order_of_several_names(
    field: FieldName, columns: list[str], expected: list[str]
) -> None:
    assert columns_of(field, columns) == expected


def test_a_missing_column_is_one_clear_line() -> None:
    assert require_column("url", ["URL"], "a.parquet") == "URL"
    with pytest.raises(DataError, match=r"^a: no column 'caption' or 'text'; it has key, url\.$"):
        require_column("caption", ["key", "url"], "a")
    with pytest.raises(DataError, match=r"^a: no column 'url'; it has none\.$"):
        require_column("url", [], "a")


NAMES = st.sampled_from([name for names in ALIASES.values() for name in names] + ["key", "nsfw"])
SPELLINGS = st.sampled_from([str.lower, str.upper, str.title])
SPELT = st.builds(lambda name, spell: spell(name), NAMES, SPELLINGS)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(columns=st.lists(SPELT, max_size=12, unique=True), field=st.sampled_from(sorted(ALIASES)))
def test_what_is_found_is_there_and_best(columns: list[str], field: FieldName) -> None:
    found = columns_of(field, columns)
    aliases = ALIASES[field]
    assert sorted(found) == sorted(name for name in columns if name.lower() in aliases)
    ranks = [aliases.index(name.lower()) for name in found]
    assert ranks == sorted(ranks)
    # An upper-case copy of a column changes nothing where the column is as in the table.
    if found and found[0] == found[0].lower():
        others = [name.upper() for name in columns if name.upper() not in columns]
        assert find_column(field, others + columns) == found[0]
