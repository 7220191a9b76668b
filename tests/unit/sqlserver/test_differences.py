"""Where targets differ from the keys that a SQL Server uses, and where that is not known."""

from __future__ import annotations

import pytest

from exporter.config.settings import Retained
from exporter.core.names import told_apart
from exporter.sqlserver.differences import MOST_DIFFERENCES, TEXTS, DeclaredTargets, find_differences
from exporter.sqlserver.document import RegistryUri
from exporter.sqlserver.reading import names_of
from tests.support.factories import a_key, a_target
from tests.support.sql_readings import a_reading, an_unread_server, sections_of
from tests.support.values import replace

VAULT = "contoso-prod.vault.azure.net"
OLD, NEW = "a" * 32, "b" * 32
OLD_MARK, NEW_MARK = "0x" + "01" * 20, "0x" + "02" * 20
N1 = {"sql_instance": "SQLPRD01", "host": "n1"}
NOT_PROBED, OTHER_VERSION, NOT_LISTED, OTHER_THUMBPRINT, NOT_USED = TEXTS


def a_uri(version, name="TdeKey", vault=VAULT):
    return f"https://{vault}/keys/{name}/{version}"


def pinned(name="sales", version=NEW, thumbprint=None, instances=(N1,), **changes):
    known = {"vault": VAULT, "key_version": version, "thumbprint": thumbprint, "instances": tuple(instances)}
    return a_target(name, **(known | changes))


def retained(version, key_name="TdeKey"):
    return Retained(key_name=key_name, key_version=version, vault=VAULT, credential="sql")


def using(databases, uris=(), /, *, keys=(), **sections):
    """Return a reading: thumbprints of databases, KeyUri of thumbprints, and thumbprints of keys without a database."""
    own = sections_of(*databases)
    own["encryption"] = [row | {"thumbprint": databases[row["database"]]} for row in own["encryption"]]
    marks = dict.fromkeys((*databases.values(), *keys))
    own["keys"] = [own["keys"][0] | {"name": f"k{mark[-2:]}", "thumbprint": mark, "public_key": ""} for mark in marks]
    reading = a_reading(*databases, sections=own | sections)
    entries = tuple(RegistryUri(thumbprint, uri) for thumbprint, uri in dict(uris).items())
    return replace(reading, document=replace(reading.document, key_uris=entries))


def compared(reading, *targets, other=None):
    """Return the differences; `other` is the address of another SQL Server, which was not read."""
    names = told_apart({each.address: names_of(each) for each in (reading, *([an_unread_server(other)] if other else ()))})
    return find_differences(reading, DeclaredTargets(targets, names=lambda each: names[each.address]))


def kinds(reading, *targets, other=None):
    """Return kind, target and other target of each difference."""
    return [(each.kind, each.target, each.other) for each in compared(reading, *targets, other=other)]


IN_USE = using({"sales": NEW_MARK})
BY_URI = using({"sales": NEW_MARK}, {NEW_MARK: a_uri(NEW)})


@pytest.mark.parametrize("reading", [IN_USE, BY_URI])
@pytest.mark.parametrize(
    "target",
    [
        pinned(thumbprint=NEW_MARK),
        pinned(thumbprint=NEW_MARK, instances=[{"sql_instance": "SQLPRD01"}]),
        pinned(thumbprint=NEW_MARK, instances=[]),
    ],
)
def test_pin_of_the_key_in_use_is_no_difference(reading, target):
    assert kinds(reading, target) == []


@pytest.mark.parametrize("target", [pinned(version=NEW.upper()), pinned(key_name="tdekey")])
def test_key_uri_shows_the_key_without_a_thumbprint(target):
    assert kinds(BY_URI, target) == []


@pytest.mark.parametrize(
    ("reading", "target"),
    [
        (IN_USE, pinned(version=OLD, thumbprint=OLD_MARK)),
        (BY_URI, pinned(version=OLD, thumbprint=OLD_MARK)),
        (BY_URI, pinned(version=OLD)),
        (BY_URI, pinned(version=OLD, thumbprint=NEW_MARK)),
        (BY_URI, pinned(vault="contoso-dr.vault.azure.net")),
        (BY_URI, pinned(version=OLD, instances=[{"sql_instance": "SQLPRD01"}])),
    ],
    ids=["thumbprint", "both", "KeyUri", "thumbprint of another key", "vault", "without host"],
)
def test_other_pin_of_a_listed_server_is_other_version(reading, target):
    assert kinds(reading, target) == [(OTHER_VERSION, "sales", "")]


def test_other_version_shows_pin_use_and_the_lines_to_write():
    (found,) = compared(
        using({"sales": NEW_MARK, "hr": NEW_MARK}, {NEW_MARK: a_uri(NEW)}), pinned(version=OLD, thumbprint=OLD_MARK)
    )
    assert (found.thumbprint, found.key_uri, found.databases) == (NEW_MARK, a_uri(NEW), ("hr", "sales"))
    assert found.sentence == (
        f"target sales pins {a_uri(OLD)}, but SQLPRD01 on n1 uses {a_uri(NEW)} for 2 databases, so the verdict is not about the key in use"
    )
    assert found.action == (
        f'if the databases moved on purpose, write `key: {a_uri(NEW)}` and `thumbprint: "{NEW_MARK}"` to target sales, and while backups '
        f"need the old version, list `{{key: {a_uri(OLD)}}}` under `retained_versions` of that target"
    )


def test_action_of_an_unknown_key_uri_names_its_place():
    (found,) = compared(IN_USE, pinned(version=OLD, thumbprint=OLD_MARK))
    assert f"uses the key of thumbprint {NEW_MARK} for 1 database," in found.sentence
    assert "write `key: KEYURI` and" in found.action
    assert found.action.endswith(f". KEYURI is in the registry of the SQL Server's host, under {NEW_MARK}")


def test_server_whose_key_another_target_probes_moves_there():
    targets = pinned(version=OLD), pinned("claims", instances=[N1 | {"host": "n2"}])
    (found,) = compared(BY_URI, *targets)
    assert (found.kind, found.target, found.other, found.subject) == (OTHER_VERSION, "sales", "claims", "sales")
    assert found.action == (
        "move `{sql_instance: SQLPRD01, host: n1}` from the `instances` of target sales to those of target claims, which probes the "
        "key in use"
    )


def test_key_that_only_a_target_of_another_server_probes_is_not_listed():
    (found,) = compared(BY_URI, pinned("claims", instances=[N1 | {"host": "n2"}]))
    assert (found.kind, found.target, found.other, found.subject) == (NOT_LISTED, "", "claims", "claims")
    assert found.action == "add `- {sql_instance: SQLPRD01, host: n1}` to the `instances` of target claims"
    assert kinds(IN_USE, pinned("claims", thumbprint=NEW_MARK, instances=[{"sql_instance": "WEB"}])) == [
        (NOT_LISTED, "", "claims")
    ]


@pytest.mark.parametrize(
    "targets",
    [
        (),
        (pinned("claims", version=OLD, thumbprint=OLD_MARK, instances=[N1 | {"host": "n2"}]),),
        (pinned("claims", version=None, instances=[N1 | {"host": "n2"}]),),
        (pinned("claims", version=None, thumbprint=NEW_MARK, instances=[N1 | {"host": "n2"}]),),
    ],
    ids=["no target", "other key elsewhere", "bare name elsewhere", "bare name with a thumbprint elsewhere"],
)
@pytest.mark.parametrize("reading", [IN_USE, BY_URI])
def test_key_without_a_target_is_not_probed(reading, targets):
    assert kinds(reading, *targets) == [(NOT_PROBED, "", "")]


def test_not_probed_key_has_a_whole_target_to_write():
    (found,) = compared(BY_URI)
    assert found.sentence == f"SQLPRD01 on n1 uses {a_uri(NEW)} for 1 database, and no target probes that key"
    assert found.action == (
        f'add a target: `{{name: NAME, key: {a_uri(NEW)}, thumbprint: "{NEW_MARK}", credential: CREDENTIAL, instances: '
        "[{sql_instance: SQLPRD01, host: n1}]}`"
    )


@pytest.mark.parametrize("mark", [None, OLD_MARK])
def test_second_key_next_to_a_pinned_one_is_not_probed(mark):
    reading = using({"sales": OLD_MARK, "hr": NEW_MARK}, {NEW_MARK: a_uri(NEW)})
    found = compared(reading, pinned(version=OLD, thumbprint=mark))
    assert [(each.kind, each.databases) for each in found] == [(NOT_PROBED, ("hr",))]


def test_moved_key_counts_for_the_target_of_its_name():
    targets = pinned(version=OLD), pinned("claims", OLD, key_name="ClaimsKey")
    assert kinds(BY_URI, *targets) == [(OTHER_VERSION, "sales", "")]
    assert kinds(BY_URI, *(replace(each, vault="other.vault.azure.net") for each in targets)) == [
        (OTHER_VERSION, "claims", ""),
        (OTHER_VERSION, "sales", ""),
    ]


def test_wrong_thumbprint_of_the_pinned_version_is_a_difference():
    (found,) = compared(BY_URI, pinned(thumbprint=OLD_MARK))
    assert (found.kind, found.target) == (OTHER_THUMBPRINT, "sales")
    assert found.sentence == f"target sales declares another thumbprint for {a_uri(NEW)} than SQLPRD01 on n1 has: {NEW_MARK}"
    assert found.action == f'write `thumbprint: "{NEW_MARK}"` to target sales'
    anywhere = pinned(thumbprint=OLD_MARK, instances=[{"sql_instance": "SQLPRD01"}])
    assert kinds(BY_URI, anywhere, other="n2\\SQLPRD01") == []  # it may be about the other one


OLD_MODULUS, NEW_MODULUS = bytes([1]) * 256, bytes([2]) * 256


def with_public_keys(reading, moduli):
    """Return the reading with the public key of each thumbprint."""
    keys = tuple(
        row | {"public_key": "0x0602" + moduli[row["thumbprint"]].hex()} if row["thumbprint"] in moduli else row
        for row in reading.document.sections["keys"]
    )
    return replace(reading, document=replace(reading.document, sections={**reading.document.sections, "keys": keys}))


MOVED = with_public_keys(using({"sales": NEW_MARK}, keys=[OLD_MARK]), {NEW_MARK: NEW_MODULUS, OLD_MARK: OLD_MODULUS})


@pytest.mark.parametrize(
    ("version", "modulus", "thumbprint", "expected"),
    [
        (NEW, NEW_MODULUS, None, []),
        (OLD, OLD_MODULUS, None, [(OTHER_VERSION, "sales", "")]),
        (OLD, OLD_MODULUS, NEW_MARK, [(OTHER_VERSION, "sales", "")]),
        (NEW, NEW_MODULUS, OLD_MARK, [(OTHER_THUMBPRINT, "sales", "")]),
        (OLD, bytes([3]) * 256, None, []),
        (OLD, bytes([3]) * 256, OLD_MARK, [(OTHER_VERSION, "sales", "")]),
        ("c" * 32, OLD_MODULUS, None, []),
    ],
    ids=[
        "in use",
        "other key of the server",
        "wrong thumbprint",
        "thumbprint of another",
        "unknown to the server",
        "thumbprint",
        "stale",
    ],
)
def test_public_key_shows_which_key_a_target_probes(version, modulus, thumbprint, expected):
    probed = a_key(name="TdeKey", version=OLD if version == "c" * 32 else version, modulus=modulus)
    target = pinned(version=version, thumbprint=thumbprint)
    declared = DeclaredTargets([target], {"sales": probed}.get)
    assert [(each.kind, each.target, each.other) for each in find_differences(MOVED, declared)] == expected


def test_key_uri_counts_more_than_a_public_key():
    moved = replace(MOVED, document=replace(MOVED.document, key_uris=(RegistryUri(NEW_MARK, a_uri(NEW)),)))
    declared = DeclaredTargets([pinned()], {"sales": a_key(name="TdeKey", version=NEW, modulus=OLD_MODULUS)}.get)
    assert find_differences(moved, declared) == ()


ROTATED = using({"sales": NEW_MARK}, {NEW_MARK: a_uri(NEW)})
CURRENT = pinned("current")


def test_dropped_version_that_a_target_still_pins_is_not_used():
    (found,) = compared(ROTATED, CURRENT, pinned(version=OLD))
    assert (found.kind, found.target, found.other) == (NOT_USED, "sales", "current")
    assert found.sentence.startswith(
        f"SQLPRD01 on n1 has no key any more that target sales pins ({a_uri(OLD)}): it uses {a_uri(NEW)}"
    )
    assert found.action == (
        "remove `{sql_instance: SQLPRD01, host: n1}` from the `instances` of target sales, and while backups need the old version, "
        f"list `{{key: {a_uri(OLD)}}}` under `retained_versions` of target current"
    )


@pytest.mark.parametrize(
    ("reading", "targets"),
    [
        (ROTATED, (CURRENT, pinned(version=OLD, key_name="Columns"))),
        (ROTATED, (replace(CURRENT, retained_versions=(retained(OLD),)), pinned(version=OLD))),
        (
            using({"sales": NEW_MARK}, {NEW_MARK: a_uri(NEW), OLD_MARK: a_uri(OLD)}, keys=[OLD_MARK]),
            (CURRENT, pinned(version=OLD)),
        ),
        (using({"sales": NEW_MARK}, {NEW_MARK: a_uri(NEW)}, keys=[OLD_MARK]), (CURRENT, pinned(version=OLD))),
        (ROTATED, (CURRENT, pinned(version=OLD, instances=[{"sql_instance": "SQLPRD01"}]))),
    ],
    ids=["another key", "retained", "key still there", "key that may be the old version", "server that may be another"],
)
def test_unused_pin_is_no_difference_while_the_key_may_be_needed(reading, targets):
    assert kinds(reading, *targets, other="n2\\SQLPRD01") == []


def test_database_that_still_uses_a_retained_version_is_no_difference():
    reading = using({"sales": NEW_MARK, "hr": OLD_MARK}, {NEW_MARK: a_uri(NEW), OLD_MARK: a_uri(OLD)})
    assert kinds(reading, pinned(retained_versions=(retained("c" * 32), retained(OLD)))) == []
    assert kinds(reading, pinned(retained_versions=(retained("c" * 32),))) == [(NOT_PROBED, "", "")]
    moved = using({"hr": OLD_MARK}, {OLD_MARK: a_uri(OLD)})
    assert kinds(moved, pinned(retained_versions=(retained(OLD),))) == [(OTHER_VERSION, "sales", "")]


@pytest.mark.parametrize(
    "targets",
    [
        (pinned(),),
        (pinned(version=None),),
        (pinned(version=None, thumbprint=OLD_MARK),),
        (pinned(version=OLD, thumbprint=OLD_MARK), pinned("claims", OLD)),
        (pinned(version=OLD, instances=[{"sql_instance": "SQLPRD01"}]),),
        (pinned(thumbprint=NEW_MARK, instances=[]), pinned("claims", OLD, OLD_MARK, [{"sql_instance": "WEB"}])),
    ],
    ids=["no thumbprint", "bare name", "bare name with a thumbprint", "one of two", "host unknown", "no instances"],
)
def test_pin_that_may_be_the_key_is_no_difference(targets):
    assert kinds(IN_USE, *targets) == []


def test_bare_name_may_be_a_version_of_its_key_alone():
    assert kinds(BY_URI, pinned(version=None)) == []
    assert kinds(BY_URI, pinned(version=None, key_name="Other")) == [(NOT_PROBED, "", "")]


def test_best_entry_of_a_target_counts():
    entries = ({"sql_instance": "SQLPRD01"}, N1, {"sql_instance": "SQLPRD01"})
    target = pinned(version=OLD, thumbprint=OLD_MARK, instances=entries)
    assert kinds(IN_USE, target, other="n2\\SQLPRD01") == [(OTHER_VERSION, "sales", "")]
    assert kinds(IN_USE, replace(target, instances=entries[:1]), other="n2\\SQLPRD01") == [(NOT_PROBED, "", "")]
    namesake = replace(target, instances=(N1 | {"host": "n1.b.com"},))
    assert kinds(replace(IN_USE, host="n1.a.com"), namesake) == [(NOT_PROBED, "", "")]


@pytest.mark.parametrize(
    "reading",
    [
        an_unread_server(),
        replace(IN_USE, read_at={name: at for name, at in IN_USE.read_at.items() if name != "encryption"}),
        using(
            {"sales": NEW_MARK},
            encryption=[{"database": "sales", "encryption_state": 3, "encryptor_type": "CERTIFICATE", "thumbprint": NEW_MARK}],
        ),
        using({"sales": NEW_MARK}, databases=[{"name": "sales", "state": "ONLINE", "is_encrypted": 0}]),
    ],
    ids=["never read", "section never read", "certificate", "decrypted"],
)
def test_unread_or_unencrypted_server_has_no_difference(reading):
    assert compared(reading, pinned(version=OLD, thumbprint=OLD_MARK)) == ()


def test_closed_database_may_be_under_each_key():
    reading = using(
        {"sales": NEW_MARK},
        keys=[OLD_MARK],
        databases=[
            {"name": "sales", "state": "ONLINE", "is_encrypted": 1},
            {"name": "hr", "state": "RECOVERY_PENDING", "is_encrypted": 1},
        ],
    )
    assert kinds(reading, pinned(version=OLD, thumbprint=OLD_MARK)) == [(NOT_PROBED, "", "")]


def test_key_that_the_server_does_not_show_counts():
    reading = using({"sales": NEW_MARK}, keys=[])
    hidden = replace(reading, document=replace(reading.document, sections={**reading.document.sections, "keys": ()}))
    assert kinds(hidden, pinned(version=OLD, thumbprint=OLD_MARK)) == [(OTHER_VERSION, "sales", "")]


def test_differences_of_a_server_are_bounded_the_most_urgent_first():
    marks = [f"0x{number:040X}" for number in range(MOST_DIFFERENCES + 5)]
    reading = using({f"d{number}": mark for number, mark in enumerate(marks)})
    targets = [
        pinned(f"t{number:02}", thumbprint=mark, instances=[{"sql_instance": "WEB"}]) for number, mark in enumerate(marks[:10])
    ]
    found = compared(reading, *targets)
    assert [each.kind for each in found] == [NOT_PROBED] * (len(marks) - 10) + [NOT_LISTED] * (MOST_DIFFERENCES - len(marks) + 10)
    assert [each.thumbprint for each in found[:2]] == marks[10:12]
