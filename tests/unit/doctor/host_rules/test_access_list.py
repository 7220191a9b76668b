"""Access lists: identities, entries as bytes, and who has Full Control."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.windows.rules import (
    ADMINISTRATORS,
    FULL_CONTROL,
    SYSTEM,
    AccessEntry,
    has_full_control,
    holders,
    known_sid,
    read_access_list,
    read_sid,
    service_sid,
    token_sids,
)
from tests.support.windows_facts import SID, descriptor, full, sid_bytes

OTHER = "S-1-5-21-1-2-3-1001"
READ = 0x20019


def test_service_sid_is_that_of_windows():
    """Both are published: TrustedInstaller's, and that of the default instance."""
    assert service_sid("TrustedInstaller") == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    assert SID == service_sid("mssqlserver") == "S-1-5-80-3880718306-3832830129-1677859214-2598158968-1052248003"


@pytest.mark.parametrize(
    ("account", "sid"),
    [
        (r"NT Service\MSSQLSERVER", SID),
        (r"nt service\mssqlserver", SID),
        ("LocalSystem", SYSTEM),
        (r"NT AUTHORITY\NETWORK SERVICE", "S-1-5-20"),
        (r"NT AUTHORITY\LocalService", "S-1-5-19"),
        (r"CONTOSO\sql", None),
        ("", None),
    ],
)
def test_accounts_of_every_windows_have_known_sids(account, sid):
    assert known_sid(account) == sid


def test_token_has_groups_of_services_and_its_service_only_if_enabled():
    assert {"S-1-1-0", "S-1-5-11", "S-1-5-6", OTHER} <= token_sids(OTHER, "MSSQLSERVER", with_service_sid=False)
    assert SID not in token_sids(OTHER, "MSSQLSERVER", with_service_sid=False)
    assert {SID, "S-1-5-80-0"} <= token_sids(OTHER, "MSSQLSERVER", with_service_sid=True)
    assert ADMINISTRATORS in token_sids(SYSTEM, "MSSQLSERVER", with_service_sid=True)
    assert ADMINISTRATORS not in token_sids(OTHER, "MSSQLSERVER", with_service_sid=True)


def test_descriptor_is_read_entry_by_entry():
    data = descriptor(
        (0, 0x02, FULL_CONTROL, SID), (1, 0x0B, READ, OTHER), (0, 0, 0x10000000, SYSTEM), (5, 0, FULL_CONTROL, OTHER)
    )
    assert read_access_list(data) == (
        AccessEntry(SID, FULL_CONTROL),
        AccessEntry(OTHER, READ, allows=False, here=False),
        AccessEntry(SYSTEM, FULL_CONTROL, below=False),
    )


def test_missing_list_gives_everyone_all_rights():
    without = bytearray(descriptor())
    without[2] = 0
    assert read_access_list(bytes(without)) is None
    assert has_full_control(None, {OTHER})
    assert not has_full_control((), {OTHER})


@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 200))
def test_damaged_descriptor_is_read_or_refused(place, byte, length):
    data = bytearray(descriptor((0, 2, FULL_CONTROL, SID), (1, 0, READ, OTHER)))
    data[place % len(data)] = byte
    try:
        entries = read_access_list(bytes(data[:length]))
    except ValueError:
        return
    assert entries is None or all(entry.sid.startswith("S-") for entry in entries)


@pytest.mark.parametrize("data", [b"", b"\x01\x05\0\0\0\0\0\x05", sid_bytes(SID)[:-1]])
def test_cut_off_sid_is_refused(data):
    with pytest.raises(ValueError, match="no security identifier"):
        read_sid(data)


@pytest.mark.parametrize(
    ("entries", "here", "below"),
    [
        ((full(),), True, True),
        ((full(below=False),), True, False),
        ((full(here=False),), False, True),
        ((full(OTHER),), False, False),
        ((AccessEntry(SID, READ), full("S-1-5-11")), True, True),  # the rights of two entries
        ((AccessEntry(SID, READ, allows=False), full()), False, False),
        ((full(), AccessEntry(SID, READ, allows=False)), True, True),  # the first entry decides
        ((AccessEntry(OTHER, READ, allows=False), full()), True, True),
        ((AccessEntry(SID, READ),), False, False),
    ],
)
def test_full_control_follows_the_order_of_entries(entries, here, below):
    token = token_sids(SID, "MSSQLSERVER", with_service_sid=True)
    assert has_full_control(entries, token) is here
    assert has_full_control(entries, token, below=True) is below


def test_holders_have_all_rights_of_this_key():
    entries = (full(), full(), full(OTHER, allows=False), full(OTHER, here=False), AccessEntry(OTHER, READ), full(SYSTEM))
    assert holders(entries) == (SID, SYSTEM)
