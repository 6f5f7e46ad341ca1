from __future__ import annotations

import pytest

from laion_eo.dataset.public import scrubbed


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
