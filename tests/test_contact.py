from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.contact import (
    MAX_CONTACT,
    VARIABLE,
    check_contact,
    config_file,
    keep_contact,
    known_contact,
)
from laion_eo.errors import ConfigError

MAIL = "someone@example.org"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        MAIL,
        f"mailto:{MAIL}",
        "https://example.org/who",
        "http://example.org",
        "a.b+c@x.example.org",
    ],
)
def test_an_address_or_a_page_is_a_contact(text: str) -> None:
    assert check_contact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "me", "me@", "@example.org", "me@host", "me@127.0.0.1", "example.org", "ftp://x.org/",
        "javascript:alert(1)", "http://localhost/", "http://127.0.0.1/", "http://0x7f.1/",
        "http://[v1.x]/", "http://[::1]/", "https://me:secret@example.org/", "https:///a",
        f"{MAIL}\n", f"{MAIL}\r\nX-Evil: 1", f"{MAIL}\x00", f"a {MAIL}", "mé@example.org",
        "me@exämple.org", f"<{MAIL}>", f"({MAIL})", f"{MAIL}; x", "https://example.org/)",
        "{contact}",
        f"{'a' * MAX_CONTACT}@example.org", f"{MAIL},{MAIL}", "http://me.invalid/",
    ],
)  # fmt: skip
def test_what_nobody_could_use_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        check_contact(text)


@settings(deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=40), st.text(max_size=20).map(f"{MAIL}{{}}".format)))
def test_a_contact_fits_into_a_header(text: str) -> None:
    try:
        contact = check_contact(text)
    except ValueError:
        return
    assert contact.isascii()
    assert contact.isprintable()
    assert not set(' ()\\<>"{}') & set(contact)


def test_without_one_there_is_none() -> None:
    assert known_contact() == ""


def test_the_environment_counts_before_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_contact("kept@example.org")
    assert known_contact() == "kept@example.org"
    monkeypatch.setenv(VARIABLE, f" {MAIL} ")
    assert known_contact() == MAIL


def test_keeping_one_leaves_the_rest_of_the_file(home: Path) -> None:
    file = config_file()
    file.parent.mkdir(parents=True)
    (home / "dotfiles").mkdir()
    (home / "dotfiles" / "x.toml").write_text('theme = "dark"\ncontact = "old@example.org"\n')
    file.symlink_to(home / "dotfiles" / "x.toml")
    assert keep_contact(MAIL) == file
    assert file.is_symlink()
    assert file.read_text() == f'theme = "dark"\ncontact = "{MAIL}"\n'
    assert [path.name for path in (home / "dotfiles").iterdir()] == [
        "x.toml"
    ]  # nothing is left of writing it aside


def test_no_contact_is_never_kept() -> None:
    with pytest.raises(ValueError):
        keep_contact("me")
    assert not config_file().exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"contact = 3", "a string was expected"),
        (b'contact = "me"', "an e-mail address or a public http"),
        (b"contact =", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
    ],
)
def test_a_file_that_is_wrong_is_named_and_left_alone(content: bytes, fault: str) -> None:
    file = config_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=fault) as caught:
        known_contact()
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    if "TOML" in fault:
        with pytest.raises(ConfigError):
            keep_contact(MAIL)
        assert file.read_bytes() == content


def test_a_file_that_cannot_be_read_is_named() -> None:
    config_file().mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"config\.toml: cannot be read"):
        known_contact()


def test_the_environment_may_be_wrong_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "me")
    with pytest.raises(ConfigError, match=f"{VARIABLE}: contact"):
        known_contact()


def test_what_is_kept_is_the_user_s_own() -> None:
    keep_contact(MAIL)
    assert not config_file().stat().st_mode & stat.S_IWOTH
