from __future__ import annotations

import pickle
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import AfterValidator, AnyUrl, Field, JsonValue, SecretStr, field_validator
from yarl import URL

from laion_eo.component import ComponentConfig
from laion_eo.config import Choice, Model, NameOrRunPath, RunFile, RunPath, Secret
from laion_eo.errors import ConfigError
from laion_eo.references import filled, refuse_passwords
from laion_eo.types import JSON

VALUE = "s3cr3t/wört@h:1"
CODED = "s3cr3t%2Fw%C3%B6rt%40h%3A1"


class Mode(StrEnum):
    A = "a"


class Inner(Model):
    key: str
    others: tuple[str, ...] = ()


class Options(ComponentConfig):
    text: str = ""
    maybe: str | None = None
    short: str = Field(default="", max_length=4)
    url: Annotated[str, AfterValidator(lambda url: url.rstrip("/"))] = ""
    any_url: AnyUrl | None = None
    password: SecretStr | None = None
    later: Secret | str | None = None
    path: RunPath | None = None
    name: NameOrRunPath = ""
    many: tuple[str, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()
    some: frozenset[str] = frozenset()
    table: dict[str, str] = Field(default={})
    deep: dict[str, list[dict[str, str]]] = Field(default={})
    free: JsonValue = None
    anything: Any = None
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    part: Choice | None = None
    other_name: str = Field(default="", alias="other-name")
    number: int = 0
    mode: Mode = Mode.A
    choice: Literal["a", "b"] = "a"

    @field_validator("maybe")
    @classmethod
    def _not_two(cls, value: str | None) -> str | None:
        if value and value.endswith("2"):
            raise ValueError(f"no such thing as {value}")
        return value


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", VALUE)
    monkeypatch.setenv("TWO", "second-2")
    monkeypatch.setenv("TINY", "x7")
    monkeypatch.setenv("WEE", "w2")
    monkeypatch.setenv("EMPTY", " ")
    monkeypatch.setenv("BYTES", "\udcff")
    monkeypatch.delenv("UNSET", raising=False)


ONE = {"env": "ONE"}
WAYS: list[tuple[dict[str, JSON], object]] = [
    ({"text": ONE}, VALUE),
    ({"text": "{env=ONE}"}, VALUE),
    ({"text": '{ env = "ONE" }'}, VALUE),
    ({"text": "a {env=ONE} b {env=TINY}"}, f"a {VALUE} b x7"),
    ({"maybe": ONE}, VALUE),
    ({"url": "https://me:{env=ONE}@h/"}, f"https://me:{CODED}@h"),
    ({"url": "https://{env=TWO}:{env=ONE}@h:1/x"}, f"https://second-2:{CODED}@h:1/x"),
    ({"url": "s3://{env=TWO}:{env=ONE}@bucket"}, f"s3://second-2:{CODED}@bucket"),
    ({"url": "https://h/a?sig={env=ONE}&b=c"}, f"https://h/a?sig={CODED}&b=c"),
    ({"any_url": "https://me:{env=ONE}@h"}, AnyUrl(f"https://me:{CODED}@h")),
    ({"password": ONE}, SecretStr(VALUE)),
    ({"later": ONE}, Secret(env="ONE")),
    ({"later": "x{env=ONE}"}, f"x{VALUE}"),
    ({"path": "/data/{env=TWO}"}, Path("/data/second-2")),
    ({"path": "data/{env=TWO}"}, Path("/base/data/second-2")),
    ({"path": {"env": "TWO"}}, Path("/base/second-2")),
    ({"name": "./{env=TWO}"}, "/base/second-2"),
    ({"many": ["a", ONE, "{env=TWO}"]}, ("a", VALUE, "second-2")),
    ({"pairs": [["{env=ONE}", 1]]}, ((VALUE, 1),)),
    ({"some": ["a", ONE]}, frozenset({"a", VALUE})),
    ({"table": {"a": ONE, "b": "Bearer {env=TWO}"}}, {"a": VALUE, "b": "Bearer second-2"}),
    ({"deep": {"a": [{"b": ONE}]}}, {"a": [{"b": VALUE}]}),
    ({"free": {"a": [ONE, 1]}}, {"a": [VALUE, 1]}),
    ({"anything": ONE}, VALUE),
    ({"inner": {"key": ONE, "others": ["b", ONE]}}, Inner(key=VALUE, others=("b", VALUE))),
    ({"inners": [{"key": "a"}, {"key": ONE}]}, (Inner(key="a"), Inner(key=VALUE))),
    ({"other-name": ONE}, VALUE),
]


@pytest.mark.parametrize(("data", "value"), WAYS)
def test_an_option_is_its_value_and_shows_its_reference(
    data: dict[str, JSON], value: object
) -> None:
    config = Options.read(data, "run", Path("/base"))
    [(key, _)] = data.items()
    assert getattr(config, key.replace("-", "_")) == value
    for again in (config, config.model_copy(), pickle.loads(pickle.dumps(config))):
        dumps = [again.model_dump(), again.model_dump(mode="json"), again.model_dump(by_alias=True)]
        shown = " ".join(map(str, [*dumps, again, repr(again), again.model_dump_json()]))
        for secret in (VALUE, CODED, "second-2"):
            assert secret not in shown
        assert "ONE" in shown or "TWO" in shown


@pytest.mark.parametrize(("data", "value"), WAYS)
def test_what_is_written_out_can_be_read_again(data: dict[str, JSON], value: object) -> None:
    first = Options.read(data, "run", Path("/base"))
    dumped = first.model_dump(mode="json", by_alias=True)
    again = Options.read(dumped, "run", Path("/elsewhere"))
    [(key, _)] = data.items()
    assert getattr(again, key.replace("-", "_")) == value
    assert again.model_dump(mode="json", by_alias=True) == dumped


def test_a_part_of_the_options() -> None:
    config = Options.read({"text": ONE, "many": [ONE], "number": 3}, "run")
    assert config.model_dump(include={"text", "number"}) == {"text": ONE, "number": 3}
    assert config.model_dump(exclude_defaults=True) == {"text": ONE, "many": [ONE], "number": 3}


def test_a_relative_path_keeps_its_folder() -> None:
    config = Options.read({"path": "data/{env=TWO}"}, "run", Path("/base"))
    assert config.model_dump(mode="json")["path"] == "/base/data/{env=TWO}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"text": {"env": "UNSET"}}, "run: 'text': the environment variable UNSET is not set"),
        ({"text": "a{env=UNSET}"}, "run: 'text': the environment variable UNSET is not set"),
        ({"many": ["a", {"env": "EMPTY"}]}, "run: 'many.1': .* EMPTY is not set, or empty"),
        ({"inner": {"key": "{env=EMPTY}"}}, "run: 'inner.key': .* EMPTY is not set, or empty"),
        ({"text": {"env": "BYTES"}}, "run: 'text': .* BYTES holds bytes that are no UTF-8"),
        ({"text": "{env=}"}, "run: 'text': a reference .* is written {env=NAME}"),
        ({"text": "{env=ONE"}, "run: 'text': a reference .* is written {env=NAME}"),
        ({"text": "{env=ONE} {env=1X}"}, "run: 'text': a reference .* is written {env=NAME}"),
        ({"text": {"env": "not a name"}}, "run: 'text': a reference .* is written {env=NAME}"),
        ({"number": ONE}, "run: 'number': .*integer"),
        ({"number": "{env=TINY}"}, "run: 'number': .*integer"),
        ({"mode": ONE}, "run: 'mode': .*'a'"),
        ({"choice": "{env=ONE}"}, "run: 'choice': .*'a'"),
        ({"text": {"env": 5}}, "run: 'text': .*string"),
        ({"text": {"env": "ONE", "more": 1}}, "run: 'text': .*string"),
        ({"short": ONE}, "run: 'short': .*at most 4 characters$"),
        ({"short": {"env": "TWO"}, "number": "x"}, "4 characters; 'number': .*got 'x'"),
        ({"maybe": {"env": "TWO"}}, r"run: 'maybe': no such thing as \*\*\*"),
        ({"maybe": {"env": "WEE"}}, "run: 'maybe': what the environment variable holds is not val"),
        ({"any_url": "{env=ONE}"}, "run: 'any_url': .*URL"),
        ({"nothing": ONE}, "run: unknown key 'nothing'"),
    ],
)
def test_faults_are_one_line_without_the_value(data: dict[str, JSON], message: str) -> None:
    with pytest.raises(ConfigError, match=message.removesuffix("$")) as caught:
        Options.read(data, "run")
    assert "\n" not in str(caught.value)
    for secret in (VALUE, "second-2", "x7", "not a name"):
        assert secret not in str(caught.value)


def test_a_table_that_is_one_stays_one() -> None:
    config = Options.read({"table": ONE, "free": {"a": "b"}}, "run")
    assert config.table == ONE


def test_a_component_inside_a_component_reads_its_own() -> None:
    config = Options.read({"part": {"use": "x", "url": "https://me:{env=UNSET}@h"}}, "run")
    assert config.part is not None
    assert config.part.options == {"url": "https://me:{env=UNSET}@h"}


def test_what_has_no_reference_is_dumped_as_ever() -> None:
    config = Options.read({"text": "{environment=1} {x}", "many": ["a"]}, "run")
    assert config.text == "{environment=1} {x}"
    assert config == Options(text="{environment=1} {x}", many=("a",))
    assert "many=('a',)" in repr(config)


def test_a_base_url_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE", "https://h/a")
    assert filled("{env=BASE}/b?sig={env=ONE}") == f"https://h/a/b?sig={CODED}"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_any_password_fits_into_a_url(password: str) -> None:
    assume(password.strip())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANY", password)
        url = URL(filled("https://me:{env=ANY}@h.example:1/a"))
    assert (url.user, url.password, url.host, url.port) == ("me", password, "h.example", 1)


REFUSED = [
    "https://me:hunter2@h/", "https://hunter2@h/", "http://:hunter2@h", "s3://KEY:hunter2@bucket/p",
    "https://{env=ONE}:hunter2@h/", "https://me:{env=ONE}hunter2@h", "https://me:hunter2@x@h/",
    "simplecache::https://me:hunter2@h/", "zip://a.zip::https://me:hunter2@h/b.zip",
    "https://h/?sig=hunter2", "https://h/a?page=2&X-Amz-Signature=hunter2", "az://c/p?sv=1&sig=hunter2",
    "https://h/?api_key=hunter2{env=ONE}", "https://h/?access-token=hunter2",
]  # fmt: skip
TAKEN = [
    "https://{env=TWO}@h/", "https://me:{env=ONE}@h/", "https://{env=TWO}:{env=ONE}@h/",
    "https://h/?sig={env=ONE}", "https://h/?page=2&signed=yes&sig=", "hf://datasets/a@main/b",
    "sftp://me@host/pool", "ssh://git@host", "https://h/a@b:c@d", "https://h/?a=b:c@d",
    "a photo of https://me:you@h", "mailto:me@example.org", "me:you@h", "https://[v1.x]/", "http://",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_password_in_a_url_is_refused_without_repeating_it(text: str) -> None:
    data = {"anchors": {"use": "images", "root": "a"}, "retriever": {"use": "x", "urls": [text]}}
    with pytest.raises(ConfigError, match=r"run: 'retriever\.urls\.0': .*not written here") as one:
        RunFile.load(data)
    with pytest.raises(ConfigError, match=r"run: 'many\.0': .*not written here") as two:
        Options.read({"many": [text]}, "run")
    for caught in (one, two):
        assert "hunter2" not in str(caught.value)
        assert "env=" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", TAKEN)
def test_no_other_text_is_refused(text: str) -> None:
    refuse_passwords({"a": [text]})


def test_an_override_is_refused_likewise(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[anchors]\nuse = "images"\n[retriever]\nuse = "knn-service"\n')
    with pytest.raises(ConfigError, match=r"run\.toml: 'retriever\.url': a password") as caught:
        RunFile.load(file, ["retriever.url=https://me:hunter2@h/"])
    assert "hunter2" not in str(caught.value)
    taken = RunFile.load(file, ["retriever.url=https://me:{env=ONE}@h/", 'embedder.x={env = "A"}'])
    assert taken.config.retriever.options == {"url": "https://me:{env=ONE}@h/"}
    assert taken.config.embedder.options == {"x": {"env": "A"}}


@pytest.mark.parametrize(
    "override",
    [
        "retriever.url.x=https://me:hunter2@h/", "https://me:hunter2@h/", "seed.token=hunter2",
        "retriever.use.password=hunter2\udcff",
    ],
)  # fmt: skip
def test_a_malformed_override_is_not_repeated(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunFile.load({"retriever": {"use": "x", "url": "y"}, "seed": 1}, [override])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("written", [{"env": "ONE"}, "{env=ONE}", "ray://{env=ONE}:10001"])
def test_the_cluster_s_address_stays_as_written(written: JSON, monkeypatch: Any) -> None:
    base = {"anchors": {"use": "images"}, "retriever": {"use": "x"}}
    run = RunFile.load({**base, "engine": {"address": written}})
    assert run.config.engine.address == (written if isinstance(written, str) else "{env=ONE}")
    monkeypatch.delenv("ONE")
    with pytest.raises(ConfigError, match=r"run: 'engine\.address': .* ONE is not set"):
        _ = RunFile.load({**base, "engine": {"address": written}}).config


def test_what_is_published_is_no_secret() -> None:
    base = {"anchors": {"use": "images"}, "retriever": {"use": "x"}}
    with pytest.raises(ConfigError, match=r"'dataset\.contact' is published"):
        _ = RunFile.load({**base, "dataset": {"contact": ONE}}).config
