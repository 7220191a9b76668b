"""`doctor` on a host of Wine that has the files and registry entries of three SQL Servers.

Wine has no event log to read. What another account's proxy or rights really are, only Windows shows: `try-doctor.ps1`.
"""

import contextlib
import getpass
import http.server
import json
import re
import struct
import threading
from collections.abc import Iterator

import pytest

from exporter.doctor.host_rules import DLL, FOLDER
from exporter.knowledge.code_row import REGISTRY_KEY
from exporter.windows.rules import ADMINISTRATORS, FULL_CONTROL
from tests.support.tls_server import Authority
from tests.support.windows_facts import SID, descriptor

WRITE = 0xD0006  # delete, change rights and owner, set values, create keys
KEY = "ContosoRSAKey0/" + "a" * 32
MACHINE, SERVICES = r"HKEY_LOCAL_MACHINE\SOFTWARE", r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services"
RUNTIMES = rf"{MACHINE}\Microsoft\VisualStudio\14.0\VC\Runtimes"
ENTRIES: dict[str, dict[str, str | int]] = {
    rf"{MACHINE}\Microsoft\Microsoft SQL Server\Instance Names\SQL": {"MSSQLSERVER": "MSSQL16.MSSQLSERVER", "PROD": "MSSQL16.PROD", "LAB": "MSSQL16.LAB"},
    rf"{SERVICES}\MSSQLSERVER": {"ObjectName": r"NT Service\MSSQLSERVER", "ServiceSidType": 1},
    rf"{SERVICES}\MSSQL$PROD": {"ObjectName": r"NT AUTHORITY\NETWORK SERVICE", "ServiceSidType": 1},
    rf"{SERVICES}\MSSQL$LAB": {"ObjectName": f".\\{getpass.getuser()}"},
    rf"{RUNTIMES}\x64": {"Installed": 1, "Version": "v14.38.33130.00"},
    rf"HKEY_LOCAL_MACHINE\{REGISTRY_KEY}\Azure Key Vault\vault\0A": {"KeyUri": f"https://127.0.0.1:9/keys/{KEY}"},
    rf"HKEY_USERS\{SID}\Software\Microsoft\Windows\CurrentVersion\Internet Settings": {"ProxyEnable": 1, "ProxyServer": "proxy.example:3128"},
}  # fmt: skip
ROOTS = (rf"{MACHINE}\Microsoft\Microsoft SQL Server", rf"{SERVICES}\MSSQLSERVER", rf"{SERVICES}\MSSQL$PROD", rf"{SERVICES}\MSSQL$LAB", RUNTIMES, rf"HKEY_LOCAL_MACHINE\{REGISTRY_KEY}", rf"HKEY_USERS\{SID}")  # fmt: skip
SET_RIGHTS = """
import ctypes, sys, winreg
for path in sys.argv[2:]:
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path, 0, 0x40000 | winreg.KEY_WOW64_64KEY) as key:
        failure = ctypes.WinDLL("advapi32").RegSetKeySecurity(ctypes.c_void_p(int(key)), 4, bytes.fromhex(sys.argv[1]))
        assert not failure, failure
"""


def registry_file(keys):
    def value(found):
        text = str(found).replace("\\", "\\\\")
        return f"dword:{found:08x}" if isinstance(found, int) else f'"{text}"'

    parts = (
        f"[{key}]\n" + "".join(f'"{name}"={value(found)}\n' for name, found in values.items()) for key, values in keys.items()
    )
    return "Windows Registry Editor Version 5.00\n\n" + "\n".join(parts)


def library(template):
    """A DLL with the connector's version instead of its own."""
    data = bytearray(template)
    place = data.index(struct.pack("<I", 0xFEEF04BD)) + 8
    data[place : place + 8] = struct.pack("<4H", 0, 15, 440, 2000)
    return bytes(data)


def set_rights(host, *entries):
    paths = [REGISTRY_KEY]
    for name in ("Azure Key Vault", "vault", "0A"):
        paths.append(f"{paths[-1]}\\{name}")
    done = host.call(host.python, "-c", SET_RIGHTS, descriptor(*entries).hex(), *paths)
    assert done.code == 0, done.text


@pytest.fixture(scope="module")
def sql_host(host, tmp_path_factory):
    """The host with what three SQL Servers and the connector leave on it, until the end of this module."""
    folder = tmp_path_factory.mktemp("registry")

    def change(keys):
        (folder / "keys.reg").write_text(registry_file(keys), encoding="utf-8")
        assert host.call("regedit", "/S", host.windows_path(folder / "keys.reg")).code == 0

    dll = host.prefix / "drive_c" / "Program Files" / FOLDER / DLL
    dll.parent.mkdir(parents=True)
    dll.write_bytes(library((host.python.parent / "vcruntime140_1.dll").read_bytes()))
    (folder / "credential").write_text("0" * 32 + "not-a-secret-but-long-enough-000000")
    change(ENTRIES)
    set_rights(host, (0, 2, FULL_CONTROL, SID), (0, 2, FULL_CONTROL, ADMINISTRATORS))
    yield host, folder / "credential"
    set_rights(host, (0, 2, FULL_CONTROL, ADMINISTRATORS))
    change({f"-{key}": {} for key in ROOTS})
    dll.unlink()


def doctor(sql_host, vault):
    host, credential = sql_host
    done = host.run("doctor", "--vault", vault, "--key", KEY, "--connector-secret-file", host.windows_path(credential), "--json")
    assert done.code == 1, done.text  # the vault does not answer
    return {check["check"]: check for check in json.loads(done.out)["checks"]}


def shown(check):
    return check["outcome"], check["code"], check["detail"]


class Silent(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_arguments):
        """Print nothing."""


@contextlib.contextmanager
def untrusted_server(folder) -> Iterator[int]:
    """A server on loopback with a certificate that no store has."""
    context = Authority(folder).server("localhost")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_host_is_looked_up_in_one_run(sql_host):
    found = doctor(sql_host, "127.0.0.1:9")
    assert shown(found["connector_version"]) == ("pass", None, rf"15.0.2000.440 at C:\Program Files\{FOLDER}\{DLL}")
    assert shown(found["vc_runtime"]) == ("pass", None, "Visual C++ runtime for x64, 14.38.33130.0")
    outcome, code, detail = shown(found["registry_rights"])
    assert (outcome, code) == ("fail", 2058)
    user, lacking, granted, entry = detail.split("; ")
    assert re.fullmatch(r"\.\\.* \(LAB, .*\) lacks Full Control", user)
    assert re.fullmatch(r"NT AUTHORITY\\NETWORK SERVICE \(PROD, .*\) lacks Full Control", lacking)
    assert re.fullmatch(r"NT Service\\MSSQLSERVER \(MSSQLSERVER, .*\) has Full Control", granted)
    assert entry == "1 entry, of this key version too"
    assert shown(found["cluster_checkpoint"])[0] == "pass"
    outcome, _, detail = shown(found["service_proxy"])
    assert outcome == "warn"
    assert r"NT Service\MSSQLSERVER: through proxy.example:3128, but the exporter reaches the vault directly" in detail
    assert r"NT AUTHORITY\NETWORK SERVICE: its registry is not loaded" in detail
    assert rf".\{getpass.getuser()}: direct" in detail
    assert "WinHTTP of this host: direct" in detail
    outcome, code, detail = shown(found["windows_tls"])
    assert (outcome, code) == ("warn", 3008)
    assert "Windows error 12029 as " in detail
    assert shown(found["event_log"])[0] == "unknown"  # Wine has the function without its effect
    assert found["event_log"]["detail"].startswith("cannot be read: Windows error ")
    assert "Windows Time is " in found["clock"]["detail"]


def test_untrusted_certificate_has_its_number_and_denied_access_its_remedy(sql_host, tmp_path):
    set_rights(sql_host[0], (0, 2, WRITE, ADMINISTRATORS))
    with untrusted_server(tmp_path) as port:
        outcome, code, detail = shown((found := doctor(sql_host, f"127.0.0.1:{port}"))["windows_tls"])
    assert (outcome, code) == ("warn", 3008), detail
    assert "Windows error 12057 as " in detail  # Windows itself reports 12045: Wine tests revocation before trust
    assert shown(found["registry_rights"]) == ("unknown", None, "cannot be read: run elevated")
