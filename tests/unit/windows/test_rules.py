"""Access lists; the settings of an installation with the command line that follows, its plan, and the rights on its folders."""

import json
import re
from pathlib import PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.windows import rules
from exporter.windows.rules import (
    ADMINISTRATORS,
    ADMINISTRATORS_ONLY,
    FULL_CONTROL,
    SYSTEM,
    AccessEntry,
    Existing,
    ServiceDefinition,
    ServiceSettings,
    folder_rights,
    has_full_control,
    holders,
    known_sid,
    make_plan,
    merge,
    read_access_list,
    read_sid,
    service_sid,
    token_sids,
)
from tests.support.values import replace
from tests.support.windows_facts import SID, descriptor, full, sid_bytes

OTHER = "S-1-5-21-1-2-3-1001"
READ = 0x20019
BASE = PureWindowsPath(r"C:\Program Files\ekm-exporter")
PYTHON = rf"{BASE}\app\python\python.exe"
KEPT = ServiceSettings(
    name="ekm", version="1", listen=":1", arguments="--web.enable-pages", prometheus=("10.1.2.3",), account=r"D\m$"
)


def test_settings_are_read_as_they_were_written():
    assert rules.parse_settings(rules.dump_settings(KEPT)) == KEPT


def test_settings_of_another_version_are_read():
    assert rules.parse_settings('{"name": "ekm", "later": 1}') == ServiceSettings(name="ekm")


OTHERS = (
    *({}, {"name": 1}, {"name": "all"}, {"name": "ekm", "listen": 1}, {"name": "ekm", "account": None}, []),
    *({"name": "ekm", "prometheus": wrong} for wrong in ("10.1.2.3", [1], ["x"])),
    *({"name": "ekm", "address": wrong} for wrong in ("zz", ":x")),
    {"name": "ekm", "account": "LocalSystem"},
)


@pytest.mark.parametrize("text", [*map(json.dumps, OTHERS), "", "x"])
def test_other_files_are_not_settings(text):
    with pytest.raises(ValueError, match=r".*"):
        rules.parse_settings(text)


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        *((dict.fromkeys(("listen", "arguments", "prometheus", "account"), nothing), KEPT) for nothing in (None, "", [])),
        (
            {"listen": "none", "arguments": "none", "prometheus": ["none"], "account": "none"},
            ServiceSettings(name="ekm", version="1"),
        ),
        (
            {"listen": ":2", "prometheus": ["10.1.2.4", "10.1.2.5"]},
            replace(KEPT, listen=":2", prometheus=("10.1.2.4", "10.1.2.5")),
        ),
    ],
)
def test_given_settings_replace_the_kept_ones_and_none_removes_them(given, merged):
    assert merge(KEPT, given) == merged


@pytest.mark.parametrize(
    "accepted",
    [
        *({"account": account} for account in ("", r"NT SERVICE\ekm", r"nt service\EKM", r"CONTOSO\ekm$")),
        {"prometheus": ("10.1.2.3", "10.1.2.0/24", "10.1.2.9/24", "fd00::1")},
    ],
)
def test_account_without_a_password_addresses_and_networks_are_accepted(accepted):
    assert rules.check_settings(ServiceSettings(name="ekm", **accepted)) == ""


@pytest.mark.parametrize(
    "account",
    [
        *("LocalSystem", r"NT AUTHORITY\NetworkService", r"NT SERVICE\other", r"CONTOSO\person", r".\person", "ekm$"),
        "ekm@contoso.com",
    ],
)
def test_shared_accounts_and_those_with_a_password_are_refused(account):
    problem = rules.check_settings(ServiceSettings(name="ekm", account=account))
    assert repr(account) in problem
    assert r"NT SERVICE\ekm" in problem


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        *(({"name": "a b"}, "'a b'"), ({"name": "a\\b"}, "hyphens"), ({"name": "all"}, "'all'"), ({"name": "ALL"}, "'ALL'")),
        ({"arguments": '--a "b'}, "quote has no end"),
        ({"prometheus": ("10.1.2.3", "prom")}, "'prom'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changed, named):
    assert named in rules.check_settings(ServiceSettings(**{"name": "ekm", **changed}))


def test_default_account_is_that_of_the_service_alone():
    assert rules.account(ServiceSettings(name="ekm")) == r"NT SERVICE\ekm"
    assert rules.account(KEPT) == r"D\m$"


@pytest.mark.parametrize(
    ("python", "base", "quoted"),
    [(PYTHON, BASE, f'"{BASE}"'), (r"C:\ekm\app\python\python.exe", PureWindowsPath(r"C:\ekm"), r"C:\ekm")],
)
def test_command_quotes_each_word_with_a_blank_and_the_program_always(python, base, quoted):
    command = rules.service_command(python, ServiceSettings(name="ekm"), base)
    assert command == f'"{python}" -X utf8 -m exporter service run --name ekm --base {quoted}'


def test_command_has_the_flags_of_run():
    given = ServiceSettings(name="ekm", listen=":1", arguments=r'--web.enable-pages --web.config.file "C:\a b\w.yml"')
    command = rules.service_command(PYTHON, given, BASE)
    assert command.endswith(r' -- --web.listen-address :1 --web.enable-pages --web.config.file "C:\a b\w.yml"')
    assert rules.run_flags(given)[-1] == r"C:\a b\w.yml"


@pytest.mark.parametrize(
    ("changed", "is_same"), [({"prometheus": ()}, True), ({"listen": ":2"}, False), ({"arguments": ""}, False)]
)
def test_flags_are_those_of_listen_address_and_arguments(changed, is_same):
    assert rules.has_same_flags(replace(KEPT, **changed), KEPT) is is_same
    assert not rules.has_same_flags(KEPT, None)


@pytest.mark.parametrize(("address", "port"), [("", 0), (":10377", 10377), ("127.0.0.1:1", 1), ("[::1]:2", 2)])
def test_port_is_the_end_of_the_address(address, port):
    assert rules.port_of(ServiceSettings(name="ekm", address=address)) == port


def test_empty_word_stays_a_word():
    assert rules.run_flags(ServiceSettings(name="e", arguments='--web.external-url "" x')) == ["--web.external-url", "", "x"]
    assert rules.service_command("p", ServiceSettings(name="e", arguments='--a ""'), BASE).endswith(' -- --a ""')


@pytest.mark.parametrize(
    ("base", "is_same"), [(BASE, True), (str(BASE).upper(), True), (rf"{BASE}-1", False), (r"C:\Program Files", False)]
)
def test_command_shows_the_folder_of_its_installation(base, is_same):
    command = rules.service_command(PYTHON, ServiceSettings(name="ekm"), BASE)
    assert rules.is_command_of(command, "EKM", PureWindowsPath(base)) is is_same
    assert not rules.is_command_of(command, "other", PureWindowsPath(base))


def words_of_windows(line):
    """Split a command line as Windows does: before a quote, two backslashes are one, and an odd one makes the quote a character."""
    found, word, is_quoted, mark = [], "", False, "\0"
    for backslashes, character in re.findall(r"(\\*)([^\\])", line + " "):
        word += backslashes[: len(backslashes) // 2] if character == '"' else backslashes
        if character == '"' and len(backslashes) % 2 == 0:
            word, is_quoted = word + mark, not is_quoted  # the mark keeps an empty word
        elif character == " " and not is_quoted:
            found, word = [*found, word] if word else found, ""
        else:
            word += character
    return [one.replace(mark, "") for one in found]


@pytest.mark.parametrize("arguments", ['--web.config.file "C:\\my conf\\" --log.level debug', r"--a C:\x\ --b", '--a "" --b', ""])
def test_command_is_read_back_by_windows_word_for_word(arguments):
    given = ServiceSettings(name="ekm", listen=":1", arguments=arguments)
    words = words_of_windows(rules.service_command(PYTHON, given, BASE))
    flags = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', arguments)]
    assert words[0] == PYTHON
    assert words[words.index("--base") + 1 :] == [str(BASE), "--", "--web.listen-address", ":1", *flags]


def test_folder_of_the_program_is_above_app():
    assert rules.folder_of_program(PureWindowsPath(PYTHON)) == BASE
    assert rules.folder_of_program(PureWindowsPath(r"C:\ekm\App\Python\python.exe")) == PureWindowsPath(r"C:\ekm")
    assert rules.folder_of_program(PureWindowsPath(r"C:\venv\Scripts\python.exe")) is None
    assert rules.is_program_of(PureWindowsPath(PYTHON.upper()), BASE)
    assert not rules.is_program_of(PureWindowsPath(PYTHON), BASE / "other")


@pytest.mark.parametrize(
    "name", ["", "a/b", r"a\b", "..", ".a", "a.", "a b", "C:a", "a:b", "con", "NUL", "nul.txt", "com1", "a" * 101]
)
def test_only_plain_names_of_a_secret_are_accepted(name):
    assert repr(name) in rules.check_secret_name(name)
    for plain in ("ekm-credential", "sql_prod.txt", "_a", "console", "com10", "nullable"):
        assert rules.check_secret_name(plain) == ""


# The plan: what changes, and what happens to the process.

SERVICE = ServiceDefinition(name="ekm", command='"p" run', account=r"NT SERVICE\ekm")
SETTINGS = ServiceSettings(name="ekm", version="1", prometheus=("10.1.2.3",))
NOTHING = Existing(service=None, settings=None, is_running=False)
RUNNING = Existing(service=SERVICE, settings=SETTINGS, is_running=True)
ELSEWHERE = replace(SERVICE, command='"p" run --web.listen-address :1')


@pytest.mark.parametrize(
    ("changed", "changes", "action"),
    [
        (
            {"found": NOTHING, "changed_files": ("ekm.yml", "secrets/a")},
            ("program", "service", "configuration", "secrets", "firewall", "start"),
            "start",
        ),
        (
            {"found": NOTHING, "starts": False, "settings": replace(SETTINGS, prometheus=())},
            ("program", "service"),
            "nothing",
        ),
        ({"found": replace(RUNNING, is_running=False)}, ("start",), "start"),
        ({}, (), "nothing"),
        ({"service": ELSEWHERE}, ("service",), "restart"),
        ({"service": replace(SERVICE, account=r"D\m$")}, ("service",), "restart"),
        ({"service": replace(SERVICE, account=r"nt service\EKM")}, (), "nothing"),
        ({"settings": replace(SETTINGS, version="2")}, ("program",), "restart"),
        ({"settings": replace(SETTINGS, prometheus=())}, ("firewall",), "nothing"),
        ({"settings": replace(SETTINGS, address=":1"), "service": ELSEWHERE}, ("service", "firewall"), "restart"),
        ({"changed_files": ("targets.d/a.yml",)}, ("configuration",), "reload"),
        ({"changed_files": ("secrets/a",)}, ("secrets",), "nothing"),
        ({"changed_files": ("ekm.yml",), "starts": False}, ("configuration",), "nothing"),
        ({"service": ELSEWHERE, "starts": False}, ("service",), "nothing"),
    ],
)
def test_service_gets_what_has_changed(changed, changes, action):
    wanted = {"service": SERVICE, "settings": SETTINGS, "changed_files": (), "starts": True}
    plan = make_plan(**{"found": RUNNING, **wanted, **changed})
    assert (plan.changes, plan.action) == (changes, action)


# Rights on the folders.

WRITES = {"state", "logs"}


def entries_of(text: str) -> list[tuple[str, ...]]:
    """Return flags, right and account of each entry; each one allows."""
    owner, found = re.fullmatch(r"O:BAD:P((?:\([^)]*\))+)", text), re.findall(r"\(A;(.*?);(.*?);;;(.*?)\)", text)
    assert owner is not None
    assert text.count("(") == len(found)
    return found


def test_rights_of_folders_are_inherited_by_all_in_them():
    for text in (ADMINISTRATORS_ONLY, *folder_rights(SID).values()):
        assert {flags for flags, _, _ in entries_of(text)} == {"OICI"}


def test_only_administrators_the_system_and_the_service_have_rights():
    for folder, text in folder_rights(SID).items():
        assert [who for _, _, who in entries_of(text)] == ["BA", "SY", "BU" if folder == "app" else SID]


def test_service_writes_state_and_logs_alone_and_users_write_nothing():
    rights = {folder: entries_of(text)[2][1] for folder, text in folder_rights(SID).items()}
    write, delete = 0x2, 0x10000  # FILE_WRITE_DATA, DELETE
    numbers = {folder: 0x120089 if right == "FR" else int(right, 16) for folder, right in rights.items()}
    assert {folder for folder, right in numbers.items() if right & write} == WRITES
    assert {folder for folder, right in numbers.items() if right & delete} == WRITES
    assert {folder for folder, right in numbers.items() if not right & 0x1} == set()  # FILE_READ_DATA


def test_outer_folder_comes_first():
    assert next(iter(folder_rights(SID))) == ""


# Access lists.


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
