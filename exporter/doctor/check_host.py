"""Checks of what only the SQL Server host shows, by look-ups on Windows; elsewhere their outcome is unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from exporter.core.checks import BY_NAME
from exporter.core.checks.finding import Finding, combined, failed, passed, skipped, unknown, warned
from exporter.core.checks.model import CheckOutcome
from exporter.core.codes import both_numbers
from exporter.core.key_reference import KeyReference
from exporter.core.masking import mask
from exporter.core.windows_host import connector, network
from exporter.core.windows_host.facts import HostFacts, HostInstance, Unreadable, WindowsResponse
from exporter.doctor import check_network, check_sql
from exporter.doctor.check_network import CheckFunction
from exporter.doctor.evidence import Evidence
from exporter.explain.event_search import explain_event
from exporter.explain.event_xml import read_event_xml
from exporter.explain.explanation import Explanation
from exporter.explain.logged_event import LoggedEvent
from exporter.explain.windows_errors import windows_error

_Instances = tuple[HostInstance, ...]
_Rule = Callable[[Evidence, HostFacts, _Instances], Finding]
_PROXY_REFUSES: Final = 407
_REJECTED: Final = 3012  # the code of a request that a proxy rejects
_RECENT: Final = timedelta(days=7)
_MOST_KINDS: Final = 3  # of events in one line


def _host_check(rule: _Rule, otherwise: CheckFunction = check_sql.host_only) -> CheckFunction:
    """Return the check by this rule, if the host was looked up and has a SQL Server; `otherwise` is the check elsewhere."""

    def check(evidence: Evidence) -> Finding:
        host = evidence.host
        if host is None:
            return otherwise(evidence)
        if isinstance(host.instances, Unreadable):
            return unknown(f"the instances of SQL Server: {host.instances}")
        if host.instances:
            return rule(evidence, host, host.instances)
        found = otherwise(evidence)
        return unknown("no SQL Server on this host") if found.outcome is CheckOutcome.UNKNOWN else found

    return check


def _sql_server_check(otherwise: CheckFunction) -> CheckFunction:
    """Return the check of what only SQL Server shows: a reading, or its command."""

    def rule(evidence: Evidence, _host: HostFacts, _instances: _Instances) -> Finding:
        found = otherwise(evidence)
        return unknown("visible only in SQL Server") if found.outcome is CheckOutcome.UNKNOWN else found

    return _host_check(rule, otherwise)


def _connector_version(evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    """Assess the files, and the builds that the SQL Servers of the target have loaded."""
    loaded = check_sql.connector_version(evidence)
    found = connector.connector_version(host.files)
    return (
        found if loaded.outcome is CheckOutcome.UNKNOWN else combined(found, replace(loaded, detail=f"loaded: {loaded.detail}"))
    )


def _vc_runtime(_evidence: Evidence, host: HostFacts, instances: _Instances) -> Finding:
    return connector.vc_runtime(host.runtimes, host.files, instances)


def _registry_rights(evidence: Evidence, host: HostFacts, instances: _Instances) -> Finding:
    target = evidence.target
    wanted = KeyReference(target.key_name, target.key_version, target.vault)
    return connector.registry_rights(host.key, instances, wanted, current=connector.is_current(host.files))


def _cluster_checkpoint(_evidence: Evidence, host: HostFacts, instances: _Instances) -> Finding:
    return connector.cluster_checkpoint(host.cluster_node, instances)


def _windows_tls(_evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    return combined(network.tls_settings(host.tls), _response(host.response, f"{host.account}"))


def _response(response: WindowsResponse | Unreadable | None, account: str) -> Finding:
    """Assess Windows' own request to the vault, which this account made."""
    if response is None:
        return skipped("Windows made no request, because connect_to of the module redirects the vault")
    if isinstance(response, Unreadable):
        return unknown(f"Windows' request to the vault {response}")
    if response.status == _PROXY_REFUSES:
        return warned(f"the proxy of {account} requires a sign-in (HTTP {_PROXY_REFUSES})", code=_REJECTED)
    if response.status is None:
        return _windows_error(response.error, account)
    return passed(f"Windows trusts the vault's certificate: HTTP {response.status} as {account}")


def _windows_error(number: int, account: str) -> Finding:
    """Return a failure for an error of TLS; others may be of this account only."""
    number, error = windows_error(number)
    text = f"Windows error {number} as {account}: {error.meaning}"
    if number in network.ERRORS_OF_TLS:
        return replace(failed(text, code=error.code, reason=error.reason), actions=error.actions)
    return warned(text, code=error.code, reason=error.reason, actions=error.actions)


def _service_proxy(evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    vault = evidence.vault
    expected = None if vault.redirected else urlsplit(vault.proxy or "").netloc.rpartition("@")[2]
    return network.service_proxy(host.proxies, host.winhttp, host=vault.host, expected=expected)


def _event_log(evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    if isinstance(host.events, Unreadable):
        return unknown(str(host.events))
    events = [event for event in map(read_event_xml, host.events) if event is not None]
    explained = [(event, explanation) for event in events if (explanation := explain_event(event)) is not None]
    if not explained:
        return passed(f"no error among the connector's last events: {len(events)}" if events else "no event of the connector")
    text = "; ".join(_event_texts(explained))
    since = datetime.fromtimestamp(evidence.now, UTC) - _RECENT
    if not any(event.at is not None and event.at >= since for event, _ in explained):
        return passed(text)
    codes = dict.fromkeys(row.code for _, explanation in explained for row in explanation.rows)
    more = tuple(f"More about it: `ekm-exporter explain {code}`." for code in list(codes)[:1])
    return warned(text, actions=(*more, *BY_NAME["event_log"].actions))


def _event_texts(explained: list[tuple[LoggedEvent, Explanation]]) -> Iterator[str]:
    """Yield a text for each kind of event, the newest first."""
    counts = Counter(_label(explanation) for _, explanation in explained)
    newest = {_label(explanation): event for event, explanation in reversed(explained)}
    for label in list(counts)[:_MOST_KINDS]:
        at = newest[label].at
        times = "once" if counts[label] == 1 else f"{counts[label]} times"
        yield f"{label}: {times}, last {'at an unknown time' if at is None else f'{at:%Y-%m-%d %H:%M} UTC'}"


def _label(explanation: Explanation) -> str:
    return both_numbers(explanation.rows[0].code) if explanation.is_code else mask(explanation.title)


def clock(evidence: Evidence) -> Finding:
    """Report the clock, and on Windows what sets it."""
    found = check_network.clock(evidence)
    if evidence.host is None:
        return found
    return replace(found, detail=f"{found.detail}; {network.time_text(evidence.host.time_service)}")


HOST_CHECKS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        "connector_version": _host_check(_connector_version, check_sql.connector_version),
        "vc_runtime": _host_check(_vc_runtime),
        "ekm_enabled": _sql_server_check(check_sql.ekm_enabled),
        "registry_rights": _host_check(_registry_rights),
        "cluster_checkpoint": _host_check(_cluster_checkpoint),
        "windows_tls": _host_check(_windows_tls),
        "service_proxy": _host_check(_service_proxy),
        "sql_credential": _sql_server_check(check_sql.credential),
        "event_log": _host_check(_event_log),
    }
)
