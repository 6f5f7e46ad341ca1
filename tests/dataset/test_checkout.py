from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import yaml
from fakes.hub_state import LoopbackHub
from places import Load, Place

from laion_eo.dataset.checkout import find_checkout, keep


def test_a_checkout_is_found_from_inside(checkout: Path, tmp_path: Path) -> None:
    assert find_checkout(checkout) == checkout
    assert find_checkout(checkout / "hf_dataset" / "laion_eo") == checkout
    assert find_checkout(tmp_path) is None


def test_second_configuration_needs_no_hub(
    published_hub: LoopbackHub, checkout: Path, published: pa.Table, tmp_path: Path
) -> None:
    published.to_pandas().to_csv(tmp_path / "x.csv", index=False)
    keep(checkout, "ver-1", {"x.csv": tmp_path / "x.csv"})
    here = Place(published_hub, tmp_path, checkout)
    here.env["HF_HUB_OFFLINE"] = "1"
    # The made rows are as many as those of ver-0.
    call = Load("laion_eo", "ver-1", {"verification_mode": "no_checks"})
    assert here.load(call) == [published]
    assert published_hub.requests == []


def test_older_copy_is_replaced(checkout: Path, tmp_path: Path) -> None:
    for config, name in (("ver-0", "old"), ("ver-1", "other"), ("ver-0", "new")):
        (tmp_path / name).write_text(name)
        keep(checkout, config, {f"{name}.csv": tmp_path / name})
    home = checkout / "hf_dataset" / "laion_eo"
    kept = {path.relative_to(home).as_posix(): path.read_text() for path in home.glob("*/*")}
    assert kept == {"ver-0/new.csv": "new", "ver-1/other.csv": "other"}
    for folder in (home, checkout / "laion_eo"):
        head = yaml.safe_load((folder / ".huggingface.yaml").read_text("utf-8"))
        assert "hf://" not in str(head["configs"])
