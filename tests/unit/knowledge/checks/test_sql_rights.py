"""The right that a section lacks, by the message of SQL Server."""

import pytest

from exporter.knowledge.checks_host import SQL_RIGHTS, missing_right
from exporter.sqlserver.document import PROOF_SECTIONS, SECTIONS, unseen
from exporter.sqlserver.keys import REGISTRY

DENIED = "message 229: The SELECT permission was denied on the object 'backupset', database 'msdb', schema 'dbo'."
STATE = "message 300: VIEW SERVER SECURITY STATE permission was denied on object 'server', database 'master'."


@pytest.mark.parametrize(
    ("section", "message", "name"),
    [
        ("backups", DENIED, "SELECT on msdb.dbo.backupset"),
        ("backups", 'message 916: The server principal "ekm" is not able to access the database "msdb".', "SELECT on msdb.dbo.backupset"),
        ("encryption", STATE, "VIEW SERVER SECURITY STATE"),
        ("opened", STATE.replace(" SECURITY", ""), "VIEW SERVER SECURITY STATE"),
        ("logs", STATE.replace(" SECURITY", ""), "VIEW SERVER PERFORMANCE STATE"),
        ("errors", DENIED.replace("SELECT", "EXECUTE"), "EXECUTE on sys.xp_readerrorlog"),
        (REGISTRY, DENIED.replace("SELECT", "EXECUTE"), "EXECUTE on xp_regenumkeys and xp_regread"),
        ("loaded", "message 33029: Cannot load the library.", None),
        ("backups", "message 1222: Lock request time out period exceeded.", None),
        ("flags", DENIED, None),
    ],
)  # fmt: skip
def test_right_is_found_by_name_or_section(section, message, name):
    right = missing_right(section, message)
    assert (None if right is None else right.name) == name


@pytest.mark.parametrize(
    ("own", "sections"),
    [
        ({"may_view_databases": 0}, {"databases", "encryption", "opened"}),
        ({"may_view_definitions": 0, "may_view_security_definitions": 0}, {"credentials", "keys", "logins"}),
    ],
)
def test_section_that_is_silently_shorter_lacks_a_right(own, sections):
    found = unseen({"instance": [own], "opened": []})
    assert found.keys() == sections
    names = {missing_right(section, message).name for section, message in found.items()}
    assert names == {"VIEW ANY DATABASE" if "may_view_databases" in own else "VIEW ANY DEFINITION"}


def test_every_section_that_needs_a_right_has_one():
    listed = [section for right in SQL_RIGHTS for section in right.sections]
    visible_to_public = {"instance", "providers", "configurations", "start", "flags", "loaded"}
    assert sorted(listed) == sorted({*SECTIONS, *PROOF_SECTIONS, REGISTRY} - visible_to_public)


def test_action_names_the_loss():
    assert SQL_RIGHTS[4].action == (
        "`SELECT on msdb.dbo.backupset` is missing: run part 3 of `login.sql`. "
        "Without it, no backup proves a key, so a secret counts as not proven until the next start."
    )
