from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from laion_eo_safety.filters import NoCaptionPii, NsfwThreshold

from laion_eo import run
from laion_eo.errors import ConfigError
from laion_eo.registry import Registry
from laion_eo.testing.suites import FilterTests
from laion_eo.types import JSON


class TestNsfwThreshold(FilterTests):
    component_cls = NsfwThreshold
    columns: ClassVar[dict[str, list[JSON]]] = {"nsfw": [0.01, 0.7, 0.5]}

    def test_the_bound_is_kept(self, component: NsfwThreshold) -> None:
        verdict = self.judge(component, self.table())
        assert verdict.mask[:3].tolist() == [True, False, True]
        assert verdict.reasons[1] == "nsfw 0.700 > 0.5"


class TestNoCaptionPii(FilterTests):
    component_cls = NoCaptionPii
    options: ClassVar[dict[str, list[str]]] = {"allow": ["ip-address"]}
    columns: ClassVar[dict[str, list[JSON]]] = {
        "caption_pii": [None, "email,phone", "ip-address", "card,ip-address"]
    }

    def test_what_is_allowed_stays(self, component: NoCaptionPii) -> None:
        verdict = self.judge(component, self.table())
        assert verdict.mask[:4].tolist() == [True, False, True, False]
        assert verdict.reasons[1] == "the caption has: email, phone"


@pytest.mark.parametrize(
    ("name", "scorer"), [("nsfw-threshold", "nsfw"), ("no-caption-pii", "caption-pii")]
)
def test_a_missing_scorer_is_named_before_any_work(
    name: str, scorer: str, run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run_data["filters"].append({"use": name})
    with pytest.raises(ConfigError, match=rf'{name} needs .*add \[\[scorers\]\] use = "{scorer}"'):
        run(run_data, tmp_path / "run", registry=registry)
    assert not (tmp_path / "run").exists()


def test_a_run_uses_all_four(run_data: dict[str, JSON], registry: Registry, tmp_path: Path) -> None:
    run_data["scorers"] += [{"use": "nsfw"}, {"use": "caption-pii"}]
    run_data["filters"] += [{"use": "nsfw-threshold"}, {"use": "no-caption-pii"}]
    manifest = run(run_data, tmp_path / "run", registry=registry).manifest
    assert manifest["stages"]["scores"]["facts"]["nsfw"]["weights_sha256"]
    assert manifest["components"]["filter"]["no-caption-pii"]["distribution"].startswith(
        "laion-eo-safety"
    )
    assert manifest["stages"]["dataset"]["counts"]["rows"] > 20
