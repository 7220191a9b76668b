"""Checks of a target's SQL Servers, by one reading of each, and of what only their host shows, by look-ups on Windows.

Elsewhere than on that host, what nothing else shows is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from exporter.core.connector import NO_EVENTS, WRITE_EVENTS
from exporter.core.durations import clock_text
from exporter.core.names import Match, match_entry, server_name
from exporter.core.secrets import mask
from exporter.core.values import CredentialKind, KeyReference
from exporter.doctor import checks_vault, host_rules
from exporter.doctor.checks_vault import CheckFunction
from exporter.doctor.evidence import Evidence
from exporter.doctor.host_rules import HostFacts, HostInstance, Unreadable
from exporter.explain.event import LoggedEvent, explain_event, read_event_xml
from exporter.explain.explanation import Explanation
from exporter.explain.known_texts import windows_error
from exporter.knowledge.checks import BY_NAME, Finding, blocked, combined, failed, passed, skipped, unknown, warned
from exporter.knowledge.checks_host import SqlRight, missing_right
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.code_row import Category
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.sqlserver.differences import find_differences, is_comparable
from exporter.sqlserver.instance import instance_of, labels_of
from exporter.sqlserver.proof import ServerProof, codes_text, proof_text, server_proofs
from exporter.sqlserver.reading import SqlServerReading, shown_name
from exporter.sqlserver.urgency import closed_names, closed_states
from exporter.windows.rules import WindowsResponse

_NONE: Final = "none of the target's instances is under sql_servers"
_AGAIN: Final = "accepted, but refused when the connection was opened again"
_MOST_NAMED: Final = 8  # SQL Servers in one line
_OTHER_FAULT: Final = ("The message names the cause: `ekm-exporter explain NUMBER` has more about it.",)
_PROXY_REFUSES: Final = 407
_REJECTED: Final = 3012  # the code of a request that a proxy rejects
_RECENT: Final = timedelta(days=7)
_MOST_KINDS: Final = 3  # of events in one line
_WRITE: Final = (f"As an administrator, let the connector write its events again: `{WRITE_EVENTS}`.",)


def connection(evidence: Evidence) -> Finding:
    """Report the SQL Servers that were not reached or not read."""
    servers = evidence.sql_servers or ()
    lost = [f"{reading.address}: {reading.failure}" for reading in servers if reading.failure and not reading.refused]
    if not servers:
        return skipped(_NONE)
    if lost:
        return failed(_joined(lost, "; "), codeless=True)
    return passed(f"encrypted and verified: {_joined(map(_name, servers))}")


def login(evidence: Evidence) -> Finding:
    """Report the SQL Servers that refused the login."""
    servers = evidence.sql_servers or ()
    refused = [f"{reading.address}: {reading.failure or _AGAIN}" for reading in servers if reading.refused]
    if refused:
        return failed(_joined(refused, "; "), codeless=True)
    accepted = list(_read(evidence))
    return passed(f"accepted by {_joined(map(_name, accepted))}") if accepted else _without_reading(evidence)


def rights(evidence: Evidence) -> Finding:
    """Report the sections that were not read, and the rights that they lack."""
    readings = list(_read(evidence))
    if not readings:
        return _without_reading(evidence)
    found, lacking, optional = list[str](), dict[SqlRight, None](), dict[SqlRight, None]()
    for reading in readings:
        errors = {} if reading.document is None else reading.document.errors
        for section, message in errors.items():
            right = missing_right(section, message)
            if right is not None and right.is_optional:
                optional[right] = None
            else:
                found.append(f"{_name(reading)}: {section} {'not readable' if right else f'not read: {message}'}")
                lacking |= {} if right is None else {right: None}
    without = (f"{right.name} (optional) is missing, so {right.without}" for right in optional)
    if found:
        actions = tuple(right.action for right in lacking) or _OTHER_FAULT
        return warned("; ".join((_joined(found, "; "), *without)), actions=actions)
    return passed("; ".join(("all that are needed", *without)))


def labels(evidence: Evidence) -> Finding:
    """Report labels that are not the names of SQL Server, or that no instance of the target has."""
    readings = list(_read(evidence))
    if not readings:
        return _without_reading(evidence)
    different = [text for reading in readings for text in _differences(reading, evidence)]
    return warned(_joined(different, "; ")) if different else passed(_joined(map(_name, readings)))


def keys(evidence: Evidence) -> Finding:
    """Report differences from the keys that the SQL Servers use. They are those of the configuration that concern the target."""
    readings = list(_read(evidence))
    if not readings:
        return _without_reading(evidence)
    compared = [reading for reading in readings if is_comparable(reading)]
    if not compared:
        return unknown("the login may not read which keys are in use")
    every = [found for reading in compared for found in find_differences(reading, evidence.declared)]
    found = [each for each in every if each.subject in ("", evidence.target.name)]
    if found:
        actions = tuple(f"{each.action[0].upper()}{each.action[1:]}." for each in found[:_MOST_NAMED])
        return warned(_joined((each.sentence for each in found), "; "), actions=actions)
    return passed(f"no difference from {_joined(map(_name, compared))}")


def proof(evidence: Evidence) -> Finding:
    """Report which SQL Servers cannot get a key themselves, and which keys nothing has proved."""
    proofs = [each for reading in _read(evidence) for each in server_proofs(reading)]
    if not any(_read(evidence)):
        return _without_reading(evidence)
    bad = [each for each in proofs if each.state.is_bad]
    if bad:
        return replace(
            failed(_joined(map(_proof_sentence, bad), "; "), codeless=True), actions=tuple(_proof_actions(evidence, bad))
        )
    due = [each for each in proofs if each.state.is_open]
    if due:
        return warned(_joined(map(_proof_sentence, due), "; "))
    return passed(_joined(map(_proof_sentence, proofs), "; ")) if proofs else skipped("no key in use")


def closed(evidence: Evidence) -> Finding:
    """Report the databases that did not open."""
    if not any(_read(evidence)):
        return _without_reading(evidence)
    proofs = [each for reading in _read(evidence) for each in server_proofs(reading)]
    found = {each.reading.address: each for each in proofs if each.proof.closed}
    if not found:
        return passed("none is closed")
    named = _joined(f"{closed_names(each)} of {each.server} ({closed_states(each)})" for each in found.values())
    return failed(f"{len(found)} SQL Server{' has' if len(found) == 1 else 's have'} closed databases: {named}", codeless=True)


def _proof_actions(evidence: Evidence, servers: Iterable[ServerProof]) -> Iterator[str]:
    """Yield the actions for SQL Servers that cannot get a key; none if the probe fails with the same code."""
    codes = dict.fromkeys(code.code for each in servers for code in (*each.codes, *each.messages))
    known = [BY_CODE[int(code)] for code in codes if int(code) in BY_CODE]
    failure = evidence.report.first_failure
    if failure is not None and any(failure.code in (code.code, code.counterpart) for code in known):
        yield "It follows from the failure above."
        return
    yield from (f"`ekm-exporter explain {code}` has causes and actions." for code in codes)
    if any(code.category is Category.IDENTITY for code in known):
        yield "A new secret: `ekm-exporter script alter-credential.sql`."
    yield "A proof without a restart: `ekm-exporter script prove.sql`."


def _proof_sentence(server: ServerProof) -> str:
    now = server.reading.attempted_at
    return f"{server.server}: {'; '.join(filter(None, (proof_text(server, now), codes_text(server, now))))}"


def credential(evidence: Evidence) -> Finding:
    """Report identity and last change of the credential of each key."""
    shown = [
        f"{each.server}: [{each.proof.credential}]"
        + ("" if each.proof.altered_at is None else f", altered {clock_text(each.proof.altered_at, each.reading.attempted_at)}")
        for reading in _read(evidence)
        for each in server_proofs(reading)
        if each.proof.credential
    ]
    return passed(_joined(shown, "; ")) if shown else host_only(evidence)


def host_only(_evidence: Evidence) -> Finding:
    """Return the finding of a check that only the SQL Server's host can make."""
    return unknown("visible only on the SQL Server host")


def ekm_enabled(evidence: Evidence) -> Finding:
    """Report the SQL Servers whose option or provider is disabled."""
    states = dict[str, bool]()
    for reading in _read(evidence):
        instance = None if reading.document is None else instance_of(reading.document)
        if instance is not None and instance.ekm is not None:
            states[_name(reading)] = instance.ekm.in_use and any(provider.enabled for provider in instance.providers)
    disabled = [name for name, enabled in states.items() if not enabled]
    if disabled:
        return failed(f"the option or the provider is disabled: {_joined(disabled)}", codeless=True)
    return passed(f"enabled: {_joined(states)}") if states else host_only(evidence)


def connector_version(evidence: Evidence) -> Finding:
    """Report the builds of each provider's DLL, which must be equal on all nodes."""
    builds = {
        (_name(reading), provider.name): provider.file_version
        for reading in _read(evidence)
        if reading.document is not None
        for provider in instance_of(reading.document).providers
        if provider.file_version
    }
    providers = {provider for _, provider in builds}
    owner = "{0}" if len(providers) == 1 else "{1} of {0}"
    shown = _joined(f"{build} ({owner.format(*names)})" for names, build in builds.items())
    if len({(provider, build) for (_, provider), build in builds.items()}) > len(providers):
        return warned(f"different builds: {shown}")
    return passed(shown) if builds else host_only(evidence)


SQL_CHECKS: Mapping[str, CheckFunction] = MappingProxyType(
    {"sql_connection": connection, "sql_login": login, "sql_rights": rights, "sql_labels": labels, "sql_keys": keys}
    | {"sql_closed": closed, "sql_proof": proof}
)


def _differences(reading: SqlServerReading, evidence: Evidence) -> Iterator[str]:
    own = "" if reading.document is None else _name_of(*labels_of(reading.document))
    if reading.contested:
        yield f"{_name(reading)}, and so does another address"
    elif own.casefold() != _name(reading).casefold():
        yield f"{reading.address} is {own}, but sql_servers names it {_name(reading)}"
    elif all(match_entry(each, evidence.declared.names(reading)) is not Match.CERTAIN for each in evidence.target.instances):
        yield f"the target's instances may name {_name(reading)}, or another SQL Server"


def _name(reading: SqlServerReading) -> str:
    return shown_name(reading) if reading.sql_instance else reading.address


def _name_of(sql_instance: str, host: str) -> str:
    return server_name({"sql_instance": sql_instance, "host": host})


def _read(evidence: Evidence) -> Iterator[SqlServerReading]:
    """Yield the readings without a failure."""
    return (reading for reading in evidence.sql_servers or () if not reading.failure)


def _without_reading(evidence: Evidence) -> Finding:
    """Return the finding of a check that needs a reading, and has none."""
    servers = evidence.sql_servers or ()
    if not servers:
        return skipped(_NONE)
    return blocked("sql_login" if all(reading.refused for reading in servers) else "sql_connection")


def _joined(texts: Iterable[str], separator: str = ", ") -> str:
    listed = list(texts)
    more = len(listed) - _MOST_NAMED
    return separator.join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


_Instances = tuple[HostInstance, ...]


def _host_check(
    rule: Callable[[Evidence, HostFacts, _Instances], Finding], otherwise: CheckFunction = host_only
) -> CheckFunction:
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
    loaded = connector_version(evidence)
    found = host_rules.connector_version(host.files, managed=evidence.credential.kind is CredentialKind.MANAGED_IDENTITY)
    return (
        found if loaded.outcome is CheckOutcome.UNKNOWN else combined(found, replace(loaded, detail=f"loaded: {loaded.detail}"))
    )


def _registry_rights(evidence: Evidence, host: HostFacts, instances: _Instances) -> Finding:
    target = evidence.target
    wanted = KeyReference(target.key_name, target.key_version, target.vault)
    return host_rules.registry_rights(host.key, instances, wanted, current=host_rules.is_current(host.files))


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
    if number in host_rules.ERRORS_OF_TLS:
        return replace(failed(text, code=error.code, reason=error.reason), actions=error.actions)
    return warned(text, code=error.code, reason=error.reason, actions=error.actions)


def _service_proxy(evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    vault = evidence.vault
    expected = None if vault.redirected else urlsplit(vault.proxy or "").netloc.rpartition("@")[2]
    return host_rules.service_proxy(host.proxies, host.winhttp, host=vault.host, expected=expected)


def _event_log(evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    if isinstance(host.events, Unreadable):
        return unknown(str(host.events))
    events = [event for event in map(read_event_xml, host.events) if event is not None]
    explained = [(event, explanation) for event in events if (explanation := explain_event(event)) is not None]
    none = f"no error among the connector's last events: {len(events)}" if events else "no event of the connector"
    text = "; ".join(_event_texts(explained)) or none
    if host.log_level == NO_EVENTS:
        return warned(
            f"{text}; it proves nothing: the connector writes no events (registry value `Level` is {NO_EVENTS})", actions=_WRITE
        )
    if not explained:
        level = f"; whether it writes any: {host.log_level}" if isinstance(host.log_level, Unreadable) else ""
        return unknown(text + level) if level and not events else passed(text)
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
    found = checks_vault.clock(evidence)
    if evidence.host is None:
        return found
    return replace(found, detail=f"{found.detail}; {host_rules.time_text(evidence.host.time_service)}")


HOST_CHECKS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        "connector_version": _host_check(_connector_version, connector_version),
        "vc_runtime": _host_check(lambda _, host, instances: host_rules.vc_runtime(host.runtimes, host.files, instances)),
        "ekm_enabled": _sql_server_check(ekm_enabled),
        "registry_rights": _host_check(_registry_rights),
        "cluster_checkpoint": _host_check(lambda _, host, instances: host_rules.cluster_checkpoint(host.cluster_node, instances)),
        "windows_tls": _host_check(
            lambda _, host, _instances: combined(host_rules.tls_settings(host.tls), _response(host.response, f"{host.account}"))
        ),
        "service_proxy": _host_check(_service_proxy),
        "sql_credential": _sql_server_check(credential),
        "event_log": _host_check(_event_log),
    }
)
