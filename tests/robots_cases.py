"""What a robots.txt says: the facts of Google's published tests in words of our own, and more.

Google's answers are those of https://github.com/google/robotstxt (robots_test.cc, robots.cc). Where
ours differs, the case says why, and docs/politeness.md has a row for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from laion_eo.builtin.downloaders.http.addresses import parse_url
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.downloaders.http.robots import LIMIT, parse_robots

SITE = "http://reeds.example"
OPEN, SHUT = True, False


@dataclass(frozen=True)
class Case:
    """One file, and who is let in where.

    Attributes:
        about: What it shows; unique.
        text: The file.
        google: Google's answer, by path (or by URL): whether it may be fetched.
        agent: Who asks.
        differs: Why our answer is the other one, likewise; ``None`` as an answer of ours means
            that it is no URL at all, so that nothing is asked.
        published: Whether it is a fact of Google's tests; the rest is our own.
        whole: Whether what is asked is a URL, or what is taken for one, not a path.
    """

    about: str
    text: str | bytes
    google: Mapping[str, bool]
    agent: str = "HeronBot"
    differs: Mapping[str, str] = field(default_factory=dict)
    published: bool = True
    whole: bool = False

    @property
    def body(self) -> bytes:
        """The file as it is sent."""
        return self.text if isinstance(self.text, bytes) else self.text.encode()

    def url(self, asked: str) -> str:
        """Return the URL that is asked."""
        return asked if self.whole or not asked else SITE + asked

    def ours(self, asked: str) -> bool | None:
        """Return our answer."""
        try:
            url = parse_url(self.url(asked))
        except RefusedError:
            return None
        return parse_robots(self.body, self.agent).can_fetch(str(url), self.agent)


def said(answer: bool | None) -> str:
    """Return an answer in a word."""
    return {True: "yes", False: "no", None: "not a URL"}[answer]


def differences() -> Iterator[str]:
    """Yield the rows of the table in docs/politeness.md: one for all that is no URL."""
    no_urls = dict.fromkeys(
        asked for c in CASES for asked, why in c.differs.items() if why == NO_URL
    )
    listed = ", ".join(f"`{asked}`" for asked in no_urls if asked)
    yield f"| any file | nothing, {listed} | yes or no | not a URL | {NO_URL} |"
    for case in CASES:
        for asked, why in case.differs.items():
            if why != NO_URL:
                shown = asked if len(asked) < 60 else f"{asked[:24]}…{asked[-8:]}"
                google, ours = said(case.google[asked]), said(case.ours(asked))
                yield f"| {case.about} | `{shown}` | {google} | {ours} | {why} |"


def counted() -> str:
    """Return the sentence of docs/politeness.md about the cases."""
    answers = [(case, asked) for case in CASES for asked in case.google]
    published = sum(case.published for case, _ in answers)
    return f"{len(CASES)} files, {len(answers)} answers, {published} of them"


def _lines(*lines: str, end: str = "\n") -> str:
    return "".join(line + end for line in lines)


def _to_heron(*rules: str) -> str:
    return _lines("user-agent: HeronBot", *rules)


NO_URL = "what has no scheme is no URL: nothing is asked"
ENCODED = "a URL is percent-encoded before it is asked and compared (RFC 9309, 2.2.2)"
UNRESERVED = "RFC 9309, 2.2.2: an encoded letter is the letter"
LINE = 2083 * 8 - 1
"""Bytes of a line that Google reads."""
WHOLE_LINE = "every rule is read to its end: no line is too long"
LONG = "/lake/" + "w" * (LINE - len("disallow: /lake/"))
LONG_ALLOW = "/lake/" + "w" * (LINE - len("allow: /lake/"))
LONG_OTHER = "/lake/" + "v" * (LINE - len("allow: /lake/"))

LINES = [
    Case("an empty file", "", {"/": OPEN, "": OPEN}, differs={"": NO_URL}),
    Case("an empty file, and nobody asks", "", {"/": OPEN}, agent=""),
    Case("a file for one robot, and nobody asks", _to_heron("disallow: /"), {"/": OPEN}, agent=""),
    Case("no URL", _to_heron("disallow: /"), {"": SHUT}, differs={"": NO_URL}),
    Case("name, colon, value", _to_heron("disallow: /"), {"/marsh/reed": SHUT}),
    Case("unknown names", _lines("wader: HeronBot", "keepout: /"), {"/marsh/reed": OPEN}),
    Case("no colons", _lines("user-agent HeronBot", "disallow /"), {"/marsh/reed": SHUT}),
    *(
        Case(f"names in {how} letters", text, {"/ford/deep": OPEN, "/isle/x": SHUT})
        for how, text in {
            "capital": _lines("USER-AGENT: HeronBot", "ALLOW: /ford/", "DISALLOW: /"),
            "small": _lines("user-agent: HeronBot", "allow: /ford/", "disallow: /"),
            "mixed": _lines("uSER-aGENT: HeronBot", "aLLOW: /ford/", "dISALLOW: /"),
        }.items()
    ),
    *(
        Case(
            f"lines that end in {how}",
            _lines("User-agent: ibis", "Allow: /ford", "User-agent: heron", "", "", "Disallow: /",
                   end=end),
            {"/ford": SHUT, "/isle": SHUT},
            agent="heron",
        )
        for how, end in {"LF": "\n", "CR LF": "\r\n", "CR": "\r"}.items()
    ),
    Case(
        "no end of the last line",
        "User-agent: ibis\nAllow: /ford\nUser-agent: heron\n\n\nDisallow: /",
        {"/ford": SHUT},
        agent="heron",
    ),
    Case(
        "mixed ends of lines",
        "User-agent: ibis\nAllow: /ford\r\nUser-agent: heron\n\r\n\nDisallow: /",
        {"/ford": SHUT},
        agent="heron",
    ),
    *(
        Case(
            f"{how} byte order mark",
            mark + b"User-agent: heron\nDisallow: /isle\n",
            {"/isle": SHUT, "/ford": OPEN},
            agent="heron",
        )
        for how, mark in {
            "a whole": b"\xef\xbb\xbf",
            "two thirds of a": b"\xef\xbb",
            "a third of a": b"\xef",
        }.items()
    ),
    Case(
        "a broken byte order mark spoils the first line",
        b"\xef\x11\xbfUser-agent: heron\nDisallow: /isle\n",
        {"/isle": OPEN},
        agent="heron",
    ),
    Case(
        "a byte order mark in the middle spoils its line",
        b"User-agent: heron\nDisallow: /\n\xef\xbb\xbfAllow: /isle\n",
        {"/isle": SHUT},
        agent="heron",
    ),
    Case(
        "a sitemap at the end",
        _lines("User-agent: ibis", "Allow: /ford", "User-agent: heron", "", "",
               "Sitemap: http://reeds.example/all.xml"),
        {"/ford": OPEN, "/isle": OPEN},
        agent="heron",
    ),
    Case(
        "a sitemap at the start",
        _lines("Sitemap: http://reeds.example/all.xml", "User-agent: ibis", "Allow: /ford",
               "User-agent: heron", "", ""),
        {"/ford": OPEN, "/isle": OPEN},
        agent="heron",
    ),
]  # fmt: skip

_GROUPS = _lines(
    "allow: /nest/egg/", "",
    "user-agent: HeronBot", "disallow: /", "allow: /ford/",
    "user-agent: IbisBot", "disallow: /", "allow: /isle/", "", "", "allow: /weir/",
    "user-agent: StorkBot", "",
    "user-agent: HeronBot", "allow: /pond/", "disallow: /",
)  # fmt: skip

GROUPS = [
    Case(
        "several groups of one robot",
        _GROUPS,
        {"/ford/b": OPEN, "/pond/d": OPEN, "/isle/c": SHUT, "/nest/egg/": SHUT},
    ),
    Case(
        "empty lines in a group",
        _GROUPS,
        {"/isle/c": OPEN, "/weir/a": OPEN, "/pond/d": SHUT, "/nest/egg/": SHUT},
        agent="IbisBot",
    ),
    Case(
        "empty lines between two robots of a group",
        _GROUPS,
        {"/pond/d": OPEN, "/nest/egg/": SHUT},
        agent="StorkBot",
    ),
    *(
        Case(
            f"a line {name!r} between two robots of a group, for {agent}",
            _lines("User-agent: HeronBot", f"{name}: x", "User-agent: *", "Disallow: /"),
            {"/": SHUT},
            agent=agent,
        )
        for name in ("Sitemap", "Feeding-times")
        for agent in ("HeronBot", "IbisBot")
    ),
    *(
        Case(
            f"robots called {name!r}, for {agent}",
            _lines(f"User-Agent: {name}", "Allow: /ford/", "Disallow: /"),
            {"/ford/deep": OPEN, "/isle/x": SHUT},
            agent=agent,
        )
        for name in ("GREY HERON", "grey heron", "GrEy HeRoN")
        for agent in ("Grey", "grey")
    ),
    *(
        Case(
            f"a robot's name ends at the first space, for {agent!r}",
            _lines("User-Agent: *", "Disallow: /", "User-Agent: Grey Heron", "Allow: /ford/",
                   "Disallow: /"),
            {"/ford/deep": end},
            agent=agent,
        )
        for agent, end in {"Grey": OPEN, "Grey Heron": SHUT}.items()
    ),
    *(
        Case(
            f"a group for all beside one for HeronBot, for {agent}",
            _lines("user-agent: *", "allow: /", "user-agent: HeronBot", "disallow: /"),
            {"/marsh/reed": end},
            agent=agent,
        )
        for agent, end in {"HeronBot": SHUT, "IbisBot": OPEN}.items()
    ),
    Case(
        "no group for all, and none for the robot",
        _lines("user-agent: HeronBot", "allow: /", "user-agent: IbisBot", "disallow: /",
               "user-agent: StorkBot", "disallow: /"),
        {"/marsh/reed": OPEN},
        agent="EgretBot",
    ),
    Case(
        "a robot's own group is the only one that counts for it",
        _lines("User-agent: *", "Disallow: /ford/", "User-agent: HeronBot", "Disallow: /isle/"),
        {"/ford/page": OPEN, "/isle/page": SHUT},
    ),
]  # fmt: skip

PATHS = [
    Case("a path in small letters", _to_heron("disallow: /marsh/"), {"/marsh/reed": SHUT}),
    Case("a path in capital letters", _to_heron("disallow: /MARSH/"), {"/marsh/reed": OPEN}),
    Case(
        "the longer rule counts: disallow",
        _to_heron("disallow: /marsh/page.html", "allow: /marsh/"),
        {"/marsh/page.html": SHUT},
    ),
    Case(
        "the longer rule counts: allow",
        _to_heron("allow: /marsh/page.html", "disallow: /marsh/"),
        {"/marsh/page.html": OPEN, "/marsh/": SHUT},
    ),
    Case("two empty rules", _to_heron("disallow: ", "allow: "), {"/marsh/page.html": OPEN}),
    Case("rules of one length", _to_heron("disallow: /", "allow: /"), {"/marsh/page.html": OPEN}),
    Case(
        "a slash makes a rule longer",
        _to_heron("disallow: /marsh", "allow: /marsh/"),
        {"/marsh": SHUT, "/marsh/": OPEN},
    ),
    Case(
        "the same rule twice",
        _to_heron("disallow: /marsh/page.html", "allow: /marsh/page.html"),
        {"/marsh/page.html": OPEN},
    ),
    Case(
        "a longer rule with a wildcard",
        _to_heron("allow: /reed", "disallow: /*.html"),
        {"/reed.html": SHUT, "/reed": OPEN},
    ),
    Case(
        "a shorter rule with a wildcard",
        _to_heron("allow: /marsh/reed.", "disallow: /*.html"),
        {"/marsh/reed.html": OPEN, "/marsh/y.html": SHUT},
    ),
    Case(
        "a URL in a query",
        _to_heron("Disallow: /", "Allow: /nest/egg?one=two&three=http://reeds.example?four&five"),
        {"/nest/egg?one=two&three=http://reeds.example?four&five": OPEN},
    ),
    *(
        Case(
            f"a letter of three bytes, {how}",
            _to_heron("Disallow: /", f"Allow: /nest/egg/{letter}"),
            {"/nest/egg/%E9%B7%BA": OPEN, "/nest/egg/鷺": SHUT},
            differs={"/nest/egg/鷺": ENCODED},
        )
        for how, letter in {"as it is": "鷺", "encoded": "%E9%B7%BA"}.items()
    ),
    Case(
        "encoded letters of ASCII",
        _to_heron("Disallow: /", "Allow: /nest/egg/%68%65%6E"),
        {"/nest/egg/hen": SHUT, "/nest/egg/%68%65%6E": OPEN},
        differs={"/nest/egg/hen": UNRESERVED},
    ),
    Case(
        "a wildcard inside",
        _to_heron("Disallow: /nest/egg/hen", "Allow: /nest/*/owl"),
        {"/nest/egg/hen": SHUT, "/nest/hen": OPEN, "/nest//hen": OPEN, "/nest/eyrie/hen": OPEN},
    ),
    Case(
        "a dollar at the end",
        _to_heron("Disallow: /nest/egg$", "Allow: /nest/egg/owl"),
        {"/nest/egg": SHUT, "/nest/egg/owl": OPEN, "/nest/egg/": OPEN, "/nest/egg/hen": OPEN},
    ),
    Case(
        "comments",
        _to_heron("# Disallow: /", "Disallow: /nest/hen#owl", "Allow: /"),
        {"/nest/egg": OPEN, "/nest/hen": SHUT},
    ),
    Case(
        "an allowed index.html",
        _lines("User-Agent: *", "Allow: /pond-life/index.html", "Disallow: /"),
        {
            "/pond-life/": OPEN,
            "/pond-life/index.htm": SHUT,
            "/pond-life/index.html": OPEN,
            "/elsewhere": SHUT,
        },
    ),
    Case(
        "a disallowed path that is longer than any line",
        _to_heron(f"disallow: {LONG}/owl"),
        {"/fen": OPEN, f"{LONG}/owl": SHUT, f"{LONG}/fen": SHUT},
        differs={f"{LONG}/fen": WHOLE_LINE},
    ),
    Case(
        "allowed paths that are longer than any line",
        _to_heron("disallow: /", f"allow: {LONG_ALLOW}/owl", f"allow: {LONG_OTHER}/owl"),
        {"/": SHUT, f"{LONG_ALLOW}/owl": OPEN, f"{LONG_OTHER}/fen": OPEN},
        differs={f"{LONG_OTHER}/fen": WHOLE_LINE},
    ),
]

_KEPT_OUT = ("disallow: /",)
DOCUMENTED = [
    *(
        Case(
            f"only {rule} is allowed",
            _to_heron(*_KEPT_OUT, f"allow: {rule}"),
            {"/owl": SHUT, "/carp": OPEN, "/carp.html": OPEN, "/carp/roach.html": OPEN,
             "/carpets": OPEN, "/carpets/red.html": OPEN, "/carp.html?id=any": OPEN,
             "/Carp.asp": SHUT, "/mudcarp": SHUT, "/?id=carp": SHUT},
        )
        for rule in ("/carp", "/carp*")
    ),
    Case(
        "only /carp/ is allowed",
        _to_heron(*_KEPT_OUT, "allow: /carp/"),
        {"/owl": SHUT, "/carp/": OPEN, "/carp/roach": OPEN, "/carp/?roach": OPEN,
         "/carp/roach.html": OPEN, "/carp/?id=any": OPEN, "/carp": SHUT, "/carp.html": SHUT,
         "/Carp/Roach.html": SHUT},
    ),
    Case(
        "only /*.cgi is allowed",
        _to_heron(*_KEPT_OUT, "allow: /*.cgi"),
        {"/owl": SHUT, "/pike.cgi": OPEN, "/deep/pike.cgi": OPEN, "/deep/pike.cgi?weight": OPEN,
         "//deep/some.cgi.file.html": OPEN, "/pike.cgi/": OPEN, "/all?f=pike.cgi/": OPEN,
         "/cgi/": SHUT, "/all?cgi": SHUT, "/doors.CGI": SHUT},
    ),
    Case(
        "only /*.cgi$ is allowed",
        _to_heron(*_KEPT_OUT, "allow: /*.cgi$"),
        {"/owl": SHUT, "/pike.cgi": OPEN, "/deep/pike.cgi": OPEN, "/pike.cgi?weight": SHUT,
         "/pike.cgi/": SHUT, "/pike.cgi5": SHUT, "/cgi/": SHUT, "/pike?cgi": SHUT,
         "/lllcgilll": SHUT, "//doors.CGI": SHUT},
    ),
    Case(
        "only /carp*.cgi is allowed",
        _to_heron(*_KEPT_OUT, "allow: /carp*.cgi"),
        {"/owl": SHUT, "/carp.cgi": OPEN, "/carpets/mudcarp.cgi?weight": OPEN, "/Carp.CGI": SHUT},
    ),
    Case("precedence: a longer allow", _to_heron("allow: /r", "disallow: /"), {"/reed": OPEN}),
    Case(
        "precedence: an equal allow",
        _to_heron("allow: /nest", "disallow: /nest"),
        {"/nest/egg": OPEN},
    ),
    Case(
        "precedence: a longer wildcard",
        _to_heron("allow: /reed", "disallow: /*.htm"),
        {"/reed.htm": SHUT},
    ),
    Case(
        "precedence: the root alone",
        _to_heron("allow: /$", "disallow: /"),
        {"/": OPEN, "/reed.html": SHUT},
    ),
]  # fmt: skip

_PATHS_OF_URLS = {
    "": "/",
    "http://www.fen.example": "/",
    "http://www.fen.example/": "/",
    "http://www.fen.example/a": "/a",
    "http://www.fen.example/a/": "/a/",
    "http://www.fen.example/a/b?c=http://d.e/": "/a/b?c=http://d.e/",
    "http://www.fen.example/a/b?c=d&e=f#part": "/a/b?c=d&e=f",
    "fen.example": "/",
    "fen.example/": "/",
    "fen.example/a": "/a",
    "fen.example/a/": "/a/",
    "fen.example/a/b?c=d&e=f#part": "/a/b?c=d&e=f",
    "a": "/",
    "a/": "/",
    "a/b": "/b",
    "fen.example?a": "/?a",
    "fen.example/a;b#c": "/a;b",
    "/a": "/a",
    "//a/b/c": "/b/c",
}
URLS = [
    *(
        Case(
            f"the path of {url or 'nothing'} is {path}",
            _to_heron(f"disallow: {path}$"),
            {url: SHUT},
            differs={} if url.startswith("http") else {url: NO_URL},
            whole=True,
        )
        for url, path in _PATHS_OF_URLS.items()
    ),
    Case("a pattern without anything to encode", _to_heron("disallow: /a/b/c"), {"/a/b/c": SHUT}),
    Case("a pattern with á", _to_heron("disallow: /á"), {"/%C3%A1": SHUT}),
    Case("a pattern with %aa", _to_heron("disallow: /%aa"), {"/%AA": SHUT}),
]

_OURS = (("a version", "/2.1"), ("a space", " Foo"), ("a comma", ", ibis"), ("a digit", "9"),
         ("an asterisk", "*"), ("a letter beyond ASCII", "é"))  # fmt: skip
OWN = [
    *(
        Case(
            f"our name, then {what}",
            _lines(f"User-agent: laion-eo{rest}", "Disallow: /"),
            {"/": SHUT},
            agent="laion-eo",
            published=False,
        )
        for what, rest in _OURS
    ),
    *(
        Case(
            f"not our name: {name}",
            _lines(f"User-agent: {name}", "Disallow: /"),
            {"/": OPEN},
            agent="laion-eo",
            published=False,
        )
        for name in ("laion", "laion-e", "laion-eoX", "laion-eo-images", "laion-eo_", "eo",
                     "my-laion-eo", "laion eo", "*laion-eo", "/laion-eo", "", '"laion-eo"')
    ),
    *(
        Case(
            f"everybody, written {name!r}",
            _lines(f"User-agent: {name}", "Disallow: /"),
            {"/": end},
            agent="laion-eo",
            published=False,
        )
        for name, end in {"*": SHUT, "* ": SHUT, "* all": SHUT, "*\tall": SHUT, "*bot": OPEN,
                          "**": OPEN}.items()
    ),
    *(
        Case(
            f"{name!r} between two robots of a group, {order}",
            _lines(f"User-agent: {first}", name, f"User-agent: {second}", "Disallow: /no"),
            {"/no": SHUT, "/yes": OPEN},
            agent="laion-eo",
            published=False,
        )
        for name in ("Crawl-delay: 5", "Request-rate: 1/5", "Noindex: /x", "Host: x", "nonsense")
        for order, first, second in (("first", "laion-eo", "ibis"), ("last", "ibis", "laion-eo"))
    ),
    Case(
        "an empty rule ends the names of a group",
        _lines("User-agent: laion-eo", "Disallow:", "User-agent: ibis", "Disallow: /"),
        {"/": OPEN},
        agent="laion-eo",
        published=False,
    ),
    Case(
        "an empty group of our own is one",
        _lines("User-agent: *", "Disallow: /", "User-agent: laion-eo", "Disallow:"),
        {"/": OPEN},
        agent="laion-eo",
        published=False,
    ),
    *(
        Case(
            f"misspelt: {word}",
            _lines("User-agent: laion-eo", f"{word}: /no"),
            {"/no": SHUT},
            agent="laion-eo",
            published=False,
        )
        for word in ("Dissallow", "Dissalow", "Disalow", "Diasllow", "Disallaw", "Disallowed")
    ),
    *(
        Case(
            f"misspelt: {word}",
            _lines(f"{word}: laion-eo", "Disallow: /no"),
            {"/no": SHUT},
            agent="laion-eo",
            published=False,
        )
        for word in ("Useragent", "User Agent", "User-agents")
    ),
    Case(
        "a name of two words without a colon",
        _lines("User agent laion-eo", "Disallow: /no"),
        {"/no": OPEN},
        agent="laion-eo",
        differs={"/no": "what is meant is plain"},
        published=False,
    ),
    Case(
        "a path with a space, and no colon",
        _lines("User-agent: laion-eo", "Disallow /no way"),
        {"/no%20way": OPEN},
        agent="laion-eo",
        differs={"/no%20way": "what is meant is plain"},
        published=False,
    ),
    Case(
        "a path with a space",
        _lines("User-agent: laion-eo", "Disallow: /no way"),
        {"/no%20way": OPEN, "/no": OPEN},
        agent="laion-eo",
        differs={"/no%20way": ENCODED},
        published=False,
    ),
    Case(
        "a path with a colon, and none before it",
        _lines("User-agent: laion-eo", "Disallow /no:way"),
        {"/no:way": OPEN},
        agent="laion-eo",
        differs={"/no:way": "what is meant is plain"},
        published=False,
    ),
    Case(
        "reserved characters, encoded in the rule alone",
        _lines("User-agent: laion-eo", "Disallow: /no%3Fway"),
        {"/no?way": OPEN, "/no%3Fway": SHUT},
        agent="laion-eo",
        differs={"/no?way": "protego takes %3F and ? for the same: stricter here"},
        published=False,
    ),
    Case(
        "reserved characters make a rule longer",
        _lines("User-agent: laion-eo", "Disallow: /a*bcd", "Allow: /a?bc"),
        {"/a?bcd": SHUT},
        agent="laion-eo",
        differs={"/a?bcd": "protego counts the octets of the encoded rule: ? has three"},
        published=False,
    ),
    Case(
        "an allowed index.htm",
        _lines("User-agent: laion-eo", "Allow: /pond/index.htm", "Disallow: /"),
        {"/pond/": OPEN, "/pond/index.htm": OPEN},
        agent="laion-eo",
        differs={"/pond/": "protego knows index.html only: stricter here"},
        published=False,
    ),
    Case(
        "a dollar in the middle",
        _lines("User-agent: laion-eo", "Disallow: /a$b"),
        {"/a$b": SHUT, "/a": OPEN},
        agent="laion-eo",
        published=False,
    ),
    Case(
        "a dollar at the end, and one in the URL",
        _lines("User-agent: laion-eo", "Disallow: /a$"),
        {"/a$": OPEN, "/a": SHUT},
        agent="laion-eo",
        differs={"/a$": "protego takes a final $ for the character too: stricter here"},
        published=False,
    ),
    Case(
        "a path without its slash",
        _lines("User-agent: laion-eo", "Disallow: no"),
        {"/no": OPEN},
        agent="laion-eo",
        published=False,
    ),
    Case(
        "a whole URL as a path",
        _lines("User-agent: laion-eo", "Disallow: http://reeds.example/no"),
        {"/no": OPEN},
        agent="laion-eo",
        published=False,
    ),
    Case(
        "robots.txt itself",
        _lines("User-agent: laion-eo", "Disallow: /"),
        {"/robots.txt": SHUT},
        agent="laion-eo",
        differs={"/robots.txt": "RFC 9309, 2.2.2: it is always allowed"},
        published=False,
    ),
    Case(
        "bytes that are no UTF-8",
        b"User-agent: laion-eo\nDisallow: /no\xe9\n",
        {"/no%E9": SHUT, "/no%C3%A9": OPEN},
        agent="laion-eo",
        published=False,
    ),
    Case(
        "two kinds of bytes that are no UTF-8",
        b"User-agent: laion-eo\nDisallow: /no\xe9\n",
        {"/no%E8": OPEN},
        agent="laion-eo",
        differs={"/no%E8": "protego takes all bytes that are no UTF-8 for the same: stricter here"},
        published=False,
    ),
    Case(
        "ends of lines that only Unicode has",
        "User-agent: laion-eo\nDisallow: /\x85Allow: /\u2028Allow: /\x1cAllow: /\n",
        {"/no": OPEN},
        agent="laion-eo",
        published=False,
    ),
    Case(
        "a NUL in a line",
        b"User-agent: laion-eo\0x\nDisallow: /no\0way\n",
        {"/no": SHUT, "/yes": OPEN},
        agent="laion-eo",
        published=False,
    ),
    Case(
        "a NUL before a line",
        b"User-agent: laion-eo\n\0Disallow: /no\n",
        {"/no": OPEN},
        agent="laion-eo",
        differs={"/no": "what is meant is plain"},
        published=False,
    ),
    *(
        Case(
            f"a file in {coding}",
            bom + "User-agent: laion-eo\nDisallow: /no\n".encode(coding),
            {"/no": OPEN, "/yes": OPEN},
            agent="laion-eo",
            differs={"/no": "its byte order mark says how to read it"},
            published=False,
        )
        for coding, bom in {"UTF-16-LE": b"\xff\xfe", "UTF-16-BE": b"\xfe\xff"}.items()
    ),
    Case(
        "more than 500 KiB",
        b"User-agent: laion-eo\n" + b"#" * (LIMIT - 30) + b"\nDisallow: /late\nDisallow: /later\n",
        {"/late": SHUT},
        agent="laion-eo",
        differs={"/late": "RFC 9309, 2.5: what is beyond the limit is not read"},
        published=False,
    ),
]  # fmt: skip

CASES = (*LINES, *GROUPS, *PATHS, *DOCUMENTED, *URLS, *OWN)
"""Every case, each under a name of its own."""
