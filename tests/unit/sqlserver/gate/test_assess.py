"""Every condition of the gate, on both sides of its boundary."""

from typing import get_args

import pytest

from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import CONDITIONS, LONGEST_VALUE, Condition, reason
from exporter.sqlserver.gate.exporters import read_state
from exporter.sqlserver.gate.inputs import Inventory, Question
from tests.support.gate_factories import DAY, HOUR, NOW, URIS, URL, V2, VAULT, answer, body, conditions, document, row, time_of
from tests.support.sql_inventory import altering, replacing

MANY = {f"db{number:03}": "0x2C56" for number in range(2000)}  # unwraps of a 4096-bit HSM key: 250 in a window
REPLICAS = [{"ag": "AG7", "server_name": name} for name in ("N1\\SQLPRD01", "N2\\SQLPRD01")]


def test_every_condition_has_text_and_fix():
    assert {*CONDITIONS} == {*get_args(Condition)}


def test_ready_instance_has_no_reason():
    found = answer()
    assert (found.verdict, found.reasons, found.instances) == ("ready", (), ("N1\\SQLPRD01",))
    assert [(one.server, one.key, len(one.targets)) for one in found.dependencies] == [
        ("N1\\SQLPRD01", f"https://{VAULT}/keys/K/1111aaaa2222", 1)
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"vault_side_ready": False, "why": "not_ready"}, ["not_ready"]),
        ({"vault_side_ready": None, "why": "stale", "ready_since": None}, ["no_verdict"]),
        ({"vault_side_ready": None, "why": "no_probe_yet", "ready_since": None}, ["no_verdict"]),
        ({"vault_side_ready": None, "why": "version_not_pinned", "ready_since": None}, ["no_verdict"]),
        ({"vault_side_ready": None, "why": "of a later version", "ready_since": None}, ["no_verdict"]),
        ({"last_not_ready": time_of(NOW - HOUR)}, []),
        ({"last_not_ready": time_of(NOW - HOUR + 1)}, ["was_not_ready"]),
        ({"last_not_ready": time_of(NOW - HOUR + 1), "ready_since": time_of(NOW - HOUR + 60)}, ["was_not_ready"]),
        ({"ready_since": time_of(NOW - HOUR)}, []),
        ({"ready_since": time_of(NOW - HOUR + 1)}, ["short_history"]),
        ({"ready_since": None}, ["short_history"]),
        ({"last_unwrap": time_of(NOW - 900)}, []),
        ({"last_unwrap": time_of(NOW - 901)}, ["unwrap_old"]),
        ({"last_unwrap": time_of(NOW + 301)}, ["unwrap_old"]),  # no clock that differs by five minutes shows that
        ({"last_unwrap": None}, ["unwrap_old"]),
        ({"credential_expires_at": time_of(NOW + DAY + 1)}, []),
        ({"credential_expires_at": time_of(NOW + DAY)}, ["credential_expires"]),
        ({"credential_expires_at": time_of(NOW - 1)}, ["credential_expires"]),
        ({"credential_expires_at": None}, ["expiry_unknown"]),
        ({"credential_expires_at": None, "credential_type": "default"}, ["expiry_unknown"]),
        ({"credential_expires_at": None, "credential_type": "managed_identity"}, []),
        ({"credential_expires_at": None, "credential_type": "workload_identity"}, []),
        ({"credential_expires_at": time_of(NOW), "credential_type": "managed_identity"}, ["credential_expires"]),
        ({"key_type": None}, ["key_size_unknown"]),
        ({"key_size_bits": None}, ["key_size_unknown"]),
        ({"key_size_bits": 1024}, ["key_size_unknown"]),
        ({"key_type": "EC"}, ["key_size_unknown"]),
        ({"key_type": "RSA-LATER"}, ["key_size_unknown"]),
        ({"key_version": V2}, ["key_without_target"]),
        ({"key_version": None}, ["key_without_target"]),
        ({"key": "k", "key_version": "1111AAAA2222"}, []),  # Key Vault ignores the case
        ({"vault": "other.vault.azure.net"}, ["key_without_target"]),
        ({"instances": []}, ["server_not_listed"]),
        ({"instances": [{"sql_instance": "SQLPRD01", "host": "n2"}]}, ["server_not_listed"]),
        ({"instances": [{"sql_instance": "sqlprd01"}]}, []),
    ],
)
def test_state_of_the_target_decides(changes, expected):
    found = answer(row(**changes))
    assert conditions(found) == expected
    known = [CONDITIONS[one].known for one in expected]
    assert found.verdict == ("not_ready" if any(known) else "not_known" if known else "ready")


def test_reason_names_target_servers_and_failure():
    failed = row(vault_side_ready=False, code=3303, symbol="Error", step="token", reason="secret_expired")
    (found,) = answer(failed).reasons
    assert found.text == (
        "target contoso-key0 is not ready: 3303 Error at token (secret_expired); needed by N1\\SQLPRD01. "
        "While SQL Server cannot use the key, log backups fail, and each log grows until its limit or the end of its disk"
    )
    assert found.fix == "ekm-exporter probe contoso-key0 --config.file FILE, then follow its lines under do"
    assert "expired at 2026-11-26T19:59:59.000Z" in answer(row(credential_expires_at=time_of(NOW - 1))).reasons[0].text
    refused = row(credential_expires_at=time_of(NOW - 1), vault_side_ready=False, step="token", reason="secret_expired")
    assert "tde of target contoso-key0 is refused as expired since 2026-11-26T19:59:59.000Z" in answer(refused).reasons[1].text


NO_ANSWER = {"vault_side_ready": None, "ready_since": None, "last_unwrap": None}


@pytest.mark.parametrize("why", ["canary", "read_only"])
def test_mode_without_a_verdict_next_to_a_tested_key(why):
    other = row(target="second", why=why, **NO_ANSWER)
    assert conditions(answer(row(), other)) == []
    assert conditions(answer(other)) == ["no_verdict"]
    assert conditions(answer(row(vault_side_ready=False), other)) == ["not_ready"]
    assert conditions(answer(row(), other | {"success": False})) == ["no_verdict"]
    assert conditions(answer(row(), other | {"why": "stale"})) == ["no_verdict"]
    # SQL Server may sign in with that identity, and not with the credential of the tested target.
    assert conditions(answer(row(), other | {"why": "identity_of_another_host"}, vault_side=False)) == [
        "not_read_itself",
        "no_verdict",
    ]
    # The narrower question is not about the identity.
    assert conditions(answer(row(), other | {"why": "identity_of_another_host"})) == ["unwrap_old"]
    assert conditions(answer(row(), other | {"why": "identity_of_another_host", "success": False})) == ["no_verdict"]


def test_two_targets_of_one_name_must_both_be_ready():
    for rows in ((row(), row(vault_side_ready=False)), (row(vault_side_ready=False), row())):
        found = answer(*rows)
        assert (conditions(found), found.verdict) == (["not_ready"], "not_ready")
    assert conditions(answer(row(), row())) == []
    assert len(conditions(answer(row(vault_side_ready=False), row(vault_side_ready=False)))) == 1


MOVED = {"target": "new-version", "key_version": V2}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"vault_side_ready": False}, ["other_target_fails"]),
        ({"vault_side_ready": False, "vault": "other.vault.azure.net"}, ["other_target_fails"]),
        ({"vault_side_ready": False, "instances": [{"sql_instance": "SQLPRD01"}]}, ["other_target_fails"]),
        ({"vault_side_ready": False, "instances": [{"ag": "ag7"}]}, ["other_target_fails"]),
        ({"vault_side_ready": False, "instances": [{"ag": "AG8"}]}, []),
        ({"vault_side_ready": False, "instances": [{}]}, []),
        ({"vault_side_ready": False, "instances": [{"sql_instance": "SQLPRD01", "host": "n2"}]}, []),
        ({"vault_side_ready": None, "why": "stale"}, ["other_target_fails"]),
        ({"vault_side_ready": None, "why": "no_probe_yet", "success": None}, ["other_target_fails"]),
        ({"vault_side_ready": None, "why": "of a later version"}, ["other_target_fails"]),
        ({"vault_side_ready": None, "why": "version_not_pinned"}, []),
        ({"vault_side_ready": None, "why": "version_not_pinned", "success": False}, ["other_target_fails"]),
        ({"vault_side_ready": None, "why": "canary"}, []),
        ({"vault_side_ready": True, "success": False}, []),  # wrap alone: databases open without it
    ],
)
def test_other_target_of_the_server_is_considered(changes, expected):
    found = answer(row(), row(**MOVED | changes), inventory=[document(ag="AG7")])
    assert conditions(found) == expected
    assert found.verdict == ("not_known" if expected else "ready")


def test_other_target_counts_for_a_server_without_keys():
    plain = document(databases={}, change=replacing(providers=[]))
    (found,) = answer(row(vault_side_ready=False, code=3303), inventory=[plain], now=NOW + 20 * DAY, at=NOW + 20 * DAY).reasons
    assert found.text == (
        "target contoso-key0 names N1\\SQLPRD01, and its verdict is not ready or missing: 3303. The inventory, read 20d ago, "
        "shows no database under its key, but one may have moved since"
    )
    assert found.fix.endswith("If no database uses the key, remove the server from instances of the target")


def test_target_that_one_server_needs_is_doubtful_for_another():
    servers = [document(), document("N2\\SQLPRD01", databases={"hr": "0x2C57"})]
    shared = row(vault_side_ready=False, instances=[{"sql_instance": "SQLPRD01"}])
    second = row(target="second", key_version=V2, instances=[{"sql_instance": "SQLPRD01"}])
    found = answer(shared, second, inventory=servers)
    assert conditions(found) == ["not_ready", "other_target_fails"]
    assert "names N2\\SQLPRD01, and" in found.reasons[1].text


def test_target_of_two_servers_is_one_reason():
    servers = [document(), document("N2\\SQLPRD01")]
    shared = row(vault_side_ready=False, instances=[{"sql_instance": "SQLPRD01"}])
    (found,) = answer(shared, inventory=servers).reasons
    assert "; needed by N1\\SQLPRD01, N2\\SQLPRD01. " in found.text


def test_each_key_of_an_instance_needs_a_target():
    two = document(databases={"sales": "0x2C56", "hr": "0x2C57"})
    (found,) = answer(row(), inventory=[two]).reasons
    assert found.text == f"no target probes https://{VAULT}/keys/K/{V2}, which protects 1 database of N1\\SQLPRD01"
    assert conditions(answer(row(), row(target="second", key_version=V2), inventory=[two])) == []


def test_disabled_provider_is_a_reason():
    (found,) = answer(inventory=[document(change=altering("providers", is_enabled=0))]).reasons
    assert found.condition == "provider_disabled"
    assert found.text == "provider [AzureKV] of N1\\SQLPRD01 is disabled, so 1 database would not open"


def test_instances_that_restart_together_share_the_limit():
    servers = [document(f"N{number}\\SQLPRD01", databases=dict(list(MANY.items())[:126])) for number in (1, 2)]
    shared = row(key_type="RSA-HSM", key_size_bits=4096, instances=[{"sql_instance": "SQLPRD01"}])
    (found,) = answer(shared, inventory=servers, every=True).reasons
    assert found.condition == "restart_throttles"
    assert "252 keys of databases" in found.text
    assert "100.8% of the request limit" in found.text
    assert found.fix.endswith("The largest alone uses 50.4% (N2\\SQLPRD01)")
    assert conditions(answer(shared, inventory=servers, instances=("n1\\SQLPRD01",))) == []


def test_limits_of_two_keys_in_a_vault_add_up():
    used = {f"a{number}": "0x2C56" for number in range(200)} | {f"b{number}": "0x2C57" for number in range(101)}
    rows = (
        row(key_type="RSA-HSM", key_size_bits=4096),
        row(target="second", key_version=V2, key_type="RSA-HSM", key_size_bits=3072),
    )
    found = answer(*rows, inventory=[document(databases=used)])
    assert conditions(found) == ["instance_throttles"]
    assert [(one.unwraps.total(), round(one.share, 3)) for one in found.forecast] == [(301, 1.002)]


def of_domain(domain, **more):
    """A server whose name exists in another domain too."""
    return document(address=f"n1.{domain}\\SQLPRD01", **more)


def test_servers_of_two_domains_with_one_name_are_two():
    servers = [of_domain("a.com"), of_domain("b.com", databases={"hr": "0x2C57"})]
    rows = (
        row(instances=[{"sql_instance": "SQLPRD01", "host": "n1.a.com"}]),
        row(target="b", key_version=V2, vault_side_ready=False, instances=[{"sql_instance": "SQLPRD01", "host": "n1.b.com"}]),
    )
    a = answer(*rows, inventory=servers, instances=("n1.a.com\\SQLPRD01",))
    b = answer(*rows, inventory=servers, instances=("N1.b.com\\SQLPRD01",))
    both = answer(*rows, inventory=servers, instances=("N1\\SQLPRD01",))
    assert [(found.instances, found.verdict) for found in (a, b, both)] == [
        (("N1.a.com\\SQLPRD01",), "ready"),
        (("N1.b.com\\SQLPRD01",), "not_ready"),
        (("N1.a.com\\SQLPRD01", "N1.b.com\\SQLPRD01"), "not_ready"),
    ]


def namesakes(**of_b):
    """Two servers of one name in two domains; the other replica of a.com lists the name without a domain."""
    listed = replacing(replicas=REPLICAS)
    other = document("N2\\SQLPRD01", ag="AG7", change=listed)
    return [other, of_domain("a.com", ag="AG7", change=listed), of_domain("b.com", **of_b)]


@pytest.mark.parametrize("section", ["providers", "credentials", "keys", "encryption", "databases"])
def test_section_that_was_not_read_is_a_gap(section):
    found = answer(inventory=[document(failing={section: "permission was denied"})])
    assert found.verdict == "not_known"
    assert any("permission was denied" in one.text for one in found.reasons)


def test_key_without_its_uri_is_a_gap():
    (found,) = answer(inventory=[document(databases={"sales": "0x9999"})]).reasons
    assert found.condition == "inventory_gap"
    assert "no KeyUri, so name and version in vault contoso-prod.vault.azure.net are unknown" in found.text


def test_version_that_was_found_by_its_public_key_counts():
    held = Inventory((document(),), (), {"0xAA2C56": KeyVersion(VAULT, "K", "1111aaaa2222")})
    found = assess(Question(every=True, vault_side=True), held, {URL: read_state(body(), URL)}, now=NOW)
    assert (found.verdict, found.dependencies[0].targets[0].name) == ("ready", "contoso-key0")


@pytest.mark.parametrize("read_at", [None, "yesterday"])
def test_inventory_without_a_time_is_old(read_at):
    (found,) = answer(inventory=[document(change=altering("instance", read_at_utc=read_at or ""))]).reasons
    assert found.text.startswith("the inventory of N1\\SQLPRD01 was read at an unknown time, longer ago than 5w")


def test_missing_inventory_and_exporter_are_two_reasons():
    missing = reason("inventory_missing", path="targets.d/inventory.json", folder="targets.d")
    silent = reason("exporter_unreachable", url=URL, cause="connection refused")
    found = assess(Question(every=True), missing, {URL: silent}, now=NOW)
    assert (found.reasons, found.verdict, found.vantage) == ((missing, silent), "not_known", None)
    held = assess(Question(every=True, vault_side=True), Inventory((document(),), URIS), {URL: silent}, now=NOW)
    assert (held.reasons, held.dependencies, held.instances) == ((silent,), (), ("N1\\SQLPRD01",))
    assert assess(Question(every=True), missing, {URL: read_state(body(), URL)}, now=NOW).reasons == (missing,)


def test_values_of_a_reason_are_printable_and_short():
    text = reason("exporter_foreign", url="http://x", cause="\x1b[31m{cause}" + "x" * 9999).text
    assert "\x1b" not in text
    assert "?[31m{cause}x" in text
    assert len(text) < LONGEST_VALUE + 200


YOUNG = row(ready_since=time_of(NOW - 60), credential_expires_at=time_of(NOW + 2 * DAY))
SECOND = row(target="second", vault_side_ready=False)
TWO_DOMAINS = [of_domain("a.com"), of_domain("b.com")]
OF_BOTH = row(instances=[{"sql_instance": "SQLPRD01", "host": f"n1.{domain}"} for domain in ("a.com", "b.com")])
ON_N1, ANYWHERE = {"sql_instance": "SQLPRD01", "host": "n1"}, {"sql_instance": "SQLPRD01"}
MOVED_AWAY = {"target": "second", "key_version": V2, "vault_side_ready": False}
HSM, SOFTWARE = {"key_type": "RSA-HSM", "key_size_bits": 4096}, {"key_type": "RSA", "key_size_bits": 4096}


def with_databases(number):
    return [document(databases=dict(list(MANY.items())[:number]))]


@pytest.mark.parametrize(
    ("rows", "question", "expected"),
    [
        ([YOUNG], {"ready_for": 60.0}, []),
        ([YOUNG], {"ready_for": 60.0, "window": 2 * DAY}, ["credential_expires"]),
        ([row(), SECOND], {}, ["not_ready"]),  # every target of the key must be ready
        ([row(), SECOND | {"instances": [{"sql_instance": "SQLPRD09"}]}], {}, []),
        # A label without a domain does not choose between two.
        ([row(instances=[ON_N1])], {"inventory": TWO_DOMAINS}, ["server_not_listed"] * 2),
        ([row(instances=[ANYWHERE])], {"inventory": TWO_DOMAINS}, ["server_not_listed"] * 2),
        ([OF_BOTH, row(**MOVED_AWAY, instances=[ON_N1])], {"inventory": TWO_DOMAINS}, ["other_target_fails"]),
        ([OF_BOTH, row(**MOVED_AWAY, instances=[ANYWHERE])], {"inventory": TWO_DOMAINS}, ["other_target_fails"]),
        # A name that the inventory lacks is not known.
        ([], {"instances": ("SQLPRD02",)}, ["instance_not_read"]),
        ([], {"instances": ("n2\\SQLPRD01",)}, ["instance_not_read"]),
        ([], {"instances": ("SQLPRD01", "GONE")}, ["instance_not_read"]),
        ([], {"group": "AG9"}, ["instance_not_read"]),
        ([], {"inventory": [], "every": True}, ["instance_not_read"]),
        ([], {"every": True}, []),
        # Unknown servers of a group are a gap; the connector's version does not matter.
        ([], {"inventory": [document(ag="AG7", failing={"replicas": "denied"})]}, ["inventory_gap"]),
        ([], {"inventory": [document(failing={"replicas": "denied"})]}, []),
        ([], {"inventory": [document(failing={"modules": "denied"})]}, []),
        # A reading of the future is old; the exporter's clock may differ by five minutes.
        ([], {"inventory": [document(change=altering("instance", read_at_utc="2126-11-26T20:00:00"))]}, ["inventory_old"]),
        *(
            ([], {"at": NOW + shift, "ready_for": 60.0}, ["clocks_differ"] if abs(shift) > 300 else [])
            for shift in (300, 301, -300, -301)
        ),
        # The databases of one instance are compared with the limit.
        ([row(**HSM)], {"inventory": with_databases(250)}, []),
        ([row(**HSM)], {"inventory": with_databases(251)}, ["instance_throttles"]),
        ([row(**SOFTWARE)], {"inventory": with_databases(500)}, []),
        ([row(**SOFTWARE)], {"inventory": with_databases(501)}, ["instance_throttles"]),
        ([row(**HSM | {"key_size_bits": 2048})], {"inventory": with_databases(2000)}, []),
    ],
)
def test_question_and_inventory_decide(rows, question, expected):
    found = answer(*rows, **question)
    assert conditions(found) == expected
    known = [CONDITIONS[one].known for one in expected]
    assert found.verdict == ("not_ready" if any(known) else "not_known" if known else "ready")


@pytest.mark.parametrize(("age", "expected"), [(35 * DAY, []), (35 * DAY + 1, ["inventory_old"])])
def test_old_inventory_is_not_known(age, expected):
    found = answer(now=NOW + age, at=NOW + age, inventory=[document()])
    assert [one for one in conditions(found) if one == "inventory_old"] == expected


IN_GROUP = replacing(replicas=REPLICAS)
NAMESAKES = namesakes()
UNCLEAR = of_domain("a.com", change=replacing(replicas=[], databases=[]))
DEFAULT = [document("N1"), document("N2\\SQLPRD01")]


@pytest.mark.parametrize(
    ("inventory", "question", "chosen"),
    [
        *(([document(), document("N9\\OTHER")], {"instances": (name,)}, ("N1\\SQLPRD01",))
            for name in ("SQLPRD01", "n1\\sqlprd01", "N1\\SQLPRD01", "n1.contoso.com\\SQLPRD01")),
        *((DEFAULT, {"instances": (name,)}, ("N1",)) for name in ("MSSQLSERVER", "n1\\mssqlserver", "N1", "n1.contoso.com")),
        ([document("SQLHOST1")], {"instances": ("sqlhost1.contoso.com",)}, ("SQLHOST1",)),
        ([of_domain("a.com", ag="AG7", change=replacing(replicas=REPLICAS[:1]))], {"group": "AG7"}, ("N1\\SQLPRD01",)),
        # A group has every server of its databases, and each replica; of two domains, that of its own.
        ([document("N1\\SQLPRD01", ag="AG7"), document("N2\\SQLPRD01", ag="AG7"), document("N3\\SQLPRD01")], {"group": "ag7"},
            ("N1\\SQLPRD01", "N2\\SQLPRD01")),
        ([document("N1\\SQLPRD01", ag="AG7", change=IN_GROUP), document("N2\\SQLPRD01")], {"group": "AG7"}, ("N1\\SQLPRD01", "N2\\SQLPRD01")),
        (NAMESAKES, {"group": "AG7"}, ("N2\\SQLPRD01", "N1.a.com\\SQLPRD01")),
        # A namesake whose groups are unknown may be the replica.
        (namesakes(failing={"replicas": "no answer"}), {"group": "AG7"}, ("N2\\SQLPRD01", "N1.a.com\\SQLPRD01", "N1.b.com\\SQLPRD01")),
        ([NAMESAKES[0], UNCLEAR, NAMESAKES[2]], {"group": "AG7"}, ("N2\\SQLPRD01", "N1.a.com\\SQLPRD01", "N1.b.com\\SQLPRD01")),
    ],
)  # fmt: skip
def test_names_and_groups_choose_instances(inventory, question, chosen):
    assert answer(inventory=inventory, **question).instances == chosen


@pytest.mark.parametrize(
    ("instance", "inventory", "question"),
    [
        ({"sql_instance": "MSSQLSERVER", "host": "n1"}, DEFAULT, {"instances": ("N1",)}),
        ({"sql_instance": "SQLHOST1"}, [document("SQLHOST1")], {"instances": ("sqlhost1.contoso.com",)}),
        (ANYWHERE, [document("N1\\SQLPRD01", ag="AG7"), document("N2\\SQLPRD01", ag="AG7")], {"group": "ag7"}),
        ({"sql_instance": "SQLPRD01", "host": "n1.a.com"}, [of_domain("a.com", ag="AG7", change=replacing(replicas=REPLICAS[:1]))], {"group": "AG7"}),
    ],
)  # fmt: skip
def test_target_under_another_name_of_the_server_is_its_own(instance, inventory, question):
    assert answer(row(instances=[instance]), inventory=inventory, **question).verdict == "ready"


def test_replica_that_was_not_read_is_named():
    found = answer(row(), inventory=[document("N1\\SQLPRD01", ag="AG7", change=IN_GROUP)], group="AG7")
    assert found.reasons[0].text == "the inventory does not have N2\\SQLPRD01, a replica of AG7"
