from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from robots_cases import CASES, Case, counted, differences

from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.robots import LIMIT, WILDCARDS, parse_robots

PAGE = Path(__file__).resolve().parents[4] / "docs" / "politeness.md"
US = "laion-eo"


def allows(content: bytes | str, path: str, token: str = US) -> bool:
    return parse_robots(content, token).can_fetch(f"http://reeds.example{path}", token)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_google_s_answers_and_ours(case: Case) -> None:
    for asked, google in case.google.items():
        assert (case.ours(asked) is google) is (asked not in case.differs), asked


def test_there_are_all_of_google_s_and_every_name_is_its_own() -> None:
    assert sum(len(case.google) for case in CASES if case.published) >= 180
    assert len({case.about for case in CASES}) == len(CASES)
    assert all(set(case.differs) <= set(case.google) for case in CASES)


def test_the_page_lists_every_difference_and_no_other() -> None:
    text = PAGE.read_text("utf-8")
    listed = text.partition("| robots.txt | asked |")[2].splitlines()[2:]
    rows = listed[: listed.index("")] if "" in listed else listed
    assert rows == list(differences())
    assert counted() in text


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("Heronbot", True), ("Heronbot-Grey", True), ("Heron_Bot", True), ("", False),
        ("鷺", False), ("Heronbot*", False), (" Heronbot ", False), ("Heronbot/2.1", False),
        ("Heronbot Grey", False),
    ],
)  # fmt: skip
def test_which_names_a_robot_may_have(name: str, valid: bool) -> None:
    """Google's list of them; ours is cut at the first character that no name has."""
    try:
        token = HttpOptions(user_agent=name).token
    except ValidationError:
        assert not valid
        return
    assert (token == name.lower()) is valid
    assert not allows(f"User-agent: {name}\nDisallow: /", "/", token)


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (("User-agent: *", "Crawl-delay: 3"), 3.0),
        (("User-agent: laion-eo/9", "Crawl-delay: 0.5", "User-agent: *", "Crawl-delay: 3"), 3.0),
        (("User-agent: laion-eo", "Crawl-delay: 5", "User-agent: ibis", "Disallow: /a"), 5.0),
        (("User-agent: ibis", "Crawl-delay: 5", "User-agent: laion-eo", "Disallow: /a"), 5.0),
        (("User-agent: ibis", "Crawl-delay: 5", "Disallow: /", "User-agent: laion-eo"), 0.0),
        (("User-agent: laion", "Crawl-delay: 5"), 0.0),
        (("User-agent: *", "Disallow:", "Crawl-delay: 9", "User-agent: laion-eo", "Allow: /"), 0.0),
        (("User-agent: laion-eo", "Disallow:", "Crawl-delay: 2", "", "User-agent: laion-eo",
          "Crawl-delay: 7"), 7.0),
        (("Crawl-delay: 5", "User-agent: *"), 0.0),
        (("User-agent: *", "crawl delay 4"), 4.0),
        *((("User-agent: *", f"Crawl-delay: {text}"), 0.0)
          for text in ("nan", "inf", "-1", "1e999", "ten", "", "0x5", "5 s")),
    ],
)  # fmt: skip
def test_the_delay_is_the_group_s(lines: Sequence[str], seconds: float) -> None:
    robots = parse_robots("\n".join(lines), US)
    assert robots.crawl_delay(US) == seconds


def test_more_wildcards_than_anybody_needs_close_the_site() -> None:
    rules = [f"Allow: /*{n}\n" for n in range(WILDCARDS + 1)]
    start = "User-agent: *\nDisallow: /no\n"
    assert allows(start + "".join(rules[:-1]), "/yes")
    assert allows(start + "".join(rules[:-1] * 3), "/yes")  # each counts once
    assert not allows(start + "".join(rules), "/yes")
    assert allows(start + "".join(rules).replace("*", ""), "/yes")  # others cost next to nothing
    assert allows("User-agent: ibis\n" + "".join(rules), "/yes")  # nor do those of other robots


@pytest.mark.parametrize(
    ("last", "allowed"),
    [
        (b"Disallow: /late-and-long", False),
        (b"Allow: /late-and-long", False),
        (b"User-agent: laion-eo-images", False),
    ],
)
def test_half_a_line_opens_nothing(last: bytes, allowed: bool) -> None:
    """Where the limit cuts through a rule, or through a name that would be ours then."""
    for kept in range(1, len(last)):
        start = b"User-agent: *\nDisallow: /late\nDisallow: /no\n"
        body = start + b"#" * (LIMIT - len(start) - 1 - kept) + b"\n" + last + b"\nAllow: /\n"
        assert not allows(body, "/no")
        assert allows(body, "/late") is allowed


def test_a_line_longer_than_all_that_is_read_still_counts() -> None:
    assert not allows(b"User-agent: *\nDisallow: /" + b" " * LIMIT, "/a")
    assert not allows(b"User-agent: *\nDisallow: / #" + b"x" * LIMIT + b"\nAllow: /", "/a")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.tuples(
                st.sampled_from([b"User-agent", b"allow", b"DISALLOW", b"Crawl-delay", b"x", b""]),
                st.sampled_from([b":", b" ", b" : ", b"", b"\t", b"::"]),
                st.one_of(st.binary(max_size=12), st.sampled_from([b"*", b"laion-eo", b"/", b"$"])),
                st.sampled_from([b"\n", b"\r", b"\r\n", b"\x85", b"\0", b"#", b""]),
            ).map(b"".join),
            max_size=12,
        ).map(b"".join),
    ),
    st.text(max_size=20),
)
def test_any_bytes_are_a_robots_txt(body: bytes, path: str) -> None:
    robots = parse_robots(body, US)
    delay = robots.crawl_delay(US)
    assert delay is not None
    assert 0.0 <= delay < float("inf")
    assert robots.can_fetch("http://reeds.example/" + path.lstrip("/"), US) in (True, False)


AGENTS = st.sampled_from(["*", US, f"{US}/2.1", f"{US} x", "LAION-EO", "laion", f"{US}x", "ibis"])
RULES = st.tuples(
    st.sampled_from(["Allow", "Disallow"]),
    st.sampled_from(["", "/", "/a", "/a/b", "/b", "/*b", "/a$"]),
)
GROUPS = st.lists(
    st.tuples(st.lists(AGENTS, min_size=1, max_size=3), st.lists(RULES, min_size=1, max_size=4)),
    max_size=5,
)
Groups = list[tuple[list[str], list[tuple[str, str]]]]
PATHS = ("/", "/a", "/a/b", "/b", "/c")


def written(groups: Groups, between: str = "", end: str = "\n") -> str:
    """Write groups as a file, with a line between any two of a group's names."""
    lines = []
    for agents, rules in groups:
        for agent in agents:
            lines += [f"User-agent: {agent}", between]
        lines += [f"{name}: {path}" for name, path in rules]
    return end.join(lines)


def expected(groups: Groups, path: str) -> bool:
    """Say it as RFC 9309 does: our groups or those for all, the longest match, allow if equal."""
    ours = {US, f"{US}/2.1", f"{US} x", "LAION-EO"}
    meant = [rules for agents, rules in groups if ours & set(agents)]
    meant = meant or [rules for agents, rules in groups if "*" in agents]
    hits = {
        "/": True, "/a": path.startswith("/a"), "/a/b": path == "/a/b", "/b": path == "/b",
        "/*b": path.endswith("b"), "/a$": path == "/a", "": False,
    }  # fmt: skip
    best = max(
        ((len(p), name == "Allow") for rules in meant for name, p in rules if hits[p]),
        default=(0, True),
    )
    return best[1]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(GROUPS, st.sampled_from(["", "Crawl-delay: 1", "Sitemap: http://x/", "Noindex: /", "?"]))
def test_groups_are_chosen_and_merged_as_rfc_9309_says(groups: Groups, between: str) -> None:
    texts = [written(groups, between, end) for end in ("\n", "\r\n", "\r")]
    for path in PATHS:
        assert {allows(text, path) for text in texts} == {expected(groups, path)}, path


@settings(deadline=None, derandomize=True)
@given(GROUPS, GROUPS)
def test_what_others_are_told_changes_nothing(groups: Groups, more: Groups) -> None:
    """protego alone takes their names for ours: any prefix of it."""
    theirs = [(["laion", "laion-e", "Ibis/2"], rules) for _, rules in more]
    for path in PATHS:
        plain = allows(written(groups), path)
        assert allows(written(theirs + groups), path) is plain
        assert allows(written(groups) + "\n" + written(theirs), path) is plain
