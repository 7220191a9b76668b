"""The JSON Schema for editors is up to date, valid, and agrees with the exporter's own checks."""

import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from exporter.config.load import load_config
from exporter.config.schema import schema_text
from exporter.simulator import story
from tests.support.editor import VALIDATOR, read

ROOT = Path(__file__).parents[3]


PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


FILES = [*(ROOT / "docs" / "examples").glob("*.yml"), *(Path(__file__).parent / "good").rglob("*.yml")]


HEAD = "credentials: {c: {type: default}}\n"


TARGET = "targets: [{name: a, vault: contoso, key: k/1, credential: c}]\n"


GUID = "66666666-7777-8888-9999-000000000000"


def test_schema_file_is_up_to_date():
    assert (ROOT / "docs" / "ekm.schema.json").read_text(encoding="utf-8") == schema_text(), "run: ./dev docs"


def test_schema_is_valid_by_its_metaschema():
    jsonschema_rs.meta.validate(yaml.safe_load(schema_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_good_files_are_valid(path):
    VALIDATOR.validate(read(path.read_text(encoding="utf-8")))


def test_example_on_the_page_is_valid():
    [example] = re.findall(r"```yaml\n(global:.*?)```", PAGE, re.DOTALL)
    VALIDATOR.validate(read(example))


def test_demo_configuration_is_valid(tmp_path):
    VALIDATOR.validate(read(story.write_demo(tmp_path).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (HEAD + TARGET.replace("key:", "keyy: k/1, key:"), ["targets", 0]),
        (HEAD + TARGET.replace("name: a, ", ""), ["targets", 0]),
        (HEAD + TARGET.replace("key: k/1", "key: [k]"), ["targets", 0, "key"]),
        (HEAD + TARGET.replace("key: k/1", "key: k/1, interval: 60"), ["targets", 0, "interval"]),
        (HEAD + TARGET.replace("key: k/1", "key: k/1, interval: 60x"), ["targets", 0, "interval"]),
        (HEAD + TARGET.replace("key: k/1", "key: k/1, labels: {job: x}"), ["targets", 0, "labels"]),
        (HEAD + TARGET.replace("key: k/1", "key: k/1, instances: [{host: n}]"), ["targets", 0, "instances", 0]),
        (HEAD + TARGET.replace("key: k/1", "key: k/1, backup_on: 31.01.2026"), ["targets", 0, "backup_on"]),
        (HEAD + TARGET.replace("key: k/1", "key: k/1, maintenance: [tomorrow]"), ["targets", 0, "maintenance", 0]),
        ("global: {vantage: home}\n" + HEAD + TARGET, ["global", "vantage"]),
        ("global: {concurrency: 0}\n" + HEAD + TARGET, ["global", "concurrency"]),
        ("target_defaults: {name: a}\n" + HEAD + TARGET, ["target_defaults"]),
        ("modules: {m: {api_version: 7.4}}\n" + HEAD + TARGET, ["modules", "m", "api_version"]),
        ("modules: {m: {proxy: {no_proxy: []}}}\n" + HEAD + TARGET, ["modules", "m", "proxy"]),
        ("modules: {m: {crl_check: maybe}}\n" + HEAD + TARGET, ["modules", "m", "crl_check"]),
        ("credentials: {c: {}}\n" + TARGET, ["credentials", "c"]),
        ("global: {sql_interval: 300}\n" + HEAD + TARGET, ["global", "sql_interval"]),
        ("sql_servers: [{entra_credential: c}]\n" + HEAD + TARGET, ["sql_servers", 0]),
        ("sql_servers: [{address: n, entra_credential: c, trust: true}]\n" + HEAD + TARGET, ["sql_servers", 0]),
        ("sql_servers: [{address: n, entra_credential: c, certificate_sha256: 'AB:CD'}]\n" + HEAD + TARGET, ["sql_servers", 0]),
        ("sql_server_defaults: {address: n}\n" + HEAD + TARGET, ["sql_server_defaults"]),
        ("credentials: {c: {type: default, client_id: " + GUID + "}}\n" + TARGET, ["credentials", "c"]),
        ("credentials: {c: {type: client_secret, client_id: " + GUID + "}}\n" + TARGET, ["credentials", "c"]),
        ("credentials: {c: {type: client_secret, client_secret_env: X}}\n" + TARGET, ["credentials", "c"]),
    ],
)
def test_mistakes_are_rejected_by_schema_and_exporter(text, place, tmp_path):
    (tmp_path / "ekm.yml").write_text(text)
    assert load_config(tmp_path / "ekm.yml").problems
    places = [error.instance_path for error in VALIDATOR.iter_errors(read(text))]
    assert place in [found[: len(place)] for found in places]


@pytest.mark.parametrize(
    ("written", "valid"),
    [
        ('key: k/1, maintenance: ["2026-12-05T20:00Z/2026-12-06T02:00Z"]', True),
        (f'key: k/1, maintenance: ["{datetime(2026, 1, 1, tzinfo=UTC).isoformat()}/2027-01-01T00:00+01:00"]', True),
        *((f'key: "{key}"', True) for key in ("Tde", "Tde/1", "https://contoso.vault.azure.net:443/keys/Tde/1")),
        ('key: "Tde/1/2"', False),
        ('key: "https://contoso.vault.azure.net/secrets/Tde/1"', False),
        ('key: "https://u:p@contoso.vault.azure.net/keys/Tde"', False),
        *((f"key: k/1, thumbprint: {text}", True) for text in ("0x" + "00ff" * 10, '"0x2C"', "0x2C5677D76F76D77F80")),
        ("key: k/1, thumbprint: 0xGG", False),
    ],
)
def test_schema_accepts_each_form_of_windows_keys_and_thumbprints(written, valid):
    assert VALIDATOR.is_valid(read(HEAD + TARGET.replace("key: k/1", written))) is valid
