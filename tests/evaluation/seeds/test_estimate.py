from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from green_runs import GreenRun

from laion_eo.errors import ConfigError, DataError
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.seeds.estimate import from_seeds
from laion_eo.testing.web import GREEN, picture

Seeds = Callable[[int, int], Path]


def came_back(run: GreenRun, folder: Path) -> dict[str, str | None]:
    found = from_seeds(Candidates(run.folder, run.registry), folder, 0.9, None)
    return {seed.seed: seed.lost_at for seed in found.outcomes}


def test_a_row_of_the_pool_as_a_seed_fares_as_it_did(green_run: GreenRun, tmp_path: Path) -> None:
    """Pictures of the pool, hidden once more, meet the verdicts that the run gave them."""
    green_run.data["filters"][1]["sigma"] = 0.4
    green_run.data["retriever"]["k"] = 25
    green_run.run()
    verdicts, folder = green_run.verdicts(), tmp_path / "again"
    folder.mkdir()
    for number in range(30):
        picture(number, GREEN).save(folder / f"{number:02d}.png")
    outcomes = came_back(green_run, folder)
    for number in range(30):
        # A row that no anchor found is lost in the search; a copy of a row is no loss.
        wanted = verdicts.get(number, "search")
        assert outcomes[f"{number:02d}.png"] == (None if wanted == "duplicates" else wanted)
    assert {None, "search"} < set(outcomes.values())
    assert "similarity-threshold" in outcomes.values()


def test_what_a_seed_does_not_have_cannot_lose_it(
    green_run: GreenRun, tmp_path: Path, seeds: Seeds
) -> None:
    english = {"use": "column", "column": "lang", "one_of": ["en"]}
    green_run.data["filters"] = [*green_run.data["filters"], english]
    green_run.run()
    found = from_seeds(Candidates(green_run.folder, green_run.registry), seeds(3, 0), 0.9, None)
    assert found.not_judged_by == ("column",)
    assert "column" not in found.lost
    assert found.recall.value > 0


def test_small_seeds_are_lost_to_the_size(green_run_once: GreenRun, tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    picture(1, GREEN, 100).save(tmp_path / "seeds/small.png")
    (tmp_path / "seeds/broken.jpg").write_bytes(b"no picture")
    candidates = Candidates(green_run_once.folder, green_run_once.registry)
    found = from_seeds(candidates, tmp_path / "seeds", 0.9, 0.2)
    assert found.lost == {"min-size": 1}
    assert found.outcomes[0].reason == "100 x 100 is below 256 x 256"
    assert found.unreadable == 1
    assert found.more


def test_a_run_that_has_changed_is_refused(green_run: GreenRun, seeds: Seeds) -> None:
    toml = green_run.folder / "run.toml"
    toml.write_text(toml.read_text().replace("sigma = 1.5", "sigma = 1.25"))
    with pytest.raises(ConfigError, match="what the stage 'verdicts' was made of has changed"):
        came_back(green_run, seeds(1, 0))


def test_no_seed(green_run_once: GreenRun, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no JPEG, PNG or WebP picture that can be read"):
        came_back(green_run_once, tmp_path)
