"""What Google's published tests of robots.txt settle, in cases of our own, and where we differ."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.builtin.downloaders.http.robots import parse_robots

TOKEN = "laion-eo"
CLOSED = "disallow: /\n"


def allowed(text: str, path: str, token: str = TOKEN) -> bool:
    return parse_robots(text, token).can_fetch(f"https://pictures.example{path}", token)


@pytest.mark.parametrize(
    ("agent", "ours"),
    [
        ("laion-eo", True),
        ("LAION-EO", True),
        ("laion-eo/2.1", True),
        ("laion-eo Foo", True),
        ("laion-eo*", True),
        ("laion-eo (+https://example.org)", True),
        ("*", True),
        ("* and all others", True),
        ("laion", False),
        ("laion-e", False),
        ("laion-eoX", False),
        ("laion-eo-2", False),
        ("my laion-eo", False),
        ("mylaion-eo", False),
        ("*laion-eo", False),
        ("2laion-eo", False),
        ("", False),
        ("img2dataset", False),
    ],
)
def test_whom_a_user_agent_line_means(agent: str, ours: bool) -> None:
    assert allowed(f"user-agent: {agent}\n{CLOSED}", "/a.jpg") is not ours


GROUPS = """\
user-agent: laion-eo
disallow: /
allow: /maps/
user-agent: Spider
disallow: /
allow: /birds/


allow: /trees/
user-agent: Crawler

user-agent: laion-eo
allow: /rivers/
disallow: /
"""


@pytest.mark.parametrize(
    ("token", "open_paths"),
    [("laion-eo", "/maps/ /rivers/"), ("spider", "/birds/ /trees/"), ("crawler", "/rivers/")],
)
def test_groups_of_one_name_are_merged(token: str, open_paths: str) -> None:
    paths = ("/maps/", "/birds/", "/trees/", "/rivers/", "/else")
    assert [path for path in paths if allowed(GROUPS, f"{path}", token)] == open_paths.split()


@pytest.mark.parametrize(
    "between",
    ["Crawl-delay: 5", "Sitemap: https://x.example/s.xml", "Noindex: /x", "Host: x", "", "# note",
     "a line without meaning", "Request-rate: 1/5"],
)  # fmt: skip
def test_only_a_rule_ends_the_names_of_a_group(between: str) -> None:
    text = f"User-agent: laion-eo\n{between}\nUser-agent: Other\nDisallow: /\n"
    assert not allowed(text, "/a.jpg")
    assert not allowed(text, "/a.jpg", "other")
    assert allowed(text, "/a.jpg", "third")


def test_a_delay_between_two_names_is_for_both() -> None:
    text = "User-agent: laion-eo\nCrawl-delay: 5\nUser-agent: other\nDisallow: /a\n"
    assert parse_robots(text, TOKEN).crawl_delay(TOKEN) == 5.0
    assert parse_robots(text, "other").crawl_delay("other") == 5.0


@pytest.mark.parametrize(
    ("text", "path", "answer"),
    [
        ("", "/a", True),
        ("disallow: /\n", "/a", True),  # no group: for nobody
        ("user-agent: laion-eo\n", "/a", True),
        ("name: laion-eo\nno: /\n", "/a", True),
        ("user-agent laion-eo\ndisallow /\n", "/a", False),  # colons forgotten
        ("USER-AGENT: laion-eo\nDISALLOW: /\n", "/a", False),
        ("\ufeffuser-agent: laion-eo\ndisallow: /\n".lstrip("\ufeff"), "/a", False),
        ("user-agent: laion-eo\r\ndisallow: /\r\n", "/a", False),
        ("user-agent: laion-eo\rdisallow: /\r", "/a", False),
        ("user-agent: *\ndisallow: /\nuser-agent: laion-eo\ndisallow: /x\n", "/a", True),
        ("user-agent: laion-eo\nuser-agent: *\ndisallow: /\n", "/a", False),
        ("user-agent: laion-eo\n\nuser-agent: *\ndisallow: /\n", "/a", False),
        ("user-agent: laion-eo\ndisallow:\nuser-agent: *\ndisallow: /\n", "/a", True),
        # Paths keep their case.
        ("user-agent: laion-eo\ndisallow: /Maps/\n", "/maps/x", True),
        ("user-agent: laion-eo\ndisallow: /Maps/\n", "/Maps/x", False),
        # The longest rule counts; of two of one length, the one that allows.
        ("user-agent: laion-eo\ndisallow: /maps/a.jpg\nallow: /maps/\n", "/maps/a.jpg", False),
        ("user-agent: laion-eo\nallow: /maps/a.jpg\ndisallow: /maps/\n", "/maps/a.jpg", True),
        ("user-agent: laion-eo\ndisallow: /maps\nallow: /maps\n", "/maps", True),
        ("user-agent: laion-eo\ndisallow:\nallow:\n", "/a", True),
        ("user-agent: laion-eo\ndisallow: /\nallow: /\n", "/a", True),
        ("user-agent: laion-eo\ndisallow: /x/\nallow: /x\n", "/x/y", False),
        ("user-agent: laion-eo\nallow: /page\ndisallow: /*.html\n", "/page.html", False),
        ("user-agent: laion-eo\nallow: /$\ndisallow: /\n", "/", True),
        ("user-agent: laion-eo\nallow: /$\ndisallow: /\n", "/page.htm", False),
        # An index page is its folder.
        ("user-agent: laion-eo\nallow: /maps/index.html\ndisallow: /\n", "/maps/", True),
        # Wildcards, the end, and what begins a comment.
        ("user-agent: laion-eo\ndisallow: /a/b*d\n", "/a/bcd", False),
        ("user-agent: laion-eo\ndisallow: /a/b*d\n", "/a/bc", True),
        ("user-agent: laion-eo\ndisallow: /a$\n", "/a", False),
        ("user-agent: laion-eo\ndisallow: /a$\n", "/a/b", True),
        ("user-agent: laion-eo\ndisallow: /a # not /b\n", "/a/x", False),
        ("user-agent: laion-eo # we\ndisallow: /\n", "/a", False),
        ("user-agent: laion-eo\ndisallow: /fish*\n", "/fishing/rod", False),
        ("user-agent: laion-eo\ndisallow: /*.php$\n", "/a.php?x=1", True),
        ("user-agent: laion-eo\ndisallow: /*.php\n", "/a.php?x=1", False),
        # Escaped and unescaped are the same path.
        ("user-agent: laion-eo\ndisallow: /é\n", "/%C3%A9/a", False),
        ("user-agent: laion-eo\ndisallow: /%C3%A9\n", "/é/a", False),
        ("user-agent: laion-eo\ndisallow: /a?u=http://b.example?c&d\n",
         "/a?u=http://b.example?c&d", False),
    ],
)  # fmt: skip
def test_what_is_allowed(text: str, path: str, answer: bool) -> None:
    assert allowed(text, path) is answer


@pytest.mark.parametrize(
    ("text", "path", "googles"),
    [
        # Google cuts a line after 16,664 bytes; we read what robots.txt says, up to 500 KiB of it.
        (f"user-agent: laion-eo\ndisallow: /{'a' * 20_000}\n", f"/{'a' * 16_700}", False),
        # We stay away for a few more misspellings than Google.
        ("user-agent: laion-eo\ndiasllow: /\n", "/a", True),
        # Escaped letters are the letters (RFC 9309, section 2.2.2); Google compares bytes.
        ("user-agent: laion-eo\ndisallow: /maps/b\n", "/maps/%62", True),
    ],
)
def test_where_we_differ_from_google(text: str, path: str, googles: bool) -> None:
    assert allowed(text, path) is not googles


@pytest.mark.parametrize(
    "mark", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_no_path_can_end_its_group(mark: str) -> None:
    text = f"user-agent: laion-eo\nallow: /x{mark}user-agent: other\n{CLOSED}"
    assert not allowed(text, "/a.jpg")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.builds("{}: {}".format, st.sampled_from(["User-agent", "Crawl-delay", "Allow"]),
                      st.text(max_size=20)),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_nothing_before_it_opens_what_is_closed_for_us(lines: list[str]) -> None:
    before = "\n".join(line for line in lines if "allow" not in line.lower())
    assert not allowed(f"{before}\ndisallow: /x\nuser-agent: laion-eo\n{CLOSED}", "/a.jpg")
