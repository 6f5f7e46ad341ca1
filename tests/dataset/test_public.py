from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.dataset.public import scrubbed
from laion_eo.types import JSON


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/alice/data/pool", "…/pool"),
        ("~/data/pool/", "…/pool"),
        ("../../alice/pool", "…/pool"),
        ("C:\\Users\\alice\\pool", "…/pool"),
        ("file:///home/alice/pool.parquet", "…/pool.parquet"),
        ("open_clip:ViT-B-32//home/alice/b32.pt", "open_clip:ViT-B-32…/b32.pt"),
        ("--weights=/home/alice/my models/x.pt", "--weights=…/x.pt"),
        ("https://me:pw@host.org/knn?token=x#y", "https://host.org/knn"),
        ("https://me:p@w@host.org/knn?mail=a@b.c", "https://host.org/knn"),
        ("https://host.org/a?b /home/alice/x.pt", "https://host.org/a …/x.pt"),
        ("/home/alice/x.pt https://host.org/a#b", "…/x.pt https://host.org/a"),
        ("https://host.org:8080/a/b", "https://host.org:8080/a/b"),
        ("/home/O'Brien, J; x/pool", "…/pool"),
        ('["/home/alice/a", "/home/bob/b"]', '["…/b"]'),
        ("laion/CLIP-ViT-B", "laion/CLIP-ViT-B"),
        ("a satellite and/or aerial image", "a satellite and/or aerial image"),
    ],
)
def test_paths_and_urls(text: str, public: str) -> None:
    assert scrubbed(text) == public
    assert scrubbed({"x": [text]}) == {"x": [public]}


def test_secrets_by_the_name_of_their_key() -> None:
    data = {"hf_token": "x", "api-key": "x", "password": "x", "tokens": ["x"], "tokenizer": "t"}
    hidden = "(hidden)"
    assert scrubbed(data) == {
        "hf_token": hidden,
        "api-key": hidden,
        "password": hidden,
        "tokens": [hidden],
        "tokenizer": "t",
    }
    assert scrubbed({"HF_TOKEN": "x", "Authorization": "x"}) == {
        "HF_TOKEN": hidden,
        "Authorization": hidden,
    }
    assert scrubbed({"token": {"env": "NAME"}, "k": 3}) == {"token": {"env": "NAME"}, "k": 3}
    assert scrubbed({"hf_token": {"value": "x"}}) == {"hf_token": {"value": hidden}}
    assert scrubbed({"token": {"env": "NAME", "default": "x"}}) == {
        "token": {"env": hidden, "default": hidden}
    }


MARK = "Wq7"
"""In every secret and in every folder's name below; nothing else has it."""
ODD = st.text(st.characters(codec="utf-8", exclude_characters="/\\\n"), max_size=6)
FOLDER = st.builds(lambda before, after: f"{before}{MARK}{after}", ODD, ODD)
SECRET_KEYS = st.builds(
    lambda before, word, after: f"{before}{word}{after}",
    st.sampled_from(["", "hf_", "HF-", "my_api_"]),
    st.sampled_from(
        ["token", "Token", "secret", "PASSWORD", "passwd", "pwd", "passphrase", "api_key", "apiKey",
         "access-key", "private_key", "credentials", "Authorization", "auth", "cookies", "bearer"]
    ),
    st.sampled_from(["", "_2", "-file"]),
) | st.sampled_from(["accessToken", "authToken", "clientSecret", "dbPassword"])  # fmt: skip
KEYS = st.sampled_from(["root", "url", "use", "tokenizer", "k", "compass", "author"])


def nested(leaves: st.SearchStrategy[JSON]) -> st.SearchStrategy[JSON]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=4,
    )


@given(SECRET_KEYS, nested(st.just(MARK) | ODD.map(lambda text: f"{text}{MARK}")))
def test_no_secret_survives_under_its_key(key: str, secret: JSON) -> None:
    assert MARK not in json.dumps(scrubbed({"a": [{key: secret}], key: secret}))


@given(
    st.sampled_from(["", "a ", "--weights=", "model: ", "('", '["', "x,", "open_clip:b/"]),
    st.sampled_from(["/", "//", "~/", "~bob/", "../", "../../", "C:/", "file:///", "/./", "/ /"]),
    st.lists(FOLDER, min_size=1, max_size=3),
    st.sampled_from(["", " and more", "')", " https://example.org/a?b", "\n/b/c", "\nnext"]),
)
def test_no_folder_survives(before: str, root: str, folders: list[str], after: str) -> None:
    path = f"{before}{root}{'/'.join(folders)}/x.pt{after}"
    for text in (path, path.replace("/", "\\")):
        assert MARK not in json.dumps(scrubbed({"a": [text]}))


@given(
    st.sampled_from(["http", "https", "s3", "HF"]),
    st.sampled_from([f"me:{MARK}@", f"{MARK}@", f":{MARK}@", f"a@{MARK}@", ""]),
    st.sampled_from(["", f"?key={MARK}", f"#{MARK}", f"?a=/x/{MARK}#b", f"?{MARK}://x"]),
)
def test_no_secret_of_a_url_survives(scheme: str, user: str, query: str) -> None:
    shown = scrubbed(f"see {scheme}://{user}example.org/a/b.jpg{query} there")
    assert shown == f"see {scheme}://example.org/a/b.jpg there"


@given(nested(st.one_of(st.integers(), st.booleans(), st.none(), st.text("abc ,.-_'", max_size=8))))
def test_what_is_harmless_stays(value: JSON) -> None:
    assert scrubbed(value) == value
