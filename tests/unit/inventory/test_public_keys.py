"""Which vaults are searched for public keys, what matches, and what the report shows."""

from dataclasses import replace

import pytest

from exporter.inventory.plan import HandWritten, Search, SearchResult, make_plan, plan_searches, report_search
from exporter.sqlserver.document import KeyVersion, RegistryUri, read_documents
from exporter.sqlserver.instance import Findings, instance_of
from exporter.sqlserver.keys import HandWrittenTarget, KeyUris, has_modulus
from tests.support.sql_inventory import rows_of, sqlcmd

VAULT = "contoso-prod.vault.azure.net"
V1, V2 = KeyVersion(VAULT, "K", "1111aaaa"), KeyVersion(VAULT, "K", "2222bbbb")
MODULUS = bytes(range(1, 129)) * 2


def instance(change=None, **options):
    rows = rows_of("N1", **options)
    if change is not None:
        change(rows)
    (document,) = read_documents(sqlcmd(rows))
    return instance_of(document)


def searches(*instances, loose=(), compared=None, hand_written=()):
    return plan_searches(instances, KeyUris(instances, loose, Findings(), compared), hand_written)


def target(vault=VAULT, key_version="3333cccc"):
    return HandWrittenTarget(name="t", vault=vault, key_name="Old", key_version=key_version, instances=(), where="ekm.yml:1:1")


def test_key_without_uri_is_searched_in_the_vault_of_its_credential():
    found = searches(instance())
    assert list(found) == [VAULT]
    assert found[VAULT].wanted == {"0xAA2C56": "key_2C56"}
    assert list(found[VAULT].servers) == ["N1"]
    assert found[VAULT].named == {}  # key_2C56 cannot be a name in a vault


def test_known_names_are_looked_up_too():
    def rename(rows):
        rows["keys"][0]["name"] = "Tde-Key"

    given = (target(), target(key_version=None), target(vault="other.vault.azure.net"))
    found = searches(instance(rename), loose=[RegistryUri("0x99", V1.uri)], hand_written=given)
    assert found[VAULT].named == {"Tde-Key": set(), "K": {"1111aaaa"}, "Old": {"3333cccc"}}


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows["keys"][0].pop("public_key"),
        lambda rows: [rows[name].clear() for name in ("encryption", "databases")],
        lambda rows: rows["credentials"].clear(),
        lambda rows: rows["credentials"][0].update(identity="no vault!"),
    ],
)
def test_other_keys_are_not_searched(change):
    assert searches(instance(change)) == {}


def test_known_version_is_not_searched_and_an_ambiguous_one_is():
    one, other = RegistryUri("2C56", V1.uri), RegistryUri("2C56", V2.uri)
    assert searches(instance(), loose=[one]) == {}
    assert searches(instance(), compared={"0xAA2C56": V1}) == {}
    assert list(searches(instance(), loose=[one, other])) == [VAULT]


@pytest.mark.parametrize("loose", [[], [RegistryUri("2C56", V1.uri), RegistryUri("2C56", V2.uri)]])
def test_compared_version_becomes_the_target(loose):
    plan = make_plan([instance()], loose, HandWritten(), {}, {"0xAA2C56": V2})
    assert [one.version for one in plan.targets] == [V2]


def test_registry_counts_before_the_comparison():
    plan = make_plan([instance()], [RegistryUri("2C56", V1.uri)], HandWritten(), {}, {"0xAA2C56": V2})
    assert [one.version for one in plan.targets] == [V1]


def test_modulus_matches_in_both_byte_orders():
    assert has_modulus("0x0602" + MODULUS.hex(), MODULUS)
    assert has_modulus("0x0602" + MODULUS[::-1].hex(), b"\0" + MODULUS)
    assert not has_modulus("0x0602" + MODULUS[1:].hex(), MODULUS)
    assert not has_modulus("0x0602" + MODULUS[:127].hex(), MODULUS[:127])  # too short to be a key
    assert not has_modulus("0x0602", b"")


def reported(result, wanted=None):
    findings = Findings()
    report_search("v", Search(wanted=wanted or {"0xAA": "tde"}, servers={"N1": None}), result, findings)
    return findings.gaps, findings.notes


def test_report_names_extent_and_missing_keys():
    full = SearchResult(matches={"0xAA": {V1}}, compared=3)
    assert reported(full) == ({}, {"vault v: 3 key versions compared by their public keys; each was found": ["N1"]})
    ended = SearchResult(matches={"0xAA": {V1}}, compared=3, failure="HTTP 500")
    gap = "vault v: 3 key versions compared by their public keys; HTTP 500; each was found"
    assert reported(ended) == ({gap: ["N1"]}, {})
    part = SearchResult(compared=1, refused=2, listed=False, failure="HTTP 500")
    text = (
        "vault v: 1 key versions compared by their public keys, the newest and the named ones only: it refuses the list "
        "(permission list); 2 refused (permission get); HTTP 500; none has that of [tde]"
    )
    assert reported(part) == ({text: ["N1"]}, {})


def test_key_that_is_in_the_vault_twice_is_a_gap():
    result = SearchResult(matches={"0xAA": {V1, V2}}, compared=2)
    gaps, notes = reported(result)
    assert (result.found, notes) == ({}, {})
    assert next(iter(gaps)).endswith("; several have that of [tde]: K/1111aaaa, K/2222bbbb")


@pytest.mark.parametrize(("compared", "kind"), [({"0xAA2C56": V2}, "notes"), ({}, "gaps")])
def test_unread_registry_is_a_gap_only_if_a_version_is_unknown(compared, kind):
    one = replace(instance(), errors={"registry": "message 229: denied"})
    findings = make_plan([one], [], HandWritten(), {}, compared).findings
    assert [text for text in getattr(findings, kind) if text.endswith("message 229: denied")]
    other = findings.gaps if kind == "notes" else findings.notes
    assert not [text for text in other if "message 229" in text]
