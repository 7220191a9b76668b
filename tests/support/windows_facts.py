"""Facts of a Windows host with one healthy SQL Server, and access lists as bytes."""

import struct

from exporter.doctor.host_rules import (
    ConnectorFile,
    ConnectorKey,
    HostFacts,
    HostInstance,
    ProxySettings,
    RegistryEntry,
    RuntimeLibrary,
    TlsSettings,
)
from exporter.windows.rules import FULL_CONTROL, AccessEntry, WindowsResponse, service_sid, token_sids

ACCOUNT, SID = r"NT Service\MSSQLSERVER", service_sid("MSSQLSERVER")
DLL = r"C:\Connector\ekm.dll"
URI = "https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/" + "a" * 32


def an_instance(**changes):
    token = token_sids(SID, "MSSQLSERVER", with_service_sid=True)
    given = {"name": "MSSQLSERVER", "account": ACCOUNT, "state": "running", "major": 16, "sid": SID, "sids": token}
    return HostInstance(**given | changes)


def full(sid=SID, **changes):
    return AccessEntry(sid, FULL_CONTROL, **changes)


def a_key(*rights, uri=URI, **more):
    """The connector's key with these entries in its list, and one key below with a KeyUri."""
    listed = rights or (full(),)
    below = RegistryEntry(path=r"Azure Key Vault\vault\0A", rights=listed, key_uri=uri)
    return ConnectorKey(entries=(RegistryEntry(path="", rights=listed), below), **more)


def host_facts(**changes):
    given = {
        "account": r"CONTOSO\dba",
        "instances": (an_instance(),),
        "files": (ConnectorFile(path=DLL, version=(15, 0, 2000, 440)),),
        "runtimes": (RuntimeLibrary("Microsoft Visual C++ 2015-2022 Redistributable (x64)", (14, 38, 33130)),),
        "key": a_key(),
        "cluster_node": False,
        "tls": TlsSettings(),
        "response": WindowsResponse(200),
        "proxies": {ACCOUNT: ProxySettings()},
        "winhttp": ProxySettings(),
        "time_service": "is running: the domain is its source",
        "events": (),
        "log_level": 0,
    }
    return HostFacts(**given | changes)


def sid_bytes(sid):
    _, revision, authority, *parts = sid.split("-")
    return (
        struct.pack("<BB", int(revision), len(parts))
        + int(authority).to_bytes(6, "big")
        + struct.pack(f"<{len(parts)}I", *map(int, parts))
    )


def descriptor(*entries):
    """A self-relative security descriptor with entries of kind, flags, rights and SID."""
    listed = b"".join(
        struct.pack("<BBHI", kind, flags, 8 + len(sid_bytes(sid)), rights) + sid_bytes(sid)
        for kind, flags, rights, sid in entries
    )
    header = struct.pack("<BBHIIII", 1, 0, 0x8004, 0, 0, 0, 20)
    return header + struct.pack("<BBHHH", 2, 0, 8 + len(listed), len(entries), 0) + listed


def event_xml(
    *texts, provider="SQL Server Connector for Microsoft Azure Key Vault", number="4096", at="2026-11-24T10:02:03.1234567Z"
):
    data = "".join(f"<Data>{text}</Data>" for text in texts)
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name='{provider}'/><EventID Qualifiers='0'>{number}</EventID><TimeCreated SystemTime='{at}'/>"
        f"<Computer>n1.contoso.example</Computer></System><EventData>{data}<Binary>00FF</Binary></EventData></Event>"
    )
