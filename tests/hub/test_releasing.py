from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.hub_state import LoopbackHub
from huggingface_hub import HfApi
from made import MakeRun, made_rows
from releases import REPO, files, head, publish, record_again, release_made

from laion_eo.config import NO_LICENSE, DatasetOptions
from laion_eo.dataset.card import render_card
from laion_eo.errors import ConfigError
from laion_eo.hub.cards import CardHead, split_card
from laion_eo.hub.releasing import HubPlan
from laion_eo.pipeline import RunResult


def rows(card: CardHead) -> dict[str, int]:
    """The rows of each configuration, as the card says."""
    return {info.config_name: info.splits[0].num_examples for info in card.dataset_info}


def test_release_is_one_commit_with_a_tag(hub: LoopbackHub, make_run: MakeRun) -> None:
    done = publish(make_run(), tag="v1.0.0")
    repo = hub.repos[REPO]
    assert [commit.title for commit in repo.history("main")] == [
        "Release ver-0 as v1.0.0",
        "initial commit",
    ]
    assert repo.tags == {"v1.0.0": done.commit}
    shard = "ver-0/train-00000-of-00001.parquet"
    assert files(hub) == {"README.md", shard, "croissant-ver-0.json"}
    assert repo.file("main", shard).lfs
    assert repo.private


def test_both_orders_give_the_same_repository(hub: LoopbackHub, make_run: MakeRun) -> None:
    runs = {"ver-0": make_run("ver-0"), "ver-1": make_run("ver-1", 30)}
    cards = []
    for order in (("ver-0", "ver-1"), ("ver-1", "ver-0")):
        for config in order:
            publish(runs[config], default=config == "ver-0")
        cards.append(hub.repos[REPO].file("main", "README.md").content)
        del hub.repos[REPO]
    assert cards[0] == cards[1]
    metadata, body = split_card(cards[0].decode())
    assert [(entry.config_name, entry.default) for entry in metadata.configs] == [
        ("ver-0", True),
        ("ver-1", False),
    ]
    assert rows(metadata) == {"ver-0": 20, "ver-1": 30}
    assert body.index("## ver-0") < body.index("## ver-1") < body.index("## Known limits")
    assert 'load_dataset("org/laion_eo", "ver-1"' in body


def test_a_dataset_without_a_licence_is_not_released(
    finished_run: RunResult, hub: LoopbackHub, make_run: MakeRun
) -> None:
    run = make_run()
    options = DatasetOptions(license=NO_LICENSE)
    card = render_card(options, made_rows(20), finished_run.manifest, [])
    (run / "dataset" / "README.md").write_text(card, "utf-8")
    record_again(run)
    for dry_run in (True, False):
        with pytest.raises(ConfigError, match=r"licence of ver-0 is not chosen: set dataset\.lic"):
            release_made(run, REPO, dry_run=dry_run)
    assert hub.requests == []


def test_first_configuration_is_the_default(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run("ver-1"))
    publish(make_run("ver-0"))
    assert [entry.config_name for entry in head(hub).configs if entry.default] == ["ver-1"]


def test_new_release_leaves_nothing_of_the_old_one(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run(), tag="v1")
    hub.put(REPO, {"ver-0/train-00001-of-00002.parquet": b"old", "ver-00/x.csv": b"not ours"})
    publish(make_run(rows=25), tag="v2")
    assert "ver-0/train-00001-of-00002.parquet" not in files(hub)
    assert "ver-00/x.csv" in files(hub)
    assert rows(head(hub)) == {"ver-0": 25}
    assert rows(head(hub, "v1")) == {"ver-0": 20}


def test_tag_is_never_moved(hub: LoopbackHub, make_run: MakeRun) -> None:
    first = publish(make_run(), tag="v1")
    with pytest.raises(ConfigError, match=r"has a release v1 already \(commit \w{40}\) with oth"):
        publish(make_run(rows=21), tag="v1")
    with pytest.raises(ConfigError, match="has a release v1 already"):
        release_made(make_run("ver-1"), REPO, tag="v1", dry_run=True)
    assert hub.repos[REPO].branches["main"] == first.commit
    assert hub.repos[REPO].tags == {"v1": first.commit}


@pytest.mark.parametrize("tag", [None, "v1"])
def test_the_same_release_again_changes_nothing(
    tag: str | None, hub: LoopbackHub, make_run: MakeRun
) -> None:
    run = make_run()
    (run / "report").mkdir()
    (run / "report" / "a.svg").write_text("<svg/>")
    publish(make_run("ver-1"), default=True)
    first = publish(run, tag=tag)
    hub.requests.clear()
    again = publish(run, tag=tag)
    assert again == replace(first, already=True)
    assert {method for method, _, _ in hub.requests} <= {"GET", "HEAD"}
    assert len(hub.repos[REPO].history("main")) == 3
    plan = release_made(run, REPO, tag=tag, dry_run=True)
    assert isinstance(plan, HubPlan)
    assert plan.released == first.url


def test_a_tagged_release_is_found_below_newer_ones(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run()
    first = publish(run, tag="v1")
    publish(make_run(rows=30), tag="v2")
    publish(make_run("ver-1"), tag="v3", default=True)
    assert publish(run, tag="v1") == replace(first, already=True)
    assert hub.repos[REPO].tags["v1"] == first.commit
    assert rows(head(hub)) == {"ver-0": 30, "ver-1": 20}


@pytest.mark.parametrize("change", ["more", "less", "other", "card"])
def test_a_tag_on_other_content_is_refused(
    change: str, hub: LoopbackHub, make_run: MakeRun
) -> None:
    """Whatever differs of what the release would leave there."""
    run = make_run()
    publish(run)
    repo = hub.repos[REPO]
    shard = "ver-0/train-00000-of-00001.parquet"
    if change == "less":
        there = dict(repo.at("main").files)
        del there["croissant-ver-0.json"]
        repo.add("main", "by hand", there, repo.at("main"))
    else:
        name, content = {
            "more": ("ver-0/notes.txt", b"by hand"),
            "other": (shard, repo.file("main", shard).content[:-1] + b"?"),
            "card": ("README.md", repo.file("main", "README.md").content.replace(b"Noise", b"N")),
        }[change]
        hub.put(REPO, {name: content})
    repo.tags["v1"] = repo.branches["main"]
    with pytest.raises(ConfigError, match="with other files; releases are never overwritten"):
        publish(run, tag="v1")
    assert repo.tags == {"v1": repo.branches["main"]}
    assert len(repo.history("main")) == 3


def test_a_release_without_its_tag_gets_it(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run()
    first = publish(run)
    done = publish(run, tag="v1")
    assert (done.commit, done.already) == (first.commit, False)
    assert hub.repos[REPO].tags == {"v1": first.commit}


def test_a_damaged_card_in_the_cache_is_not_believed(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run("ver-1"))
    path = Path(HfApi().hf_hub_download(REPO, "README.md", repo_type="dataset"))
    path.write_text("")  # as a loss of power could leave it
    publish(make_run("ver-0"))
    assert rows(head(hub)) == {"ver-0": 20, "ver-1": 20}


def test_a_card_that_is_not_text(hub: LoopbackHub, make_run: MakeRun) -> None:
    hub.put(REPO, {"README.md": b"---\n---\n\xff"})
    with pytest.raises(ConfigError, match=r"its README\.md is not UTF-8 text"):
        publish(make_run())


def test_dry_run_changes_nothing(hub: LoopbackHub, make_run: MakeRun) -> None:
    plan = release_made(make_run(), REPO, dry_run=True)
    assert isinstance(plan, HubPlan)
    assert plan.parent == ""
    assert set(plan.uploads) == {"ver-0/train-00000-of-00001.parquet", "croissant-ver-0.json"}
    assert hub.repos == {}
    assert {method for method, _, _ in hub.requests} == {"GET"}
    publish(make_run())
    assert hub.repos[REPO].file("main", "README.md").content.decode() == plan.card


def test_figures_of_the_report_are_released(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run()
    (run / "report" / "figures").mkdir(parents=True)
    (run / "report" / "figures" / "a [b] c.svg").write_text("<svg/>")
    publish(run)
    assert "figures/ver-0/a [b] c.svg" in files(hub)
    card = hub.repos[REPO].file("main", "README.md").content.decode()
    shown = r"![a \[b\] c](figures/ver-0/a%20%5Bb%5D%20c.svg)"
    assert f"### Figures\n\n{shown}\n\n<!-- end of config ver-0 -->" in card


def test_pull_request_does_not_change_main(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run("ver-0"))
    before = hub.repos[REPO].branches["main"]
    done = publish(make_run("ver-1"), pull_request=True)
    assert hub.repos[REPO].branches == {"main": before, "refs/pr/1": done.commit}
    assert done.url.endswith("/discussions/1")
    with pytest.raises(ConfigError, match="cannot have a tag"):
        publish(make_run("ver-1"), pull_request=True, tag="v1")


def test_a_pull_request_is_opened_once(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run("ver-0"))
    run = make_run("ver-1")
    first = publish(run, pull_request=True)
    assert publish(run, pull_request=True) == replace(first, already=True)
    plan = release_made(run, REPO, pull_request=True, dry_run=True)
    assert isinstance(plan, HubPlan)
    assert plan.released == first.url
    other = publish(make_run("ver-1", 30), pull_request=True)
    assert other.url.endswith("/discussions/2")
    hub.repos[REPO].closed.add("refs/pr/1")
    assert publish(run, pull_request=True).url.endswith("/discussions/3")


def test_no_pull_request_for_what_is_merged(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run()
    first = publish(run)
    assert publish(run, pull_request=True) == replace(first, already=True)
    assert [*hub.repos[REPO].branches] == ["main"]


def test_visibility_is_never_changed(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run(), private=False)
    assert not hub.repos[REPO].private
    with pytest.raises(ConfigError, match="is public, and private was asked for"):
        publish(make_run(rows=21), private=True)
    publish(make_run(rows=21))
    assert not hub.repos[REPO].private


def test_third_party_card_is_not_replaced(hub: LoopbackHub, make_run: MakeRun) -> None:
    hub.put(REPO, {"README.md": b"---\nlicense: mit\n---\n# By hand\n"})
    with pytest.raises(ConfigError, match=r"org/laion_eo: .*laion-eo did not write"):
        publish(make_run())
    assert len(hub.repos[REPO].commits) == 2


def test_card_that_the_hub_refuses(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run()
    card = run / "dataset" / "README.md"
    card.write_text(
        card.read_text().replace("license: cc-by-4.0", "license: none of your business")
    )
    record_again(run)
    with pytest.raises(ConfigError, match="license 'none of your business' is not known"):
        publish(run)
    assert files(hub) == set()
    hub.complaints.clear()
