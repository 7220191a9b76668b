"""Texts that are no connector code: `KnownText`, those of the connector, errors of Windows, and sentences of other tools.

Tables and their look-ups. The messages of SQL Server are in `messages`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.knowledge.code_row import DO_NOT_RESTART, EVENT_LOG, GRANT_RIGHT, RESTART_LATER, SHOW_RIGHTS
from exporter.knowledge.codes import SHOW_REGISTRY
from exporter.knowledge.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownText:
    """One text, with its meaning. Texts follow the rules of `ConnectorError`.

    `number` is that of a message of SQL Server. `pattern` finds the English text, in lower case; empty if the number alone counts.
    `has_code` is True if the text ends with a provider code, which then decides. `codes` are related connector codes.
    """

    title: str
    pattern: str
    summary: str = ""
    causes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    number: int | None = None
    has_code: bool = False
    codes: tuple[int, ...] = ()
    commands: tuple[str, ...] = ()
    effect: str = ""  # what fails in SQL Server and when, if no code states it
    reason: Reason | None = None  # whose text and advice follow those of this row

    @property
    def headline(self) -> str:
        """The title with the number, if it has one."""
        return self.title if self.number is None else f"Message {self.number} of SQL Server: {self.title}"


# Texts that the connector writes to the event log without a code of the table.

# From Microsoft's page about the connector's registry entries.
REGISTER_TEXTS = (
    r'reg add "HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\SQL Server Connector for Microsoft Azure Key Vault" '
    r'/v EventMessageFile /t REG_EXPAND_SZ /d "C:\Program Files\SQL Server Connector for Microsoft Azure Key Vault'
    r'\Microsoft.AzureKeyVaultService.EKM.dll"'
)
REGISTRY_ACTIONS = (
    "Find the service account: `SELECT servicename, service_account FROM sys.dm_server_services;`.",
    f"For the connector's registry key, show who has rights: `{SHOW_RIGHTS}`.",
    "Without Full Control for that account, run the commands of `ekm-exporter explain 2058` on every node, as an administrator.",
    RESTART_LATER,
)


def _registry(number: str, cause: str) -> KnownText:
    """Build the text for one error of Windows, or for any other if `number` is empty."""
    return KnownText(
        title="The connector cannot access its registry key" + (f": Windows error {number}" if number else ""),
        pattern="error (?:when )?accessing (?:the )?registry" + (rf"\W{{1,3}}(?:{number}|0x8007000{number})\b" if number else ""),
        summary=(
            "The connector could not read or write its Windows registry key. The number is an error of Windows, not a provider code. "
            "SQL Server shows 2058 for it."
        ),
        causes=(cause,),
        actions=REGISTRY_ACTIONS,
        codes=(2058,),
        commands=GRANT_RIGHT,
    )


CONNECTOR_TEXTS: tuple[KnownText, ...] = (
    _registry(
        "5", "Access is denied: the service account lacks Full Control of the key, for example after a change of the account."
    ),
    _registry("2", "The key is missing on this host or node."),
    _registry("", "The number is another error of Windows. Print its text: `certutil -error` with the number."),
    KnownText(
        title="The registry has no entry for the thumbprint",
        pattern="cannot find key with thumbprint in registry",
        summary="This host has no registry entry that maps the key's thumbprint to its URL, so the connector does not know which key to use. SQL Server shows 2053 for it.",
        causes=(
            "Another node created the key: after a failover without a registry checkpoint, or on a rebuilt host.",
            "The key was created with connector 1.0.4.0, which writes no entries.",
        ),
        actions=(
            SHOW_REGISTRY,
            "Copy the missing entry from a working node: `reg export` there, `reg import` here. On a cluster, add a checkpoint.",
            "Or drop the asymmetric key on this node and create it again from the same key version.",
            DO_NOT_RESTART,
        ),
        codes=(2053,),
    ),
    KnownText(
        title="No KeyUri for this key: the connector decodes the key name from the thumbprint",
        pattern="cannot find key uri in registry",
        summary="The registry of this host has no `KeyUri` for the key, so the connector reads the key's name from the thumbprint, as 1.0.4.0 did. If the databases open, no action is needed.",
        causes=(
            "The key was created with connector 1.0.4.0 or older: expected.",
            "The entry is missing on this host, and the key was created with 1.0.5.0. Then 2053 follows.",
        ),
        actions=(
            "Check whether encrypted databases are open: `SELECT name, state_desc FROM sys.databases;`.",
            SHOW_REGISTRY,
            "If the entry exists on another node only: `reg export` there, `reg import` here.",
        ),
        codes=(2053,),
    ),
    KnownText(
        title="The connector could not read the key before it encrypted",
        pattern="failed to get key info from azure key vault for thumbprint verification",
        summary="Before it wraps, the connector reads the key again to compare the thumbprint. That request failed.",
        causes=(
            "The identity may not read the key (`get`).",
            "The key or its version was deleted.",
            "The vault could not be reached.",
        ),
        actions=("Test the steps one by one: `ekm-exporter probe TARGET`.", EVENT_LOG),
    ),
    KnownText(
        title="The connector has no session with the vault",
        pattern="akv client hasn.?t been initialized",
        summary="The connector was called before a sign-in succeeded. An earlier line shows the cause.",
        causes=("The session could not be opened (message 33028): secret, tenant, network or Entra ID.",),
        actions=(EVENT_LOG, "Test the sign-in: `ekm-exporter probe TARGET`."),
    ),
    KnownText(
        title="The connector has no text for its error",
        pattern="error code is missing a error message",
        summary="The connector failed with a number for which it has no text. The numbers of the same event have the cause.",
        causes=("A failure that its authors did not foresee, or a build that is newer than its texts.",),
        actions=("Explain the number after `Error:` in the same event: `ekm-exporter explain`.", EVENT_LOG),
    ),
    KnownText(
        title="Windows has no texts for the connector's events",
        pattern=r"description for event id \d+ from source .{0,10}sql server connector",
        summary="The message file of the connector is not registered, so Windows shows the bare strings of the event. This is no failure.",
        causes=("The connector was copied instead of installed, or the log is read on another computer.",),
        actions=(
            "Read the strings below this text: explain the number after `Error:`.",
            "To register it, run the command below on the SQL Server host, as an administrator, with the path of the connector's DLL.",
        ),
        commands=(REGISTER_TEXTS,),
    ),
    KnownText(
        title="Provider error code 2055: the key exists already",
        pattern=r"\bcode\W{0,4}2055\b|^(?:error )?2055$",
        summary="An older table of Microsoft has this code for a key that is there already. It is not in today's table, and a probe cannot see it.",
        causes=(
            "CREATE ASYMMETRIC KEY ran with CREATION_DISPOSITION = CREATE_NEW, and the vault has a key of that name.",
            "The registry has an entry for the key already: today's connectors show 2057 if it maps to another key version.",
        ),
        actions=(
            "Open the key that exists: `CREATION_DISPOSITION = OPEN_EXISTING`.",
            "Compare the entries with the vault's versions: `ekm-exporter explain 2057`.",
        ),
        codes=(2057,),
    ),
)

# The connector's own sentences, each with its code. A refusal by a vault (403) has an open cause: the sentence does not name it.
CONNECTOR_SENTENCES: Mapping[int, str] = MappingProxyType({
    3077: r"proper permission to perform\b.{0,160}\blist\b",
    3113: "proper permission to perform",
    401: "server responded 401 for the request",
})  # fmt: skip

# What Azure and its tools say beside the reasons of a probe. They come before the classification of a response.
_NOT_HERE = (
    "The text is of Azure SQL Database or Managed Instance. They use no connector, and this exporter does not know their errors."
)
SERVICE_TEXTS: tuple[KnownText, ...] = (
    KnownText(
        title="AKV10000: the request had no token",
        pattern=r"\bakv10000\b|www-authenticate: bearer authorization=(?!.*(?:error=|akv1))",
        summary="Every vault answers so to a request without a token. The vault was reached, so name, route and certificate are right.",
        causes=("A browser, `curl` or a monitor asked the vault without signing in: expected.",),
        actions=("To test the sign-in and the key too: `ekm-exporter probe TARGET`.",),
    ),
    KnownText(
        title="this machine has no identity, or not the one that was requested",
        pattern="identity not found|requested identity (?:has not been|isn.t|hasn.t been) assigned",
        summary="The identity endpoint responded, and no request reached Entra ID or the vault.",
        actions=(
            "List the identities that the VM has: `az vm identity show --resource-group GROUP --name VM`. Without one, follow `ekm-exporter explain 37563`.",
        ),
        reason=Reason.IDENTITY_UNAVAILABLE,
    ),
    KnownText(
        title="Azure Arc's key file was not read",
        pattern=r"azureconnectedmachineagent.tokens",
        summary="Azure Arc first responds 401 and names a key file (`Basic realm`): expected. The next request carries the content of that file. If the file is denied, do this.",
        reason=Reason.IDENTITY_KEY_UNREADABLE,
    ),
    KnownText(
        title="the sign-in of a managed identity failed before the vault",
        pattern=r"managed ?identity ?credential|no managed identity endpoint|\bhimds\b|169\.254\.169\.254|user assigned identities exist|metadata header not specified",
        summary="It failed at the token step: no request reached the vault, so a status such as 403 says nothing about its permissions.",
        reason=Reason.IDENTITY_UNAVAILABLE,
    ),
    KnownText(
        title="The text is about a secret or certificate in a vault, not about a key",
        pattern=r"\b(?:secret|certificate)notfound\b|a (?:secret|certificate) with \(name/id\)|does not have (?:secrets|certificates) ",
        summary="Another program asked the vault. SQL Server asks for keys alone, so it is not affected.",
        causes=("An application reads a secret or certificate that is gone, or that it may not read.",),
        actions=("Tell the owner of that application. Change nothing for SQL Server.",),
    ),
    KnownText(
        title="Entra ID's policy for applications limits how long a secret may be valid",
        pattern="credential lifetime exceeds the max",
        summary="Entra ID did not create the secret or certificate, because it would be valid longer than a policy of the tenant permits.",
        causes=("An app management policy of the tenant or of this application.",),
        actions=(
            "Ask the identity team for the longest lifetime, then: `az ad app credential reset --id CLIENT_ID --append --end-date NEW_EXPIRY`.",
            "The secret that exists is not affected: let SQL Server use it until the new one is tested.",
        ),
    ),
    KnownText(
        title="the response is a proxy's page",
        pattern=r"x-squid-error|\bserver: (?:squid|bluecoat|zscaler)|via: \d\.\d [^\n]{0,60}(?:squid|proxy)|<html.*(?:zscaler|blue ?coat|forcepoint|websense|web gateway)",
        reason=Reason.PROXY_INVALID,
    ),
    KnownText(
        title="This is Azure SQL, not SQL Server with the connector",
        pattern="serverkeynotfound|unsupported ?key ?size|azurekeyvault(?:key|unsupported|missing|invalid|noserver)|azure key vault (?:critical error|access control or network error)|tde protector|key vault uri has unsupported",
        summary=_NOT_HERE,
        causes=("Azure SQL signs in to the vault with the server's own identity and its own key (TDE protector).",),
        actions=(
            "Follow Microsoft's page for Azure SQL: https://learn.microsoft.com/azure/azure-sql/database/transparent-data-encryption-byok-overview.",
        ),
    ),
)

# Errors of Windows (Win32, Winsock, WinINet, certificates), which logs show as a number or an HRESULT.

WIN32 = 0x8007  # the upper half of an HRESULT that contains a Win32 error
LOW_HALF = 0xFFFF
_RUNTIME = (
    "Install the Visual C++ runtime of the connector: 2015 for SQL Server 2016 and later, 2013 for older ones.",
    "Explain the message of SQL Server: `ekm-exporter explain 33027`.",
)
_FILE_ACTIONS = (
    "Check that the file, disk or share of the same line exists and has space, and that SQL Server's service account has rights to it.",
    "The vault and its key are not the cause.",
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
        32: WindowsError("another program has the file open", actions=_FILE_ACTIONS),
        53: WindowsError("the network path was not found", actions=_FILE_ACTIONS),
        112: WindowsError("the disk is full", actions=_FILE_ACTIONS),
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
# What Windows calls the numbers in its headers, tools and logs: each number, then its names.
_INTERNET = """
12002 TIMEOUT 12007 NAME_NOT_RESOLVED 12029 CANNOT_CONNECT 12030 CONNECTION_ABORTED CONNECTION_ERROR 12031 CONNECTION_RESET
12037 SEC_CERT_DATE_INVALID SECURE_CERT_DATE_INVALID 12038 SEC_CERT_CN_INVALID SECURE_CERT_CN_INVALID
12045 INVALID_CA SECURE_INVALID_CA 12057 SEC_CERT_REV_FAILED SECURE_CERT_REV_FAILED 12157 SECURITY_CHANNEL_ERROR SECURE_CHANNEL_ERROR
12163 DISCONNECTED 12164 SERVER_UNREACHABLE 12165 PROXY_SERVER_UNREACHABLE 12169 SEC_INVALID_CERT SECURE_INVALID_CERT
12170 SEC_CERT_REVOKED SECURE_CERT_REVOKED 12175 DECODING_FAILED SECURE_FAILURE
"""
_NAMES = """
2 ERROR_FILE_NOT_FOUND 3 ERROR_PATH_NOT_FOUND 5 ERROR_ACCESS_DENIED E_ACCESSDENIED 126 ERROR_MOD_NOT_FOUND 127 ERROR_PROC_NOT_FOUND
193 ERROR_BAD_EXE_FORMAT 1114 ERROR_DLL_INIT_FAILED 14001 ERROR_SXS_CANT_GEN_ACTCTX 10013 WSAEACCES 10051 WSAENETUNREACH
10053 WSAECONNABORTED 10054 WSAECONNRESET 10060 WSAETIMEDOUT 10061 WSAECONNREFUSED 10065 WSAEHOSTUNREACH 11001 WSAHOST_NOT_FOUND
11002 WSATRY_AGAIN 11004 WSANO_DATA 0x80090304 SEC_E_INTERNAL_ERROR 0x80090308 SEC_E_INVALID_TOKEN 0x80090322 SEC_E_WRONG_PRINCIPAL
0x80090325 SEC_E_UNTRUSTED_ROOT 0x80090326 SEC_E_ILLEGAL_MESSAGE 0x80090328 SEC_E_CERT_EXPIRED 0x80090331 SEC_E_ALGORITHM_MISMATCH
0x80092012 CRYPT_E_NO_REVOCATION_CHECK 0x80092013 CRYPT_E_REVOCATION_OFFLINE 0x800B0101 CERT_E_EXPIRED
0x800B0109 CERT_E_UNTRUSTEDROOT 0x800B010A CERT_E_CHAINING 0x800B010F CERT_E_CN_NO_MATCH
"""


def _named(table: str, *prefixes: str) -> Iterator[tuple[str, int]]:
    number = 0
    for word in table.split():
        if word[0].isdecimal():
            number = int(word, 0)
        else:
            yield from ((prefix + word, number) for prefix in prefixes)


WINDOWS_NAMES: Mapping[str, int] = MappingProxyType(
    dict((*_named(_NAMES, ""), *_named(_INTERNET, "ERROR_INTERNET_", "ERROR_WINHTTP_")))
)
# English sentences of Windows, in lower case.
WINDOWS_PHRASES: Mapping[str, int] = MappingProxyType({
    "access is denied": 5, "access to the path": 5, "specified module could not be found": 126, "specified procedure could not be found": 127,
    "not a valid win32 application": 193, "side-by-side configuration is incorrect": 14001,
    "cannot find the file specified": 2, "cannot find the path specified": 3,
})  # fmt: skip


def is_known(number: int) -> bool:
    """Whether the table has the error, or the Win32 error in this HRESULT."""
    return _plain(number) in WINDOWS_ERRORS


_OF_FILES = (2, 3, 5)
# What a text about a file of SQL Server says; the same errors of Windows else mean the connector's registry key.
OF_FILES = re.compile(r"operating system|\bos error|betriebssystem|\.(?:mdf|ndf|ldf|bak|trn)\b|backup|filestream")


def windows_error(number: int, *, of_a_file: bool = False) -> tuple[int, WindowsError]:
    """Return the number to show, and the error. An HRESULT of Win32 is its lower half. Total."""
    plain = _plain(number)
    found = WINDOWS_ERRORS.get(plain)
    if found is not None and of_a_file and plain in _OF_FILES:
        return plain, WindowsError(found.meaning, actions=_FILE_ACTIONS)
    if found is None:
        shown = f"0x{number:08X}" if number > LOW_HALF else str(number)
        found = WindowsError(
            "its text is not in this table",
            actions=(f"Print the text of the error on the SQL Server host: `certutil -error {shown}`.",),
        )
    return plain, found


def _plain(number: int) -> int:
    return number & LOW_HALF if number >> 16 == WIN32 else number


# Sentences of PowerShell, .NET, curl, OpenSSL and resolvers, each with the reason that a probe would report.
# The patterns are of text in lower case; the first match counts. TLS comes before the connection that ends because of it.
PHRASES: tuple[tuple[re.Pattern[str], Reason], ...] = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"proxy authentication required|\(407\)|\b407 from proxy|tunnel failed, response 407", Reason.PROXY_AUTH),
        (r"http code \d{3} from proxy|tunnel failed, response \d{3}", Reason.PROXY_STATUS),
        ("could not resolve proxy", Reason.PROXY_UNRESOLVED),
        (r"temporary failure in name resolution|dns server failure|\bservfail\b", Reason.DNS_TEMPORARY),
        ("dns (?:request|query) timed out", Reason.DNS_TIMEOUT),
        (
            r"(?:remote|server|host) name (?:or address )?could not be resolved|could not resolve host|no such host|name or service not known|dns name does not exist|non-existent domain|\bnxdomain\b|servname provided|getaddrinfo failed|name does not resolve",
            Reason.DNS_NOT_FOUND,
        ),
        (r"certificate (?:has|is) expired|\bnottimevalid\b", Reason.TLS_EXPIRED),
        ("certificate is not (?:yet valid|valid yet)", Reason.TLS_NOT_YET_VALID),
        (
            "namemismatch|alternative certificate subject name|hostname mismatch|(?:not|n't) match target host|certificate is not valid for|target principal name is incorrect|certificate cn name mismatch",
            Reason.TLS_WRONG_NAME,
        ),
        (
            "could not establish trust relationship|chainerrors|unable to get (?:local )?issuer certificate|self[- ]signed certificate|unable to verify the first certificate|untrusted ?root|partialchain|issued by an authority that is not trusted|remote certificate is invalid|certificate verify failed|certificate chain was issued by",
            Reason.TLS_UNTRUSTED,
        ),
        (r"wrong version number|http/1\.\d 400 the plain http request", Reason.TLS_NOT_TLS),
        (
            "could not create ssl/tls secure channel|ssl connection could not be established|handshake failure|(?:do not|don't) possess a common algorithm|ssl_error_syscall|unexpected eof while reading|authentication failed, see inner",
            Reason.TLS_FAILED,
        ),
        ("actively refused|connection refused", Reason.CONNECT_REFUSED),
        ("unreachable host|no route to host|host is unreachable", Reason.CONNECT_UNREACHABLE),
        ("unreachable network|network is unreachable", Reason.NETWORK_DOWN),
        (
            r"did not properly respond|(?:operation|connection|request|attempt)(?: has)? timed out|^(?!.*port\s*:?\s*(?!443\b)\d).*tcptestsucceeded\s*:\s*false|httpclient\.timeout",
            Reason.CONNECT_TIMEOUT,
        ),
        ("unable to connect to the remote server|failed to connect to|tcp connect to", Reason.CONNECT_FAILED),
        (
            "forcibly closed|connection reset by peer|connection was reset|unexpected error occurred on a (?:send|receive)|unable to read data from the transport connection",
            Reason.CONNECTION_RESET,
        ),
        (r"protocol violation|unsupported http/|received http/0\.9", Reason.NOT_HTTP),
        ("empty reply from server|connection was closed unexpectedly|prematurely ended", Reason.CONNECTION_CLOSED),
        ("operation is not allowed", Reason.FORBIDDEN_POLICY),
        ("was not found in this key vault", Reason.KEY_NOT_FOUND),
        (r"vaultrequesttypelimitreached|too many requests|\bthrottled\b", Reason.THROTTLED),
        (r"\binvalid_client\b", Reason.CREDENTIALS_REFUSED),
        (r"\b(?:unauthorized_client|invalid_request|invalid_resource)\b", Reason.BAD_REQUEST),
    )
)
_CURL = re.compile(r"\bcurl\b(?:: ?\(|[^\n\d]{0,20}\b(?:error|code)\W{1,3}|:? \(?)(\d{1,3})\b(?!\.)")
CURL_REASONS: Mapping[int, Reason] = MappingProxyType({
    5: Reason.PROXY_UNRESOLVED, 6: Reason.DNS_NOT_FOUND, 7: Reason.CONNECT_FAILED, 18: Reason.BODY_TRUNCATED, 28: Reason.CONNECT_TIMEOUT,
    35: Reason.TLS_FAILED, 47: Reason.REDIRECT, 51: Reason.TLS_WRONG_NAME, 52: Reason.CONNECTION_CLOSED, 55: Reason.CONNECTION_RESET,
    56: Reason.CONNECTION_RESET, 60: Reason.TLS_UNTRUSTED, 97: Reason.PROXY_INVALID,
})  # fmt: skip


def reason_of_phrase(text: str) -> Reason | None:
    """Return the reason of the first known sentence; None without one."""
    folded = text.casefold()
    return next((reason for pattern, reason in PHRASES if pattern.search(folded)), None)


def curl_number(text: str) -> int | None:
    """Return the number of an error of curl."""
    number = _CURL.search(text.casefold())
    return None if number is None else int(number[1])


def reason_of_curl(text: str) -> Reason | None:
    """Return the reason of an error of curl, by its sentence, else by its number; None for another text."""
    number = curl_number(text)
    return None if number is None else reason_of_phrase(text) or CURL_REASONS.get(number)
