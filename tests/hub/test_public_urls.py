from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.hub.public_urls import LONGEST_SHOWN, UrlFault, fault_of_url, shown

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
ORDINARY = [
    "https://example.org/a.jpg",
    "HTTP://Example.ORG:8080/a b.jpg?w=300&h=200&fit=crop#top",
    "http://8.8.8.8/a.jpg",
    "http://134744072/a.jpg",
    "http://[2606:4700:4700::1111]/a.jpg",
    "https://münchen.example.org/ü.jpg?q=größe",
    "https://例え.テスト.example.org/a.jpg",
    "https://cdn.example.org//img@2x.jpg",
    "https://blog.example.org/@someone/picture.jpg",
    "https://web.archive.org/web/2010/http://example.org/a.jpg",
    "https://example.org/resize?url=https%3A%2F%2Fexample.com%2Fa.jpg&key=12",
    "https://example.org/a.jpg?key=picture-of-a-river&code=en-GB",
    "https://example.org/a.jpg?token=&sig=0&password=none",
    "https://example.org/a.jpg?v=1476875623&hash=4f3c2e1d0b9a88776655443322110000",
    "https://example.org/a.jpg?tokenized=yes&monkey=business&design=12",
    "https://images.example.org/eyJidWNrZXQiOiJwaWN0dXJlcyIsImtleSI6ImEuanBnIn0=",
    "https://example.org/token/of-a-museum/a.jpg",
    "https://example.org/signature/IMG_20200101.jpg",
    "https://example.org/sk-a-long-name-of-a-product-in-slovak.jpg",
    "https://media.example.org/p.jpg?k=6&amp;m=90759&amp;s=612x612&amp;h=4CTvSxNvv4sxSCPxViryha4kA=",
]
SECRETS = [
    "https://example.org/a.jpg?token=sEcReT",
    "https://example.org/a.jpg?access_token=sEcReT",
    "https://example.org/a.jpg?w=1&amp;Api-Key=sEcReT",
    "https://example.org/a.jpg?APIKEY=sEcReT#top",
    "https://example.org/a.jpg?%74oken=sEcReT",
    "https://example.org/a.jpg?%2574oken=sEcReT",
    "https://example.org/a.jpg?ｔｏｋｅｎ=sEcReT",
    "https://example.org/a.jpg?user[password]=sEcReT",
    "https://example.org/a.jpg#access_token=sEcReT",
    "https://example.org/a.jpg;jsessionid=sEcReT?x=1",
    "https://example.org/a.jpg?PHPSESSID=sEcReT",
    "https://example.org/a.jpg?ASPSESSIONIDABCD=sEcReT",
    "https://example.org/a.jpg?X-Amz-Credential=sEcReT%2F2023&X-Amz-Date=1",
    "https://example.org/a.jpg?x-amz-security-token=sEcReT",
    "https://example.org/a.jpg?X-Goog-Signature=sEcReT",
    "https://example.org/a.jpg?AWSAccessKeyId=sEcReT&Expires=1",
    "https://a.blob.core.windows.net/c/a.jpg?sv=2021&sp=r&sig=sEcReT%3D",
    "https://example.org/a.jpg?Policy=1&Key-Pair-Id=sEcReT",
    "https://example.org/a.jpg?a=1;secret=sEcReT",
    "https://example.org/token=sEcReT/a.jpg",
    "https://example.org/fetch?url=https%3A%2F%2Fx.example.com%2Fa.jpg%3Ftoken%3DsEcReT",
    'https://example.org/a.jpg?q={"access_token":"sEcReT"}',
    "https://example.org/a.jpg?q=%7B%22password%22%3A%22sEcReT%22%7D",
    "https://example.org/a.jpg?key=sEcReT0123456789abcdefgh",
    "https://maps.example.org/static?center=1,2&key=AIzasEcReT0123456789sEcReT0123456789abc",
    "https://example.org/file/bot123456:sEcReT/a.jpg",
    "https://example.org/hf_sEcReTsEcReTsEcReTsEcReT/a.jpg",
    "https://example.org/v1/access_token/sEcReT0123456789/a.jpg",
    "https://example.org/a.jpg?hdnts=exp=1~hmac=sEcReT",
    "https://example.org/a.jpg?x=ghp_sEcReT0123456789sEcReT0123456789",
    f"https://example.org/{JWT}/a.jpg",
    f"https://example.org/a.jpg?x={JWT}",
    "https://example.org/a.jpg?&#116;oken=sEcReT",
]
PASSWORDS = [
    "https://user:sEcReT@example.org/a.jpg",
    "https://sEcReT@example.org/a.jpg",
    "https://user:sEc%40ReT@example.org/a.jpg",
    "https://@example.org/a.jpg",
    "https://example.org\\@127.0.0.1/a.jpg",
    "https://example.org/?url=ftp://user:sEcReT@example.com/a.jpg",
    "https://example.org/?url=ftp%3A%2F%2Fuser%3AsEcReT%40example.com%2Fa.jpg",
]
PRIVATE = [
    "http://127.0.0.1/a.jpg",
    "http://127.1/a.jpg",
    "http://0x7f000001/a.jpg",
    "http://017700000001/a.jpg",
    "http://2130706433/a.jpg",
    "http://0/a.jpg",
    "http://10.0.0.8/a.jpg",
    "http://172.16.3.4:8000/a.jpg",
    "http://192.168.1.1/a.jpg",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/a.jpg",
    "http://224.0.0.1/a.jpg",
    "http://[::1]/a.jpg",
    "http://[::]/a.jpg",
    "http://[::ffff:127.0.0.1]/a.jpg",
    "http://[::ffff:7f00:1]/a.jpg",
    "http://[64:ff9b::10.0.0.1]/a.jpg",
    "http://[2002:7f00:1::]/a.jpg",
    "http://[fe80::1]/a.jpg",
    "http://[fd00::1]/a.jpg",
    "http://localhost/a.jpg",
    "http://LOCALHOST.:80/a.jpg",
    "http://nas/a.jpg",
    "http://a.localhost/a.jpg",
    "http://printer.local/a.jpg",
    "http://metadata.google.internal/a.jpg",
    "http://localhost.localdomain/a.jpg",
    "http://site.corp/a.jpg",
    "http://１２７.0.0.1/a.jpg",
    "http://127。0。0。1/a.jpg",
    "http://ⓛocalhost/a.jpg",
]
UNREADABLE = [
    "UNLIKELY",
    "www.example.org/a.jpg",
    "http:///a.jpg",
    "http:/example.org/a.jpg",
    "http:example.org/a.jpg",
    " https://example.org/a.jpg",
    "https://[v1.evil:x]/a.jpg",
    "https://[fe80::1%25eth0]/a.jpg",
    "https://[::1/a.jpg",
    "https://exa mple.org/a.jpg",
    "https://%31%32%37.0.0.1/a.jpg",
    "https://example.org:port/a.jpg",
    "https://example.org:99999/a.jpg",
    "https://256.1.1.1/a.jpg",
    "https://exam\nple.org/a.jpg",
    "https://example.org/a\r\nb.jpg",
    "https://example.org/%2525252525252541.jpg",
    "https://user:sEc/ReT@example.org/a.jpg",
]
SCHEMES = [
    "file:///home/someone/a.jpg",
    "file://server/share/a.jpg",
    "FILE:/etc/passwd",
    "ftp://example.org/a.jpg",
    "data:image/png;base64,sEcReT",
    "javascript:alert(1)",
    "blob:https://example.org/1",
    "//example.org/a.jpg",
    "s3://bucket/a.jpg",
    "C:/pictures/a.jpg",
]
FAULTS: dict[UrlFault, Sequence[str | None]] = {
    UrlFault.KEY: SECRETS,
    UrlFault.USER: PASSWORDS,
    UrlFault.PRIVATE: PRIVATE,
    UrlFault.UNREADABLE: [*UNREADABLE, "//example.org/a.jpg"],
    UrlFault.SCHEME: [url for url in SCHEMES if not url.startswith("//")],
    UrlFault.MISSING: [None, "", " \t"],
}


@pytest.mark.parametrize("url", ORDINARY)
def test_an_ordinary_url_may_be_published(url: str) -> None:
    assert fault_of_url(url) is None
    assert shown(url) == (url if len(url) <= LONGEST_SHOWN else f"{url[: LONGEST_SHOWN - 1]}…")


@pytest.mark.parametrize(
    ("fault", "url"), [(fault, url) for fault, urls in FAULTS.items() for url in urls]
)
def test_what_may_not(fault: UrlFault, url: str | None) -> None:
    assert fault_of_url(url) is fault


@pytest.mark.parametrize("url", [*SECRETS, *PASSWORDS, *UNREADABLE, *SCHEMES, *PRIVATE])
def test_no_secret_is_shown(url: str) -> None:
    said = shown(url)
    assert "sEc" not in said
    assert "ReT" not in said
    assert JWT not in said
    assert said.isprintable()
    assert len(said) <= LONGEST_SHOWN


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://me:pw@example.org/a.jpg?w=1", "https://***@example.org/a.jpg?w=1"),
        (
            "https://example.org/a.jpg?w=1&token=abc&h=2",
            "https://example.org/a.jpg?w=1&token=***&h=2",
        ),
        ("https://example.org/abcdefg/a.jpg?sig=abcdefg", "https://example.org/***/a.jpg?sig=***"),
        ("https://example.org/a?u=b%3Ftoken%3Dabc", "https://example.org/***"),
        ("http://me:pw@10.0.0.1/a.jpg", "http://***@10.0.0.1/a.jpg"),
        ("http://me:p/w@10.0.0.1/a.jpg", "http://***"),
        ("data:image/png;base64,AAAA", "data:***"),
        ("UNLIKELY", "UNLIKELY"),
        (None, "(none)"),
    ],
)
def test_what_is_shown(url: str | None, said: str) -> None:
    assert shown(url) == said


@given(st.text(), st.sampled_from(["", "http://", "https://example.org/", "https://a:b@c.org/"]))
def test_any_text_is_judged_and_shown_in_one_line(text: str, start: str) -> None:
    fault_of_url(start + text)
    assert shown(start + text).isprintable()


@given(st.text("abcXYZ019_-%/?&;=#@:.", min_size=1))
def test_what_is_shown_of_a_token_holds_none(text: str) -> None:
    """Whatever stands around it."""
    said = shown(f"https://example.org/{text}?token=sEcReTsEcReT&{text}")
    assert "sEcReTsEcReT" not in said
