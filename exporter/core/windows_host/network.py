"""Rules of Windows' network settings: proxies of the service accounts, TLS, and the time service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from exporter.core.checks.finding import Finding, combined, failed, passed, unknown, warned
from exporter.core.windows_host.facts import AccountProxy, TimeService, TlsSettings, Unreadable
from exporter.core.windows_host.proxy_settings import ProxySettings

_TLS_1_2, _TLS_1_3 = 0x800, 0x2000  # bits of SecureProtocols
# The vault's certificates are RSA, and Azure accepts no key exchange without forward secrecy.
_NEEDED_SUITES: Final = ("TLS_ECDHE_RSA_WITH_AES_", "TLS_AES_")
# How Windows Time finds its source, by the value Type.
_TIME_SOURCES: Final = {
    "NT5DS": "the domain is its source",
    "NTP": "its source is {servers}",
    "ALLSYNC": "its source is the domain or {servers}",
    "NOSYNC": "it has no source",
}
# Errors of WinINet that are about TLS or the certificate, so that no other account of this host gets further.
ERRORS_OF_TLS: Final = frozenset({12037, 12038, 12045, 12157, 12169, 12170, 12175})


def service_proxy(
    proxies: tuple[AccountProxy, ...] | Unreadable, winhttp: ProxySettings | Unreadable, *, host: str, expected: str | None
) -> Finding:
    """Compare the route of each account to the vault with that of the exporter: host and port, empty if direct.

    `expected` None: the exporter's route cannot be compared. WinHTTP loads lists of revoked certificates; the connector uses WinINet.
    """
    if isinstance(proxies, Unreadable):
        return unknown(str(proxies))
    found = combined(*(_proxy(each, host, expected) for each in proxies))
    return combined(found, Finding(outcome=found.outcome, detail=f"WinHTTP of this host: {winhttp}"))


def _proxy(account: AccountProxy, host: str, expected: str | None) -> Finding:
    settings = account.settings
    if settings is None:
        return unknown(f"{account.account}: its registry is not loaded: start the service")
    shown = f"{account.account}: {settings}"
    if isinstance(settings, Unreadable):
        return unknown(shown)
    route = settings.route(host)
    if route is None:
        return unknown(f"{shown} decides")
    if expected is not None and _address(route) != _address(expected):
        return warned(f"{shown}, but the exporter reaches the vault {f'through {expected}' if expected else 'directly'}")
    return passed(shown)


def _address(proxy: str) -> str:
    return proxy.casefold() if ":" in proxy or not proxy else f"{proxy.casefold()}:80"


def tls_settings(settings: TlsSettings | Unreadable) -> Finding:
    """Assess whether programs may use TLS 1.2 with a cipher suite of Azure."""
    if isinstance(settings, Unreadable):
        return unknown(f"settings of TLS {settings}")
    findings = tuple(_tls_findings(settings))
    fips = ("FIPS mode is on",) if settings.fips else ()
    return combined(*findings, *map(passed, fips)) if findings else passed(", ".join(("TLS 1.2 is enabled", *fips)))


def _tls_findings(settings: TlsSettings) -> Iterator[Finding]:
    if settings.enabled == 0:
        yield failed("TLS 1.2 is disabled for clients")
    elif settings.disabled_by_default == 1:
        yield warned("TLS 1.2 is off by default for clients")
    suites = None if settings.suites is None else [suite.strip() for suite in settings.suites.upper().split(",")]
    if suites is not None and not any(suite.startswith(_NEEDED_SUITES) for suite in suites):
        yield warned("the policy about cipher suites has no suite that Azure accepts: TLS_ECDHE_RSA_WITH_AES_...")
    for account, protocols in (settings.protocols or {}).items():
        if protocols is not None and not protocols & (_TLS_1_2 | _TLS_1_3):
            yield warned(f"the Internet settings of {account} leave out TLS 1.2")


def time_text(service: TimeService | Unreadable) -> str:
    """Return how Windows sets this host's clock."""
    if isinstance(service, Unreadable):
        return f"Windows Time {service}"
    source = _TIME_SOURCES.get(service.kind.upper(), "its source is unknown").format(servers=_servers(service.servers.split()))
    return f"Windows Time is {service.state}: {source}"


def _servers(servers: Iterable[str]) -> str:
    """Return the names without their flags, as in `time.windows.com,0x8`."""
    return ", ".join(server.partition(",")[0] for server in servers) or "no server"
