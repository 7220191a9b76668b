"""No registry moves the target of another SQL Server, and each contradiction names its sources."""

from __future__ import annotations

import pytest

from exporter.inventory.plan import HandWritten, make_plan
from exporter.sqlserver.document import Document, KeyVersion, RegistryUri
from exporter.sqlserver.instance import instance_of
from tests.support.sql_inventory import rows_of

VAULT, EVIL = "contoso-prod.vault.azure.net", "evil.vault.azure.net"
TRUE, FORGED = (KeyVersion(VAULT, "K", version) for version in ("1111", "6666"))
ELSEWHERE = KeyVersion(EVIL, "K", "6666")


def server(name, *versions, vault="contoso-prod", thumbprint="0x2C56", public_key=""):
    rows = rows_of(name, vault=vault, databases={"sales": thumbprint})
    rows["keys"][0]["public_key"] = public_key
    uris = tuple(RegistryUri("2C56", version.uri) for version in versions)
    return instance_of(Document(sections=rows, key_uris=uris))


def plan_of(*instances, loose=(), **options):
    return make_plan(instances, [RegistryUri("2C56", one.uri) for one in loose], HandWritten(), {}, **options)


def versions_of(plan, name):
    return [one.version for one in plan.targets if name in one.databases]


def test_own_registry_counts_before_another_servers():
    plan = plan_of(server("B", TRUE), server("A", FORGED))
    assert versions_of(plan, "B") == [TRUE]
    text = f"the registry of A names {FORGED.uri}, but {TRUE.uri} counts: remove the wrong entry, and find out who wrote it"
    assert plan.findings.gaps[f"key [key_2C56] (0x2C56): {text}"] == ["B"]


def test_second_entry_of_another_server_moves_nothing():
    before = {"B": {"0x2C56": TRUE}}
    plan = plan_of(server("B"), server("A", TRUE, FORGED), established=before)
    assert versions_of(plan, "B") == [TRUE]
    assert any("the registry of A names" in text and servers == ["B"] for text, servers in plan.findings.gaps.items())


def test_second_entry_without_a_last_run_gives_no_target():
    plan = plan_of(server("B"), server("A", TRUE, FORGED))
    assert versions_of(plan, "B") == []
    (text,) = [text for text, servers in plan.findings.gaps.items() if "B" in servers]
    assert f"the registry of A names {TRUE.uri}, the registry of A names {FORGED.uri}" in text


def test_vault_that_the_server_does_not_name_gets_no_target():
    plan = plan_of(server("B"), server("A", ELSEWHERE))
    assert plan.targets == []
    (text,) = [text for text, servers in plan.findings.gaps.items() if "B" in servers]
    assert f"the registry of A names {ELSEWHERE.uri}, but credential [tde_cred] names {VAULT}: no target" in text


def test_entry_at_a_foreign_vault_is_a_remark():
    plan = plan_of(server("B", TRUE), server("A", ELSEWHERE))
    assert versions_of(plan, "B") == [TRUE]
    assert any(f"the registry of A names {ELSEWHERE.uri}, a vault that no credential of" in one for one in plan.findings.notes)


def test_server_that_uses_another_vault_is_no_contradiction():
    plan = plan_of(server("B", TRUE), server("A", ELSEWHERE, vault="evil"))
    assert (versions_of(plan, "B"), versions_of(plan, "A")) == ([TRUE], [ELSEWHERE])
    assert plan.findings.gaps == plan.findings.notes == {}


def test_entry_of_a_server_with_the_same_vault_counts():
    plan = plan_of(server("B"), server("A", TRUE))
    assert versions_of(plan, "B") == [TRUE]
    assert plan.findings.gaps == {}


def of_last_run(version):
    return {"established": {"B": {"0x2C56": version}}}


@pytest.mark.parametrize(
    ("instances", "options", "expected"),
    [
        ([server("B", public_key="0xAA", thumbprint="0xFFFF"), server("A", TRUE, public_key="0xAA")], {}, [TRUE]),
        ([server("B")], of_last_run(TRUE), [TRUE]),
        ([server("B")], of_last_run(ELSEWHERE), []),
        ([server("B"), server("A", FORGED)], {"loose": [TRUE]}, [TRUE]),
        ([server("B", TRUE, vault="no vault")], {}, [TRUE]),
        ([server("B", vault="no vault"), server("A", TRUE)], {}, []),
    ],
    ids=["same public key", "last run", "last run elsewhere", "file", "own registry alone", "no vault"],
)
def test_entry_that_counts_gives_the_version(instances, options, expected):
    assert versions_of(plan_of(*instances, **options), "B") == expected


def test_old_entry_of_the_own_registry_is_named():
    plan = plan_of(server("B", TRUE, FORGED))
    assert plan.targets == []
    assert any("several KeyUri in its vault" in text for text in plan.findings.gaps)


def test_key_uri_that_is_none_names_its_server():
    rows = rows_of("B")
    plan = plan_of(instance_of(Document(sections=rows, key_uris=(RegistryUri("2C56", "x"),))))
    assert ["B"] in plan.findings.gaps.values()


def test_key_of_a_user_database_is_not_lost():
    columns = RegistryUri("C0", f"https://{VAULT}/keys/Columns/1111")
    one = instance_of(Document(sections=rows_of("B"), key_uris=(RegistryUri("2C56", TRUE.uri), columns)))
    (text,) = plan_of(one).findings.notes
    assert text.startswith(f"the registry names {columns.uri}, whose key master does not have, so no target probes it")
    unread = instance_of(Document(sections=rows_of("B"), key_uris=(columns,), errors={"keys": "x"}))
    assert plan_of(unread).findings.notes == {}


def test_key_uris_that_differ_in_case_are_one_version():
    spellings = (f"https://{VAULT}/keys/K/1111AAAA", f"https://{VAULT}/keys/k/1111aaaa")
    servers = [
        instance_of(Document(sections=rows_of(server), key_uris=uris))
        for server, uris in (
            ("N1", (RegistryUri("2C56", spellings[0]),)),
            ("N2", tuple(RegistryUri("2C56", uri) for uri in spellings)),
            ("N3", ()),  # whose registry was not read
        )
    ]
    plan = plan_of(*servers)
    assert [target.version.uri for target in plan.targets] == [spellings[0]]
    assert len(plan.targets[0].instances) == 3
    assert plan.findings.gaps == {}
    assert KeyVersion(VAULT, "K", "1") != f"https://{VAULT}/keys/K/1"
