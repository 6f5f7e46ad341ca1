"""What goes wrong while a release goes to the Hub: it ends well, or in one line and no trace."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from fakes.hub_state import Fault, LoopbackHub
from made import MakeRun
from releases import REPO, files, head, publish, release_made

from laion_eo.errors import ConfigError, LaionEOError, RunError


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody sleeps; the seconds that would have been slept."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


STEPS = {
    "create": ("POST", "/api/repos/create"),
    "read": ("GET", "/api/datasets/org/laion_eo/revision/main"),
    "refs": ("GET", "/refs"),
    "validate": ("POST", "/api/validate-yaml"),
    "preupload": ("POST", "/preupload/"),
    "batch": ("POST", "/objects/batch"),
    "upload": ("PUT", "/lfs/"),
    "verify": ("POST", "/verify$"),
    "commit": ("POST", "/commit/main"),
    "tag": ("POST", "/tag/"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["500", "closed", "closed after"])
def test_transient_fault_ends_in_success(
    hub: LoopbackHub, make_run: MakeRun, step: str, kind: str
) -> None:
    status = 500 if kind == "500" else 0
    hub.faults.append(Fault(*STEPS[step], status=status, after=kind == "closed after"))
    done = publish(make_run(), tag="v1")
    repo = hub.repos[REPO]
    assert len(repo.history("main")) == 2
    assert repo.tags == {"v1": done.commit}
    assert repo.branches == {"main": done.commit}
    assert hub.faults[0].times == 0


@pytest.mark.parametrize("step", ["preupload", "upload", "commit", "tag"])
def test_retry_after_is_waited_for(
    hub: LoopbackHub, make_run: MakeRun, step: str, waits: list[float]
) -> None:
    hub.faults.append(Fault(*STEPS[step], status=429, headers={"Retry-After": "7"}))
    publish(make_run(), tag="v1")
    assert max(waits) in (7, 8)  # the client of the Hub adds a second


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_may_be_a_date(
    hub: LoopbackHub, make_run: MakeRun, status: int, waits: list[float]
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
    hub.faults.append(Fault(*STEPS["commit"], status=status, headers={"Retry-After": date}))
    publish(make_run(), tag="v1")
    assert len(hub.repos[REPO].history("main")) == 2
    # Less what the machine took meanwhile; without the date, waits of a second would do.
    assert 60 < max(waits) <= 301


def test_waits_without_a_word_of_the_hub_double(
    hub: LoopbackHub, make_run: MakeRun, waits: list[float]
) -> None:
    hub.faults.append(Fault(*STEPS["commit"], status=500, times=4))
    publish(make_run())
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_too_long_a_wait_is_refused(hub: LoopbackHub, make_run: MakeRun) -> None:
    hub.faults.append(Fault(*STEPS["commit"], status=429, headers={"Retry-After": "86400"}))
    with pytest.raises(RunError, match="429, too many requests; run the command again later"):
        publish(make_run())
    assert files(hub) == set()


@pytest.mark.parametrize("status", [409, 412])
def test_conflict_is_retried(hub: LoopbackHub, make_run: MakeRun, status: int) -> None:
    hub.faults.append(Fault(*STEPS["commit"], status=status))
    publish(make_run())
    assert len(hub.repos[REPO].history("main")) == 2


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (("preupload", 401), ConfigError, "401, not logged in or a bad token: log in with"),
        (("commit", 403), ConfigError, "403, the token may not do that"),
        (("commit", 404), ConfigError, "404, no such repository"),
        (("commit", 409), RunError, "409, another change is in progress"),
        (("commit", 412), RunError, "kept changing"),
        (("commit", 429), RunError, "429, too many requests"),
        (("commit", 500), RunError, "500, 5 times; run the same command again"),
        (("upload", 0), RunError, "no answer from the Hub"),
        (("upload", 500), RunError, "the Hub answered 500"),
    ],
)
def test_lasting_fault_is_one_line_and_publishes_nothing(
    hub: LoopbackHub,
    make_run: MakeRun,
    caplog: pytest.LogCaptureFixture,
    fault: tuple[str, int],
    error: type[LaionEOError],
    words: str,
) -> None:
    caplog.set_level("DEBUG")
    publish(make_run("ver-0"))
    before = hub.repos[REPO].branches["main"]
    hub.faults.append(Fault(*STEPS[fault[0]], status=fault[1], times=1000))
    with pytest.raises(error, match=words) as caught:
        publish(make_run("ver-1", 30), tag="v1")
    assert "\n" not in str(caught.value)
    assert hub.repos[REPO].branches == {"main": before}
    assert hub.repos[REPO].tags == {}
    assert hub.token not in caplog.text + str(caught.value)


def test_tag_that_cannot_be_made_is_said(hub: LoopbackHub, make_run: MakeRun) -> None:
    hub.faults.append(Fault(*STEPS["tag"], status=500, times=1000))
    with pytest.raises(RunError, match=r"The files are committed; only the tag is missing\."):
        publish(make_run(), tag="v1")
    hub.faults.clear()
    done = publish(make_run(), tag="v1")
    assert hub.repos[REPO].tags == {"v1": done.commit}
    assert len(hub.repos[REPO].history("main")) == 2


def test_tag_that_others_made_meanwhile_stays_theirs(hub: LoopbackHub, make_run: MakeRun) -> None:
    hub.faults.append(Fault(*STEPS["tag"], status=409, times=1000))
    with pytest.raises(RunError, match=r"409, .* only the tag is missing\."):
        publish(make_run(), tag="v1")
    assert [path for _, path, status in hub.requests if status == 409] == [
        f"/api/datasets/{REPO}/tag/{hub.repos[REPO].branches['main']}"
    ]


def test_pull_request_is_never_opened_twice(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run("ver-0"))
    hub.faults.append(Fault(*STEPS["commit"], status=0, after=True))
    with pytest.raises(RunError, match="no answer from the Hub"):
        publish(make_run("ver-1"), pull_request=True)
    assert len(hub.repos[REPO].branches) == 2
    assert publish(make_run("ver-1", name="again"), pull_request=True).already
    assert len(hub.repos[REPO].branches) == 2


def test_two_releases_at_once_both_count(hub: LoopbackHub, make_run: MakeRun) -> None:
    runs = [make_run("ver-0"), make_run("ver-1")]
    publish(make_run("ver-2"))
    threads = [threading.Thread(target=publish, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.config_name for entry in head(hub).configs] == ["ver-0", "ver-1", "ver-2"]
    assert {name.split("/")[0] for name in files(hub) if "/" in name} == {"ver-0", "ver-1", "ver-2"}


def test_wrong_token(hub: LoopbackHub, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ConfigError, match="401, not logged in or a bad token") as caught:
        publish(make_run())
    assert "hf_wrong" not in str(caught.value)
    assert hub.repos == {}


def test_organisation_of_others(hub: LoopbackHub, make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match="403, the token may not do that"):
        release_made(make_run(), "nasa/earth")
    assert hub.repos == {}


def test_offline_is_said_at_once(
    hub: LoopbackHub, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
        publish(make_run())
