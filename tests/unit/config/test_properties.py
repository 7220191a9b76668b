"""Any content of a file gives a result in time, never an exception."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.config.load import load_config
from exporter.config.schema import CREDENTIAL, GLOBAL, MODULE, PROXY, RETAINED, SQL_SERVER, TARGET, TLS, TOP, dump_yaml
from tests.support.editor import VALIDATOR, read

BOUNDED = settings(deadline=timedelta(seconds=10), max_examples=150)

words = st.sampled_from(
    [
        *sorted(
            {
                field.name
                for table in (TOP, GLOBAL, CREDENTIAL, MODULE, PROXY, TLS, TARGET, RETAINED, SQL_SERVER)
                for field in table
            }
        ),
        "default",
        "c",
        "client_secret",
        "managed_identity",
        "60s",
        "10s",
        "k/1",
        "contoso",
        "2027-03-01",
        "<<",
        "full",
    ]
)
texts = words | st.text(max_size=12)
scalars = texts | st.none() | st.booleans() | st.integers() | st.floats() | st.dates()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | scalars, inner, max_size=5), max_leaves=25
)
targets = st.fixed_dictionaries(
    {
        "name": st.sampled_from("ab") | values,
        "vault": st.just("contoso") | values,
        "key": st.just("k/1") | values,
        "credential": st.just("c") | values,
    },
    optional={field.name: values for field in TARGET if not field.required},
)
sql_servers = st.fixed_dictionaries(
    {"address": st.sampled_from(["n1", "N1", "n1,1433", "n1\\I"]) | values},
    optional={
        "user": st.just("u") | values,
        "entra_credential": st.just("c") | values,
        **{field.name: values for field in SQL_SERVER if field.name not in ("address", "user", "entra_credential")},
    },
)
configurations = st.fixed_dictionaries(
    {
        "credentials": st.fixed_dictionaries({"c": st.just({"type": "default"}) | st.dictionaries(words, values, max_size=4)})
        | values,
        "targets": st.lists(targets, min_size=1, max_size=3) | values,
    },
    optional={
        "global": st.dictionaries(words, values, max_size=4) | values,
        "modules": st.dictionaries(words, st.dictionaries(words, values, max_size=4), max_size=2) | values,
        "target_defaults": st.dictionaries(words, values, max_size=4) | values,
        "sql_server_defaults": st.dictionaries(words, values, max_size=4) | values,
        "sql_servers": st.lists(sql_servers, max_size=3) | values,
        "include": st.lists(st.sampled_from(["ekm.yml", "*.yml", "missing", ".", "a\0b", "//", "[", ""]) | values, max_size=3),
    },
)


def load(data):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ekm.yml"
        path.write_bytes(data)
        loaded = load_config(path)
        assert (loaded.config is None) == bool(loaded.problems)
        assert all("\n" not in str(line) for line in (*loaded.problems, *loaded.warnings))
        assert all(line.line >= 1 and line.column >= 1 for line in (*loaded.problems, *loaded.warnings))
        if loaded.config is not None:
            path.write_text(dump_yaml(loaded.config), encoding="utf-8")
            VALIDATOR.validate(read(dump_yaml(loaded.config)))
            assert load_config(path).problems == ()


@BOUNDED
@given(st.binary(max_size=200))
@example(b"\x00")
@example(b"%YAML 9.9\n---\n")
@example(b"--- |")
@example(b"? ")
def test_any_bytes_give_a_result(data):
    load(data)


@BOUNDED
@given(st.text(alphabet=" \n\t:-[]{}&*!|>'\"%@`?,#<ab1", max_size=120))
def test_any_yaml_punctuation_gives_a_result(text):
    load(text.encode())


@BOUNDED
@given(configurations)
def test_any_similar_configuration_gives_a_result(data):
    load(yaml.safe_dump(data, allow_unicode=False).encode())
