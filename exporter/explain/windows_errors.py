"""Errors of Windows (Win32, Winsock, WinINet, certificates), which logs show as a number or an HRESULT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.core.reasons import Reason
from exporter.explain.connector_texts import REGISTRY_ACTIONS

_WIN32 = 0x8007  # the upper half of an HRESULT that contains a Win32 error
_LOW_HALF = 0xFFFF
_TEXT = "Print the text of the error on the SQL Server host: `certutil -error {}`."
_RUNTIME = (
    "Install the Visual C++ runtime of the connector: 2015 for SQL Server 2016 and later, 2013 for older ones.",
    "Explain the message of SQL Server: `ekm-exporter explain 33027`.",
)
_REVOCATION = (
    "Open port 80 from the SQL Server host to the CRL and OCSP hosts of the certificate: `ekm-exporter doctor TARGET` lists them.",
    "If a proxy is needed, give it to the service account of SQL Server: see the line service_proxy of `doctor`.",
)


@dataclass(frozen=True, slots=True)
class WindowsError:
    """One error. `reason` or `actions` are the remedy; `code` is the classic connector code, if there is one."""

    meaning: str
    reason: Reason | None = None
    code: int | None = None
    actions: tuple[str, ...] = ()


WINDOWS_ERRORS: Mapping[int, WindowsError] = MappingProxyType(
    {
        2: WindowsError("a file or registry key was not found", code=2058, actions=REGISTRY_ACTIONS),
        3: WindowsError(
            "a folder was not found", actions=("Check the path in the same line, and the rights of the service account.",)
        ),
        5: WindowsError("access is denied", code=2058, actions=REGISTRY_ACTIONS),
        126: WindowsError("a DLL, or another one that it needs, was not found", actions=_RUNTIME),
        127: WindowsError("a DLL lacks a function, so it has another version than expected", actions=_RUNTIME),
        193: WindowsError("a DLL is for another processor, such as 32 bits, or is damaged", actions=_RUNTIME),
        1114: WindowsError("a DLL failed to start", actions=_RUNTIME),
        14001: WindowsError("a DLL needs a runtime library that is not installed", actions=_RUNTIME),
        10013: WindowsError("a local firewall or program forbids the connection", Reason.CONNECT_FAILED, 3008),
        10051: WindowsError("the network is unreachable", Reason.NETWORK_DOWN, 3005),
        10053: WindowsError("software on this host ended the connection", Reason.CONNECTION_CLOSED, 3008),
        10054: WindowsError("the far side reset the connection", Reason.CONNECTION_RESET, 3008),
        10060: WindowsError("the connection attempt timed out", Reason.CONNECT_TIMEOUT, 3008),
        10061: WindowsError("the connection was refused", Reason.CONNECT_REFUSED, 3008),
        10065: WindowsError("the host is unreachable", Reason.CONNECT_UNREACHABLE, 3008),
        11001: WindowsError("the host name did not resolve", Reason.DNS_NOT_FOUND, 3900),
        11002: WindowsError("the DNS server failed temporarily", Reason.DNS_TEMPORARY, 3900),
        11004: WindowsError("the host name has no address", Reason.DNS_NOT_FOUND, 3900),
        12002: WindowsError("the request timed out", Reason.READ_TIMEOUT, 3008),
        12007: WindowsError("the host name did not resolve", Reason.DNS_NOT_FOUND, 3900),
        12029: WindowsError("the connection failed", Reason.CONNECT_FAILED, 3008),
        12030: WindowsError("the connection was closed before the response", Reason.CONNECTION_CLOSED, 3008),
        12031: WindowsError("the connection was reset", Reason.CONNECTION_RESET, 3008),
        12037: WindowsError("the certificate of the server is outside its dates", Reason.TLS_EXPIRED, 3008),
        12038: WindowsError("the certificate of the server is for another name", Reason.TLS_WRONG_NAME, 3008),
        12045: WindowsError(
            "the certificate of the server was issued by an authority that Windows does not trust", Reason.TLS_UNTRUSTED, 3008
        ),
        12057: WindowsError(
            "Windows could not check whether the certificate of the server is revoked", code=3008, actions=_REVOCATION
        ),
        12152: WindowsError("the response of the server is not valid HTTP", Reason.NOT_HTTP, 3008),
        12157: WindowsError("the TLS handshake failed", Reason.TLS_FAILED, 3008),
        12163: WindowsError("this host has no connection to the network", Reason.NETWORK_DOWN, 3005),
        12164: WindowsError("the server cannot be reached", Reason.CONNECT_UNREACHABLE, 3008),
        12165: WindowsError("the proxy cannot be reached", Reason.PROXY_UNREACHABLE, 3008),
        12169: WindowsError("the certificate of the server is invalid", Reason.TLS_UNTRUSTED, 3008),
        12170: WindowsError("the certificate of the server is revoked", Reason.TLS_UNTRUSTED, 3008),
        12175: WindowsError("the TLS handshake failed, or the certificate of the server was refused", Reason.TLS_FAILED, 3008),
        0x80090304: WindowsError("Windows could not start the TLS handshake", Reason.TLS_FAILED, 3008),
        0x80090308: WindowsError("the far side sent no valid TLS", Reason.TLS_FAILED, 3008),
        0x80090322: WindowsError("the certificate of the server is for another name", Reason.TLS_WRONG_NAME, 3008),
        0x80090325: WindowsError(
            "the certificate of the server was issued by an authority that Windows does not trust", Reason.TLS_UNTRUSTED, 3008
        ),
        0x80090326: WindowsError("the far side sent an unexpected TLS message", Reason.TLS_FAILED, 3008),
        0x80090328: WindowsError("the certificate of the server has expired", Reason.TLS_EXPIRED, 3008),
        0x80090331: WindowsError("both sides have no TLS version or cipher in common", Reason.TLS_FAILED, 3008),
        0x80092012: WindowsError("Windows could not check whether a certificate is revoked", code=3008, actions=_REVOCATION),
        0x80092013: WindowsError("the server that knows revoked certificates is offline", code=3008, actions=_REVOCATION),
        0x800B0101: WindowsError("a certificate is outside its dates", Reason.TLS_EXPIRED, 3008),
        0x800B0109: WindowsError("a certificate ends in an authority that Windows does not trust", Reason.TLS_UNTRUSTED, 3008),
        0x800B010A: WindowsError("a certificate has no chain to a trusted authority", Reason.TLS_UNTRUSTED, 3008),
        0x800B010F: WindowsError("a certificate is for another name", Reason.TLS_WRONG_NAME, 3008),
    }
)
# What Windows calls the numbers in its headers, tools and logs.
WINDOWS_NAMES: Mapping[str, int] = MappingProxyType(
    {
        "ERROR_FILE_NOT_FOUND": 2,
        "ERROR_PATH_NOT_FOUND": 3,
        "ERROR_ACCESS_DENIED": 5,
        "E_ACCESSDENIED": 5,
        "ERROR_MOD_NOT_FOUND": 126,
        "ERROR_PROC_NOT_FOUND": 127,
        "ERROR_BAD_EXE_FORMAT": 193,
        "ERROR_DLL_INIT_FAILED": 1114,
        "ERROR_SXS_CANT_GEN_ACTCTX": 14001,
        "WSAEACCES": 10013,
        "WSAENETUNREACH": 10051,
        "WSAECONNABORTED": 10053,
        "WSAECONNRESET": 10054,
        "WSAETIMEDOUT": 10060,
        "WSAECONNREFUSED": 10061,
        "WSAEHOSTUNREACH": 10065,
        "WSAHOST_NOT_FOUND": 11001,
        "WSATRY_AGAIN": 11002,
        "WSANO_DATA": 11004,
        **{
            f"{prefix}_{name}": number
            for name, number in {
                "TIMEOUT": 12002,
                "NAME_NOT_RESOLVED": 12007,
                "CANNOT_CONNECT": 12029,
                "CONNECTION_ABORTED": 12030,
                "CONNECTION_ERROR": 12030,
                "CONNECTION_RESET": 12031,
                "SEC_CERT_DATE_INVALID": 12037,
                "SECURE_CERT_DATE_INVALID": 12037,
                "SEC_CERT_CN_INVALID": 12038,
                "SECURE_CERT_CN_INVALID": 12038,
                "INVALID_CA": 12045,
                "SECURE_INVALID_CA": 12045,
                "SEC_CERT_REV_FAILED": 12057,
                "SECURE_CERT_REV_FAILED": 12057,
                "SECURITY_CHANNEL_ERROR": 12157,
                "SECURE_CHANNEL_ERROR": 12157,
                "DISCONNECTED": 12163,
                "SERVER_UNREACHABLE": 12164,
                "PROXY_SERVER_UNREACHABLE": 12165,
                "SEC_INVALID_CERT": 12169,
                "SECURE_INVALID_CERT": 12169,
                "SEC_CERT_REVOKED": 12170,
                "SECURE_CERT_REVOKED": 12170,
                "DECODING_FAILED": 12175,
                "SECURE_FAILURE": 12175,
            }.items()
            for prefix in ("ERROR_INTERNET", "ERROR_WINHTTP")
        },
        "SEC_E_INTERNAL_ERROR": 0x80090304,
        "SEC_E_INVALID_TOKEN": 0x80090308,
        "SEC_E_WRONG_PRINCIPAL": 0x80090322,
        "SEC_E_UNTRUSTED_ROOT": 0x80090325,
        "SEC_E_ILLEGAL_MESSAGE": 0x80090326,
        "SEC_E_CERT_EXPIRED": 0x80090328,
        "SEC_E_ALGORITHM_MISMATCH": 0x80090331,
        "CRYPT_E_NO_REVOCATION_CHECK": 0x80092012,
        "CRYPT_E_REVOCATION_OFFLINE": 0x80092013,
        "CERT_E_EXPIRED": 0x800B0101,
        "CERT_E_UNTRUSTEDROOT": 0x800B0109,
        "CERT_E_CHAINING": 0x800B010A,
        "CERT_E_CN_NO_MATCH": 0x800B010F,
    }
)
# English sentences of Windows, in lower case.
WINDOWS_PHRASES: Mapping[str, int] = MappingProxyType(
    {
        "access is denied": 5,
        "access to the path": 5,
        "specified module could not be found": 126,
        "specified procedure could not be found": 127,
        "not a valid win32 application": 193,
        "side-by-side configuration is incorrect": 14001,
        "cannot find the file specified": 2,
        "cannot find the path specified": 3,
    }
)


def is_known(number: int) -> bool:
    """Whether the table has the error, or the Win32 error in this HRESULT."""
    return (number & _LOW_HALF if number >> 16 == _WIN32 else number) in WINDOWS_ERRORS


def windows_error(number: int) -> tuple[int, WindowsError]:
    """Return the number to show, and the error. An HRESULT of Win32 is its lower half. Total."""
    plain = number & _LOW_HALF if number >> 16 == _WIN32 else number
    found = WINDOWS_ERRORS.get(plain)
    if found is None:
        shown = f"0x{number:08X}" if number > _LOW_HALF else str(number)
        found = WindowsError("its text is not in this table", actions=(_TEXT.format(shown),))
    return plain, found
