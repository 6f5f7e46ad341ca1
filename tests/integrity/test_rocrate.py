from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from laion_eo.errors import ConfigError, DataError
from laion_eo.file_record import record_file
from laion_eo.integrity.export import export
from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.manifest import Manifest
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON

rocrate = pytest.importorskip("rocrate.rocrate", reason="the extra `crate` is not installed")

PROFILES = ("ro-crate-1.1", "process-run-crate-0.5")


@pytest.fixture(scope="module")
def crate(finished_run: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(finished_run.folder, "ro-crate", tmp_path_factory.mktemp("crates") / "crate")


@pytest.fixture
def copied(finished_run: RunResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run.folder, tmp_path / "run"))


def entities(crate: Path) -> dict[str, dict[str, JSON]]:
    data = json.loads((crate / "ro-crate-metadata.json").read_text("utf-8"))
    return {entity["@id"]: entity for entity in data["@graph"]}


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def referred(value: JSON) -> list[str]:
    return [item["@id"] for item in (value if isinstance(value, list) else [value])]


def test_it_holds_the_dataset_as_the_run_left_it(finished_run: RunResult, crate: Path) -> None:
    files = everything(crate)
    left = {
        f"dataset/{name}": content for name, content in everything(finished_run.dataset).items()
    }
    assert {name: files[name] for name in left} == left
    added = {"manifest.json", "run.toml", "ro-crate-metadata.json"}
    assert files.keys() == left.keys() | added
    for name, entity in entities(crate).items():
        if entity["@type"] == "File":
            assert entity["sha256"] == hashlib.sha256(files.pop(name)).hexdigest()
            assert int(entity["contentSize"]) == (crate / name).stat().st_size
    assert files.keys() == {"ro-crate-metadata.json"}


def test_rocrate_reads_it_back(finished_run: RunResult, crate: Path) -> None:
    read = rocrate.ROCrate(str(crate))
    assert read.name == "LAION-EO ver-0"
    assert read.license.id == "https://creativecommons.org/licenses/by/4.0/"
    assert read.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    stages = finished_run.manifest["stages"]
    assert [action.id for action in read.root_dataset["mentions"]] == [
        f"#{name}" for name in stages
    ]
    croissant = read.get("dataset/croissant-ver-0.json")
    assert croissant["conformsTo"].id == "http://mlcommons.org/croissant/1.0"
    assert croissant["about"].id == "dataset/"
    table = read.get("dataset/ver-0/train-00000-of-00001.parquet")
    assert table["encodingFormat"] == "application/vnd.apache.parquet"


def test_each_stage_is_an_action_with_what_made_it(finished_run: RunResult, crate: Path) -> None:
    graph = entities(crate)
    for name, stage in finished_run.manifest["stages"].items():
        action = graph[f"#{name}"]
        assert action["@type"] == "CreateAction"
        (maker,) = stage["made_by"]
        assert action["startTime"].replace("+00:00", "Z") == maker["started"]
        assert action["endTime"].replace("+00:00", "Z") == maker["ended"]
        tools = [graph[tool] for tool in referred(action["instrument"])]
        assert tools[0]["softwareVersion"] == maker["software"]["laion_eo"]
        needs = [graph[need] for need in referred(tools[0]["softwareRequirements"])]
        assert {need["name"]: need["softwareVersion"] for need in needs}.items() >= (
            maker["software"]["packages"].items()
        )
        inputs = {f"#{need}-table" for need in stage["inputs"]}
        assert {"run.toml", *inputs} <= set(referred(action["object"]))
    names = [graph[tool]["name"] for tool in referred(graph["#scores"]["instrument"])]
    assert names == ["laion-eo", "this program"]  # the plugin of the colours
    assert "dataset/ver-0/train-00000-of-00001.parquet" in referred(graph["#dataset"]["result"])


def test_the_manifest_in_it_is_read_by_its_class(finished_run: RunResult, crate: Path) -> None:
    public, own = Manifest.load(crate), Manifest.load(finished_run.folder)
    assert public.stages == own.stages
    assert public.history == own.history
    assert public.resolved.anchors.options["root"].startswith("…/")


def test_two_exports_are_identical(finished_run: RunResult, crate: Path, tmp_path: Path) -> None:
    again = export(str(finished_run.folder), "ro-crate", str(tmp_path / "crate"))
    assert everything(again) == everything(crate)


def test_with_the_tables_they_take_the_place_of_their_digests(
    finished_run: RunResult, tmp_path: Path
) -> None:
    crate = export(finished_run.folder, "ro-crate", tmp_path / "crate", tables=True)
    graph = entities(crate)
    for name, stage in Manifest.load(finished_run.folder).stages.items():
        parts = [file.path for file in stage.files]
        assert referred(graph[f"#{name}"]["result"]) == [f"{name}/", *parts]
        assert {f"{need}/" for need in stage.inputs} <= set(referred(graph[f"#{name}"]["object"]))
        for file in stage.files:
            assert record_file(crate, crate / file.path, file.rows) == file
    assert not (crate / "images").exists()


SECRETS = ("planted-user-1", "planted-password-2")


def test_no_path_and_no_secret_of_this_machine_is_in_it(
    run_data: dict[str, JSON], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", f"http://{SECRETS[0]}:{SECRETS[1]}@127.0.0.1:9")
    downloader = run_data["downloader"] | {"proxy": {"env": "PLANTED"}}
    data = run_data | {"downloader": downloader}
    folder = tmp_path / "planted-folder" / "run"
    run(data, folder, registry=Registry.discover([colours]))
    crate = export(folder, "ro-crate", tmp_path / "crate", tables=True)
    private = [*SECRETS, str(tmp_path), str(Path.home()), run_data["anchors"]["root"]]
    for name, content in everything(crate).items():
        if name.endswith(".parquet"):
            content = str(pq.read_table(crate / name, partitioning=None).to_pydict()).encode()
        assert [text for text in private if text.encode() in content] == [], name


def rewrite_dataset(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a finished run, and its records and seal accordingly."""
    run_dir = RunDir(folder)
    (path,) = (folder / "dataset" / "ver-0").glob("*.parquet")
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)
    record = run_dir.record("dataset")
    assert record is not None
    files = tuple(record_file(folder, folder / file.path, file.rows) for file in record.files)
    record = record.model_copy(update={"files": files})
    run_dir.records.save("dataset", record)
    manifest = Manifest.load(folder)
    stages = manifest.stages | {"dataset": record}
    text = json.dumps(manifest.model_copy(update={"stages": stages}).dump(), indent=1)
    run_dir.write_text("manifest.json", text)
    run_dir.seal()


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("url", "file:///data/photos/1.jpg"),
        ("url", " FILE:/data/photos/1.jpg"),
        ("caption", "kept in {run}"),
        ("caption", "{anchors}/200.png"),
    ],
)
def test_rows_that_name_files_of_this_machine_are_refused(
    column: str, text: str, copied: Path, tmp_path: Path, anchors: Path
) -> None:
    said = text.format(run=copied, anchors=anchors)

    def change(table: pa.Table) -> pa.Table:
        values = [said, *table[column].to_pylist()[1:]]
        return table.set_column(table.schema.get_field_index(column), column, pa.array(values))

    rewrite_dataset(copied, change)
    with pytest.raises(DataError, match=rf"^dataset/ver-0/train.*: its column '{column}' names"):
        export(copied, "ro-crate", tmp_path / "crate")
    assert not (tmp_path / "crate").exists()
    rewrite_dataset(copied, lambda table: table.slice(1))
    export(copied, "ro-crate", tmp_path / "crate")


def test_a_secret_in_plain_text_is_refused_wherever_it_comes_out(
    run_data: dict[str, JSON], tmp_path: Path
) -> None:
    """The publisher, say, records as a fact what it was told in secret."""
    folder = tmp_path / "run"
    run(run_data, folder, registry=Registry.discover([colours]))
    run_dir, manifest = RunDir(folder), Manifest.load(folder)
    said = {**manifest.run, "lab": {"api_key": "planted-token-1"}}
    told = manifest.model_copy(update={"run": said, "lab": "it was planted-token-1"})
    run_dir.write_text("manifest.json", json.dumps(told.dump()))
    run_dir.seal()
    with pytest.raises(DataError, match=r"^manifest.json: names a path or a secret"):
        export(folder, "ro-crate", tmp_path / "crate")


@pytest.mark.parametrize(
    ("harm", "error", "words"),
    [
        ("rm -r dataset", DataError, "run/dataset/ver-0/train-.*: it is gone; run `laion-eo"),
        ("echo x >> dataset/README.md", DataError, "README.md: it has .* bytes instead of"),
        ("echo x > dataset/secrets.env", DataError, "secrets.env: it is not of this run"),
        ("cd dataset && mv README.md x && ln -s x README.md", DataError, "README.md: it is a link"),
        ("echo >> manifest.json", DataError, "manifest.json: it has .* bytes instead of"),
        ("echo >> run.toml", DataError, "run.toml: it has .* bytes instead of"),
        ("rm .stages/run.json", ConfigError, "no finished run in this folder; `laion-eo run`"),
        ("rm .stages/scores.json", DataError, "manifest.json: not of this run's stages"),
        ("rm -r .stages dataset manifest.json", ConfigError, "no finished run in this folder"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(
    harm: str, error: type[Exception], words: str, copied: Path, tmp_path: Path
) -> None:
    subprocess.run(harm, shell=True, cwd=copied, check=True)
    with pytest.raises(error, match=words) as caught:
        export(copied, "ro-crate", tmp_path / "crate")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "crate").exists()


def test_a_damaged_table_is_refused_if_it_is_asked_for(copied: Path, tmp_path: Path) -> None:
    (path, *_) = sorted((copied / "scores").glob("part-*"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    export(copied, "ro-crate", tmp_path / "without")
    with pytest.raises(DataError, match=rf"{path.name}: its content has changed"):
        export(copied, "ro-crate", tmp_path / "with", tables=True)


def test_a_folder_in_use_is_left_alone(finished_run: RunResult, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(ConfigError, match="is there already; name a new or empty folder"):
            export(finished_run.folder, "ro-crate", out)
    assert everything(tmp_path) == {"mine.txt": b"x"}
    (tmp_path / "empty").mkdir()
    assert export(finished_run.folder, "ro-crate", tmp_path / "empty") == tmp_path / "empty"


def test_a_run_from_before_claims_no_version(copied: Path, tmp_path: Path) -> None:
    run_dir, manifest = RunDir(copied), Manifest.load(copied)
    stages = {
        name: record.model_copy(update={"made_by": ()}) for name, record in manifest.stages.items()
    }
    for name, record in stages.items():
        run_dir.records.save(name, record)
    text = json.dumps(manifest.model_copy(update={"stages": stages, "history": ()}).dump())
    run_dir.write_text("manifest.json", text)
    run_dir.seal()
    graph = entities(export(copied, "ro-crate", tmp_path / "crate"))
    assert referred(graph["#scores"]["instrument"]) == ["#laion-eo"]
    assert "softwareVersion" not in graph["#laion-eo"]
    assert "startTime" not in graph["#scores"]


@pytest.mark.parametrize(
    ("license_", "url"),
    [
        ("CC-BY-NC-SA-3.0", "https://creativecommons.org/licenses/by-nc-sa/3.0/"),
        ("cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("etalab-2.0", "#license-etalab-2.0"),
    ],
)
def test_the_licence(license_: str, url: str, copied: Path, tmp_path: Path) -> None:
    run_dir, manifest = RunDir(copied), Manifest.load(copied)
    options = manifest.resolved.dataset.model_copy(update={"license": license_})
    resolved = manifest.resolved.model_copy(update={"dataset": options})
    text = json.dumps(manifest.model_copy(update={"resolved": resolved}).dump())
    run_dir.write_text("manifest.json", text)
    run_dir.seal()
    graph = entities(export(copied, "ro-crate", tmp_path / "crate"))
    assert graph["./"]["license"] == graph["dataset/"]["license"] == {"@id": url}
    assert graph[url]["name"] == license_


UNKNOWN = ("agent", "author", "publisher", "url", "absolute URI", "softwareVersion")
CONTEXT = "https://w3id.org/ro/crate/1.1/context"


def packaged_context(cache: Path) -> None:
    """Put the context that the package rocrate holds, of a later version, where 1.1's is sought."""
    requests_cache = pytest.importorskip("requests_cache")
    content = json.dumps(pytest.importorskip("rocrate.vocabs").RO_CRATE).encode()

    class Packaged(HTTPAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            about = {"Content-Type": "application/ld+json"}
            body = HTTPResponse(
                BytesIO(content), about, 200, preload_content=False, request_url=request.url
            )
            return self.build_response(request, body)

    with requests_cache.CachedSession(str(cache)) as session:
        session.mount("https://", Packaged())
        assert session.get(CONTEXT).json()["@context"]["name"]


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pyshacl, about rdflib
@pytest.mark.parametrize("tables", [False, True])
def test_the_validator_of_crs4_finds_no_fault(
    tables: bool, finished_run: RunResult, tmp_path: Path
) -> None:
    services = pytest.importorskip("rocrate_validator.services")
    models = pytest.importorskip("rocrate_validator.models")
    packaged_context(tmp_path / "cache")
    crate = export(finished_run.folder, "ro-crate", tmp_path / "crate", tables=tables)

    def issues(profile: str, severity: str = "REQUIRED") -> list[str]:
        settings = models.ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier=profile,
            requirement_severity=models.Severity[severity],
            offline=True,
            cache_path=str(tmp_path / "cache"),
        )
        return [str(issue.message) for issue in services.validate(settings).get_issues()]

    for profile in PROFILES:
        assert issues(profile) == []
        # Who ran it, and where laion-eo and its plugins are on the web, is not known.
        wishes = issues(profile, "RECOMMENDED")
        assert [text for text in wishes if not any(word in text for word in UNKNOWN)] == []
    # It sees what is wrong.
    data = json.loads((crate / "ro-crate-metadata.json").read_text("utf-8"))
    for entity in data["@graph"]:
        entity.pop("instrument", None)
    (crate / "ro-crate-metadata.json").write_text(json.dumps(data))
    assert any("MUST have an instrument" in issue for issue in issues(PROFILES[1]))
