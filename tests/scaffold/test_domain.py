from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import tomli_w

import laion_eo
from laion_eo.errors import ConfigError, DataError
from laion_eo.pipeline import plan, run
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.scaffold.domain import init, slug, title_of
from laion_eo.testing.web import GREEN, picture
from laion_eo.types import JSON

QUICK = ["language_tagger.use=letters"]  # in place of a model


@pytest.fixture
def green(tmp_path: Path) -> Path:
    """Twelve anchors."""
    folder = tmp_path / "green-fields"
    folder.mkdir()
    for seed in range(200, 212):
        picture(seed, GREEN).save(folder / f"{seed}.jpg")
    return folder


@pytest.fixture
def local_pool(web: Path, registry: Registry, tmp_path: Path) -> Path:
    """A pool whose images are on this disk."""
    return index(web, tmp_path / "pool", {"use": "colours"}, None, registry).folder


def tables(path: Path) -> dict[str, JSON]:
    return tomllib.loads(path.read_text("utf-8"))


def test_a_run_file_for_a_folder_of_pictures(
    green: Path, local_pool: Path, registry: Registry, tmp_path: Path
) -> None:
    pool = str(local_pool)
    out = tmp_path / "x.toml"
    made = init(green, "a green image", out, registry=registry, pool=pool, license="cc0-1.0")
    assert (made.path, made.notes) == (out, ())
    said = tables(made.path)
    assert said["anchors"] == {"use": "images", "root": str(green)}
    assert said["normalizer"] == {"use": "none"}
    assert said["embedder"] == {"use": "colours"}  # as the pool's own record says
    assert said["downloader"] == {"use": "http", "allow_files": True}
    assert said["scorers"][1] | {"prompt": "a green image"} == said["scorers"][1]
    assert said["filters"][0] == {"use": "min-size", "width": 256, "height": 256}
    assert said["dataset"] == {
        "config": "green-fields",
        "pretty_name": "Green fields",
        "tags": ["green-fields"],
        "license": "cc0-1.0",
    }


def test_it_plans_and_runs_as_it_was_written(
    green: Path, local_pool: Path, registry: Registry, tmp_path: Path
) -> None:
    made = init(
        green, "a green image", tmp_path / "x.toml", registry=registry, pool=str(local_pool)
    )
    assumed = {one.option for one in plan(made.path, tmp_path / "run", QUICK, registry).assumed}
    # What is left is not of this domain, or of any; but for the licence, which is to be chosen.
    assert {option for option in assumed if option.startswith(("anch", "norm", "scor"))} == set()
    assert "dataset.license" in assumed
    result = run(made.path, tmp_path / "run", QUICK, registry)
    assert (result.dataset / "green-fields").is_dir()
    kept = result.manifest["stages"]["dataset"]["counts"]["rows"]
    assert 15 <= kept <= 30  # most of the green ones, of which there are 30, and no red one
    card = (result.dataset / "README.md").read_text("utf-8")
    for word in ("satellite", "earth", "climate"):
        assert word not in card.partition("## Citation")[0].lower()


def test_texts_run_too(local_pool: Path, registry: Registry, tmp_path: Path) -> None:
    texts = ["a green image", "green and white", "green and grey"]
    made = init(
        texts, "a green field", tmp_path / "x.toml", registry=registry, pool=str(local_pool)
    )
    said = tables(made.path)
    assert said["anchors"] == {"use": "texts", "prompts": texts}
    assert said["dataset"]["pretty_name"] == "Green field"
    result = run(made.path, tmp_path / "run", QUICK, registry)
    assert result.manifest["stages"]["dataset"]["counts"]["rows"] > 5


def test_paths_are_as_they_were_given(
    green: Path, pool: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("runs") / "x.toml"
    made = init("green-fields", "green", out, registry=registry, pool="pools/mine")
    assert made.path == out
    said = tables(out)
    assert said["anchors"]["root"] == "../green-fields"
    assert said["retriever"]["pool"] == "../pools/mine"
    assert "pools/mine: there is no pool yet; `laion-eo index` makes it." in made.notes
    text = out.read_text("utf-8")
    assert "laion-eo index PICTURES --out pools/mine --embedder open-clip" in text
    assert f"laion-eo run {out}" in text
    assert "allow_files" not in text
    made = init("green-fields", "green", registry=registry, pool=str(pool))
    assert made.path == Path("green-fields.toml")
    assert tables(made.path)["retriever"]["pool"] == str(pool)
    assert "allow_files" not in made.path.read_text("utf-8")  # its images are served


def test_an_embedder_that_is_not_the_pools_is_refused(
    green: Path, pool: Path, registry: Registry, tmp_path: Path
) -> None:
    out = tmp_path / "x.toml"
    with pytest.raises(ConfigError, match=r"x\.toml: the pool of \[retriever\] was made with 'col"):
        init(green, "green", out, registry=registry, pool=str(pool), embedder="tiny")
    with pytest.raises(ConfigError, match=r"no embedder named 'tinny'\. Did you mean 'tiny'"):
        init(green, "green", out, registry=registry, embedder="tinny")
    assert not out.exists()


def test_nothing_is_overwritten(green: Path, registry: Registry, tmp_path: Path) -> None:
    out = tmp_path / "x.toml"
    out.write_text("mine")
    with pytest.raises(ConfigError, match=r"x\.toml: is there already; --force replaces it"):
        init(green, "green", out, registry=registry)
    assert out.read_text() == "mine"
    init(green, "green", out, registry=registry, force=True)
    assert tables(out)["dataset"]["license"] == "unknown"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"tags": ("two words",)}, r"'dataset\.tags\.0'"),
        ({"titel": "x"}, r"init: unknown key 'titel'\. Did you mean 'title'"),
        ({"title": " "}, "init: 'title': a line of text was expected"),
        ({"prompt": "a\x1bb"}, "init: 'prompt': a line of text was expected"),
        ({"license": ""}, "init: 'license'"),
    ],
)
def test_faults_are_one_line(
    green: Path, registry: Registry, tmp_path: Path, options: dict[str, JSON], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        init(
            green,
            **{"prompt": "green", "out": tmp_path / "x.toml", "registry": registry, **options},
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.toml").exists()


def test_a_damaged_pool_is_told(
    green: Path, local_pool: Path, registry: Registry, tmp_path: Path
) -> None:
    (local_pool / "index.json").write_text("{")
    with pytest.raises(DataError, match=r"index\.json: "):
        init(green, "green", tmp_path / "x.toml", registry=registry, pool=str(local_pool))


def test_odd_words_stay_what_they_are(green: Path, registry: Registry, tmp_path: Path) -> None:
    odd = 'a "dog", C:\\new # {prompt} {{ title }} 犬'
    made = init(green, odd, tmp_path / "x.toml", registry=registry, title=odd)
    said = tables(made.path)
    assert said["scorers"][1]["prompt"] == odd
    assert said["dataset"]["pretty_name"] == odd
    assert tomli_w.dumps(said)


@pytest.mark.parametrize(
    ("folder", "prompt", "title"),
    [
        ("dogs", "a photo of a dog", "Dogs"),
        ("my_clip-art", "clip art", "My clip art"),
        ("anchors", "a photo of a dog", "Dog"),
        ("2024", "an aerial view of the rivers", "Rivers"),
        (None, "a parking lot from above", "Parking lot from above"),
        (None, "drawings", "Drawings"),
        (None, "the", "The"),
    ],
)
def test_titles(folder: str | None, prompt: str, title: str) -> None:
    assert title_of(None if folder is None else Path("data", folder), prompt) == title


@pytest.mark.parametrize(
    ("title", "name"),
    [("Clip art, old", "clip-art-old"), ("Flüsse", "flusse"), ("犬", "domain"), ("../up", "up")],
)
def test_slugs(title: str, name: str) -> None:
    assert slug(title) == name


def test_it_is_a_call_of_the_package() -> None:
    assert laion_eo.init is init
