"""Later runs that read less: nothing is removed because of what was not read, and the gate knows it."""

from __future__ import annotations

import json
import re

import pytest

from exporter.inventory.known_instances import read_inventory
from tests.support.gate_factories import answer, conditions
from tests.support.inventory_command import InventoryCommand
from tests.support.sql_inventory import reg_query, rows_of, sqlcmd

VAULT = "https://contoso-prod.vault.azure.net/keys/K/"
URIS = {"2C56": f"{VAULT}1111aaaa2222", "2C57": f"{VAULT}3333bbbb4444"}


class Workspace(InventoryCommand):
    """A folder of sources and the command."""

    def read(self, *sources, code=0):
        folder = self.path / f"run-{len(list(self.path.iterdir()))}"
        folder.mkdir()
        for name, text in sources:
            (folder / name).write_text(text)
        return self.run("--from", folder, code=code)

    def conditions(self, *servers):
        inventory = read_inventory(self.path / "targets.d")
        return conditions(answer(inventory=inventory.instances, instances=servers or ("N1\\SQLPRD01",)))


@pytest.fixture
def workspace(tmp_path, capsys):
    return Workspace(tmp_path, capsys)


def n1(failing=None, time="2026-11-26T20:00:00", **instance):
    rows = rows_of()
    rows["instance"][0].update(read_at_utc=time, **instance)
    return rows if failing is None else sqlcmd(rows, failing)


REGISTRY = ("keys.txt", reg_query({"2C56": URIS["2C56"]}))


@pytest.mark.parametrize("section", ["keys", "encryption", "credentials", "providers", "databases"])
def test_section_that_failed_removes_no_target(workspace, section):
    workspace.read(("n1.txt", n1({})), REGISTRY)
    assert workspace.conditions() == []
    output = workspace.read(("n1.txt", n1({section: "no answer"}, "2026-11-26T20:03:00")), REGISTRY, code=1)
    assert workspace.keys() == [URIS["2C56"]]
    assert "no file changed" in output
    age = r"\([0-9dhms]+ ago\)"
    assert re.search(
        rf"the section {section} is of 2026-11-26T20:00:00Z {age}, because it was not read again: message 300: no answer", output
    )
    assert workspace.conditions() == ["section_kept"]


def test_revoked_right_removes_no_target(workspace):
    workspace.read(("n1.txt", n1({})), REGISTRY)
    rows = n1(time="2026-11-26T20:03:00", may_view_definitions=0)
    rows |= {"credentials": [], "keys": [], "replicas": []}
    output = workspace.read(("n1.txt", sqlcmd(rows)), REGISTRY, code=1)
    assert "no file changed" in output
    assert "because it was not read again: the login may not see it: grant VIEW ANY DEFINITION (login.sql)" in output
    assert set(workspace.conditions()) == {"section_kept"}


def test_server_that_could_not_be_read_is_not_ready(workspace):
    workspace.read(("n1.txt", n1({})), REGISTRY)
    output = workspace.read(("n1.txt", "Sqlcmd: Error: Login failed for user 'x'."), code=1)
    text = r"not read in the latest run, so everything is of 2026-11-26T20:00:00Z \([0-9dhms]+ ago\): Sqlcmd: Error: Login failed"
    assert re.search(text, output)
    assert workspace.conditions() == ["instance_kept"]
    workspace.read(("n1.txt", n1({})), REGISTRY)
    assert workspace.conditions() == []


def test_forged_entry_and_name_move_no_target(workspace):
    workspace.read(("n1.txt", n1({})), REGISTRY, code=0)
    evil = rows_of("N9")
    forged = document(evil, "n9", [("2C56", f"{VAULT}6666"), ("2C56", "https://evil.vault.azure.net/keys/K/6666")])
    claimed = document(n1(time="2027-01-01T00:00:00") | {"keys": [], "encryption": []}, "n8", [])
    output = workspace.read(("n9.json", forged), ("n8.json", claimed), REGISTRY, code=1)
    assert workspace.keys("n1") == [URIS["2C56"]]
    assert f"the registry of N9 names {VAULT}6666" in output
    assert "answers as N1\\SQLPRD01, which is known from n1.txt, so it was not used" in workspace.errors


def test_old_managed_identity_is_not_ready(workspace):
    rows = n1(product_version="16.0.4165.4")
    rows["credentials"][0].update(name="contoso-prod", identity="Managed Identity")
    rows["keys"][0]["credential"] = "contoso-prod"
    output = workspace.read(("n1.txt", sqlcmd(rows)), REGISTRY, code=1)
    assert "SQL Server 16.0.4165.4 hangs with a managed identity (KB5043526)" in output
    assert workspace.conditions() == ["identity_unsupported"]


def test_servers_of_two_domains_have_a_target_entry_each(workspace):
    documents = [
        (f"{domain}.json", document(rows_of("N1\\SQLPRD01"), f"n1.{domain}.com\\SQLPRD01", list(URIS.items())))
        for domain in ("contoso", "fabrikam")
    ]
    workspace.read(*documents)
    (target,) = workspace.targets()
    assert [one["host"] for one in target["instances"]] == ["n1.contoso.com", "n1.fabrikam.com"]


def document(rows, address, uris):
    return json.dumps(
        {
            "inventory": 1,
            "address": address,
            "failure": None,
            "sections": [{"section": name, "rows": list(one)} for name, one in rows.items()],
            "errors": [],
            "key_uris": [{"thumbprint": thumbprint, "uri": uri} for thumbprint, uri in uris],
        }
    )
