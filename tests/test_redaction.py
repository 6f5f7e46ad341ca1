from __future__ import annotations

import json
import logging
from base64 import b64encode, urlsafe_b64encode
from html import escape
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.errors import LaionEOError, RunError
from laion_eo.fingerprint import fingerprint
from laion_eo.redaction import (
    forget,
    hide_causes,
    redacted,
    redacted_json,
    remember,
    without_login,
    without_secrets,
)

SECRET = "p@ss/wörd: \"q'\\ 1%"


def forms(secret: str) -> dict[str, str]:
    """The ways in which a secret turns up in texts."""
    bare = {"itself": secret, "repr": repr(secret), "json": json.dumps(secret)}
    coded = {"quoted": quote(secret), "all quoted": quote(secret, safe="")}
    coded |= {"plus": quote_plus(secret), "lower": quote(secret, safe="").lower()}
    found = {**bare, **coded, "html": escape(secret)}
    for user in ("", "a", "me", "you", "somebody"):
        pair = f"{user}:{secret}:tail".encode()
        found[f"basic {user}"] = b64encode(pair).decode()
        found[f"urlsafe {user}"] = urlsafe_b64encode(pair).decode()
    return found


@pytest.mark.parametrize("form", forms(SECRET))
def test_a_secret_is_left_out_in_every_form(form: str) -> None:
    remember(SECRET)
    text = forms(SECRET)[form]
    plain = without_secrets(f"before {text} after")
    assert "***" in plain
    assert plain.startswith("before ")
    assert plain.endswith(" after")
    for piece in ("p@ss", "p%40ss", "wörd", "w%C3%B6rd", b64encode(b"p@ss/w").decode()[:6]):
        assert piece.lower() not in plain.lower()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30))
def test_any_secret_of_six_characters(secret: str) -> None:
    forget()
    remember(secret)
    for text in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert without_secrets(f"<{text}>") == "<***>"
    assert without_secrets(b64encode(secret.encode()).decode()).startswith("***")


def test_short_values_are_not_searched_for() -> None:
    remember("short")
    assert without_secrets("a short text") == "a short text"
    remember("")
    assert without_secrets("") == ""


def test_of_a_url_its_password_and_its_keys_are_secrets_too() -> None:
    remember("https://me:hunter2%21@knn.example/a?sig=SIG-123456&page=234567")
    for text in ("hunter2!", "hunter2%21", b64encode(b"me:hunter2!").decode(), "SIG-123456"):
        assert text not in without_secrets(f"got {text} there")
    assert without_secrets("knn.example 234567 me") == "knn.example 234567 me"
    remember("https://ghp_123456@example.org/")  # a token in place of a name
    assert without_secrets("as ghp_123456") == "as ***"
    remember("http://[broken:pass@/")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("https://u:p@h/x", "https://***@h/x"),
        ("s3://KEY:SE+CRET@bucket/pool: no", "s3://***@bucket/pool: no"),
        ("simplecache::https://u:p@w@h/x", "simplecache::https://***@h/x"),
        ("https://h/x?X-Amz-Signature=ab&page=2", "https://h/x?X-Amz-Signature=***&page=2"),
        ("'https://h/x?sig=a%2Bb'", "'https://h/x?sig=***'"),
        ("hf://datasets/a@main/b and me@example.org", "hf://datasets/a@main/b and me@example.org"),
        ("sftp://me@host/x", "sftp://me@host/x"),
    ],
)  # fmt: skip
def test_passwords_of_urls_are_left_out_unremembered(text: str, plain: str) -> None:
    assert redacted(text) == plain


def test_a_login() -> None:
    assert without_login("https://u:p@h/x@y") == "https://h/x@y"
    assert without_login("http://h/") == "http://h/"


def test_our_errors_hold_no_secret() -> None:
    remember("hunter2!")
    error = RunError("no answer for hunter2!")
    assert str(error) == "no answer for ***"
    assert "hunter2!" not in repr(error)
    assert LaionEOError(7).args == (7,)


def test_the_causes_of_an_error_are_kept_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    remember("hunter2!")

    def fail(text: str) -> RunError:
        with pytest.raises(RunError) as caught:
            try:
                raise ValueError(text)
            except ValueError as error:
                raise RunError("no answer") from error
        hide_causes(caught.value)
        return caught.value

    harmless = fail("harmless")
    assert isinstance(harmless.__cause__, ValueError)
    hidden = fail("it was hunter2!")
    assert hidden.__cause__ is None
    assert "ValueError: it was ***" in hidden.__notes__[0]
    logging.getLogger("x").error("failed", exc_info=hidden)
    assert "hunter2!" not in caplog.text
    assert "ValueError: it was ***" in caplog.text


class _Odd:
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_no_log_record_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    remember("hunter2!")
    logger = logging.getLogger("a.library")
    logger.debug("sent %s to %r", "hunter2!", {"key": "hunter2!"})
    logger.debug("as %(name)s", {"name": b64encode(b"me:hunter2!")})
    logger.debug("https://u:p@h/")
    logger.debug("%s %s hunter2!", _Odd(), "hunter2!")
    try:
        raise ValueError("hunter2!")
    except ValueError:
        logger.exception("failed")
    assert "hunter2!" not in caplog.text
    assert [record.getMessage() for record in caplog.records] == [
        "sent *** to {'key': '***'}",
        "as b'bWU6***E='",
        "https://***@h/",
        "%s %s ***",
        "failed",
    ]
    assert "ValueError: ***" in caplog.text
    logger.debug("as it is: %d", 7)
    assert caplog.records[-1].args == (7,)


def test_a_fingerprint_does_not_change_with_a_secret() -> None:
    found = set()
    for secret in ("hunter2!", "hunter3!"):
        forget()
        remember(secret)
        found.add(fingerprint({"url": f"https://h/?sig={secret}"}))
    assert len(found) == 1


def test_json_without_secrets() -> None:
    remember("hunter2!")
    value = {"a": ["hunter2!", 1, None], "hunter2!": {"b": True}}
    assert redacted_json(value) == {"a": ["***", 1, None], "***": {"b": True}}
