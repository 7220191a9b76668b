"""Whatever SQL Servers answer: `inventory` has no internal error, and `check` accepts every file that it writes."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config.load import load_config
from tests.support.inventory_command import InventoryCommand
from tests.support.sql_inventory import rows_of

URI = "https://contoso-prod.vault.azure.net/keys/K/1111aaaa"
TEXTS = st.one_of(
    st.sampled_from([" ", "\t ", "\u3000"]),
    st.text(max_size=40),
    st.sampled_from(
        ["", " ", "\t", "\ud800", "null", "~", "- a", "a: b", "x" * 129, "x" * 128, "é" * 127, "%", "../../x", "\u2028"]
    ),
    st.integers(-1, 10**30),
    st.none(),
    st.lists(st.integers(), max_size=2),
)
SECTIONS = tuple(rows_of("N1", ag="AG7"))
NAMES = ("server_name", "machine", "instance_name", "node", "ag", "name", "credential", "identity", "thumbprint", "public_key")
FIELDS = [(section, name) for section, rows in rows_of("N1\\X", ag="AG7").items() for name in NAMES if name in (rows or [{}])[0]]
URIS = st.one_of(
    st.just(URI),
    st.builds("https://{}/keys/{}/{}".format, *[st.sampled_from(["a.vault.azure.net", "x" * 200, "A-b", "é", "b.c:99"])] * 3),
    st.text(max_size=30),
)
MARKS = st.sampled_from(["0x2C56", "2c56", "0x", "", "zz"])


def document(rows, uris=((URI, "2C56"),)):
    sections = [{"section": name, "rows": found} for name, found in rows.items()]
    return {"inventory": 1, "sections": sections, "key_uris": [{"thumbprint": mark, "uri": uri} for uri, mark in uris]}


class Workspace(InventoryCommand):
    def read(self, *documents, code=0):
        """Run the command; returns what it printed, after `check` has accepted the written files."""
        source = self.write("in.json", json.dumps(documents))
        output = self.run("--from", source, code=code)
        problems = [one for one in load_config(self.config).problems if not one.path.endswith("secret_file")]
        assert not [one for one in problems if one.file != str(self.config)], problems
        return output + self.errors


@pytest.fixture
def workspace(tmp_path, capsys):
    return Workspace(tmp_path, capsys)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.sampled_from(FIELDS), TEXTS), min_size=1, max_size=3),
    doubled=st.sets(st.sampled_from(SECTIONS)),
    uris=st.lists(st.tuples(URIS, MARKS), max_size=4),
)
def test_hostile_rows_never_write_a_file_that_check_refuses(workspace, changes, doubled, uris):
    shutil.rmtree(workspace.out, ignore_errors=True)
    rows = {
        name: [*found, *(dict(one) for one in found if name in doubled)] for name, found in rows_of("N1\\X", ag="AG7").items()
    }
    for (section, field), value in changes:
        rows[section][-1][field] = value
    output = workspace.read(document(rows, [(URI, "2C56"), *uris]), document(rows_of("N2")), code=(0, 1))
    assert "internal error" not in output
    assert "internal error" not in workspace.read(document(rows_of("N1")), code=(0, 1))


def test_refused_file_keeps_the_old_one_and_is_a_finding(workspace, monkeypatch):
    workspace.read(document(rows_of("N1")), code=(0, 1))
    before = (workspace.out / "contoso-prod.yml").read_text()
    monkeypatch.setattr("exporter.config.files.SIZE_LIMIT", len(before) + 10)
    output = workspace.read(document(rows_of("N1")), document(rows_of("N2")), code=1)
    assert "contoso-prod.yml was not written, because check refuses its new content (larger than 0 KiB)" in output
    assert (workspace.out / "contoso-prod.yml").read_text() == before
