"""Checks of a target's SQL Servers, by one reading of each, and of what only their host shows, by look-ups on Windows.

Elsewhere than on that host, what nothing else shows is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from exporter.core import first_true
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
from exporter.knowledge.code_row import NO_EVENTS, WRITE_EVENTS, Category
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.sqlserver.differences import find_differences, is_comparable
from exporter.sqlserver.instance import labels_of
from exporter.sqlserver.proof import ServerProof, codes_text, proof_text, server_proofs
from exporter.sqlserver.reading import SqlServerReading, known_instance, shown_name
from exporter.sqlserver.urgency import closed_names, closed_states
from exporter.windows.rules import WindowsResponse

_NONE: Final = "none of the target's instances is under sql_servers"

_MOST_NAMED: Final = 8  # SQL Servers in one line
_MOST_KINDS: Final = 3  # of events in one line


def connection(evidence: Evidence) -> Finding:
    """Report the SQL Servers that were not reached or not read."""
    servers = evidence.sql_servers or ()
    lost = [f"{reading.address}: {reading.failure}" for reading in servers if reading.failure and not reading.refused]
    return first_true(
        (not servers, skipped(_NONE)),
        (lost, failed(_joined(lost, "; "), codeless=True)),
        default=passed(f"encrypted and verified: {_joined(map(_name, servers))}"),
    )


def login(evidence: Evidence) -> Finding:
    """Report the SQL Servers that refused the login."""
    again = "accepted, but refused when the connection was opened again"
    refused = [f"{each.address}: {each.failure or again}" for each in evidence.sql_servers or () if each.refused]
    if refused:
        return failed(_joined(refused, "; "), codeless=True)
    accepted = _read(evidence)
    return passed(f"accepted by {_joined(map(_name, accepted))}") if accepted else _without_reading(evidence)


def rights(_evidence: Evidence, readings: Readings) -> Finding:
    """Report the sections that were not read, and the rights that they lack."""
    found, lacking = list[str](), dict[SqlRight, None]()
    for reading in readings:
        for section, message in reading.document.errors.items():
            right = missing_right(section, message)
            lacking |= {} if right is None else {right: None}
            if right is None or not right.is_optional:
                found.append(f"{_name(reading)}: {section} {'not readable' if right else f'not read: {message}'}")
    without = [f"{right.name} (optional) is missing, so {right.without}" for right in lacking if right.is_optional]
    if not found:
        return passed("; ".join(("all that are needed", *without)))
    actions = tuple(right.action for right in lacking if not right.is_optional)
    other = "The message names the cause: `ekm-exporter explain NUMBER` has more about it."
    return warned("; ".join((_joined(found, "; "), *without)), actions=actions or (other,))


def labels(evidence: Evidence, readings: Readings) -> Finding:
    """Report labels that are not the names of SQL Server, or that no instance of the target has."""
    different = [text for reading in readings for text in _differences(reading, evidence)]
    return warned(_joined(different, "; ")) if different else passed(_joined(map(_name, readings)))


def keys(evidence: Evidence, readings: Readings) -> Finding:
    """Report differences from the keys that the SQL Servers use. They are those of the configuration that concern the target."""
    compared = [reading for reading in readings if is_comparable(reading)]
    if not compared:
        return unknown("the login may not read which keys are in use")
    every = (found for reading in compared for found in find_differences(reading, evidence.declared))
    found = [each for each in every if each.subject in ("", evidence.target.name)]
    if not found:
        return passed(f"no difference from {_joined(map(_name, compared))}")
    actions = tuple(f"{each.action[0].upper()}{each.action[1:]}." for each in found[:_MOST_NAMED])
    return warned(_joined((each.sentence for each in found), "; "), actions=actions)


def proof(evidence: Evidence, readings: Readings) -> Finding:
    """Report which SQL Servers cannot get a key themselves, and which keys nothing has proved."""
    proofs = [each for reading in readings for each in server_proofs(reading)]
    bad, due = [each for each in proofs if each.state.is_bad], [each for each in proofs if each.state.is_open]
    shown = ((each, each.reading.attempted_at) for each in bad or due or proofs)
    text = _joined(
        (f"{each.server}: {'; '.join(filter(None, (proof_text(each, now), codes_text(each, now))))}" for each, now in shown), "; "
    )
    return first_true(
        (bad, failed(text, codeless=True, actions=tuple(_proof_actions(evidence, bad)))),
        (due, warned(text)),
        (proofs, passed(text)),
        default=skipped("no key in use"),
    )


def closed(_evidence: Evidence, readings: Readings) -> Finding:
    """Report the databases that did not open."""
    found = {each.reading.address: each for reading in readings for each in server_proofs(reading) if each.closed}
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


def credential(evidence: Evidence) -> Finding:
    """Report identity and last change of the credential of each key."""
    shown = [
        f"{each.server}: [{each.credential}]"
        + ("" if each.altered_at is None else f", altered {clock_text(each.altered_at, each.reading.attempted_at)}")
        for reading in _read(evidence)
        for each in server_proofs(reading)
        if each.credential
    ]
    return passed(_joined(shown, "; ")) if shown else host_only(evidence)


def host_only(_evidence: Evidence) -> Finding:
    """Return the finding of a check that only the SQL Server's host can make."""
    return unknown("visible only on the SQL Server host")


def ekm_enabled(evidence: Evidence) -> Finding:
    """Report the SQL Servers whose option or provider is disabled."""
    found = {_name(reading): instance for reading in _read(evidence) if (instance := known_instance(reading)) is not None}
    states = {
        name: each.ekm.in_use and any(provider.enabled for provider in each.providers)
        for name, each in found.items()
        if each.ekm is not None
    }
    disabled = [name for name, enabled in states.items() if not enabled]
    if disabled:
        return failed(f"the option or the provider is disabled: {_joined(disabled)}", codeless=True)
    return passed(f"enabled: {_joined(states)}") if states else host_only(evidence)


def connector_version(evidence: Evidence) -> Finding:
    """Report the builds of each provider's DLL, which must be equal on all nodes."""
    instances = [(_name(reading), known_instance(reading)) for reading in _read(evidence)]
    builds = {
        (name, provider.name): provider.file_version
        for name, instance in instances
        if instance is not None
        for provider in instance.providers
        if provider.file_version
    }
    providers = {provider for _, provider in builds}
    owner = "{0}" if len(providers) == 1 else "{1} of {0}"
    shown = _joined(f"{build} ({owner.format(*names)})" for names, build in builds.items())
    if len({(provider, build) for (_, provider), build in builds.items()}) > len(providers):
        return warned(f"different builds: {shown}")
    return passed(shown) if builds else host_only(evidence)


def _differences(reading: SqlServerReading, evidence: Evidence) -> Iterator[str]:
    sql_instance, host = labels_of(reading.document) if reading.document.sections else ("", "")
    own = server_name({"sql_instance": sql_instance, "host": host})
    if reading.contested:
        yield f"{_name(reading)}, and so does another address"
    elif own.casefold() != _name(reading).casefold():
        yield f"{reading.address} is {own}, but sql_servers names it {_name(reading)}"
    elif all(match_entry(each, evidence.declared.names(reading)) is not Match.CERTAIN for each in evidence.target.instances):
        yield f"the target's instances may name {_name(reading)}, or another SQL Server"


def _name(reading: SqlServerReading) -> str:
    return shown_name(reading) if reading.sql_instance else reading.address


Readings = Sequence[SqlServerReading]


def _read(evidence: Evidence) -> Readings:
    """Return the readings without a failure."""
    return [reading for reading in evidence.sql_servers or () if not reading.failure]


def _without_reading(evidence: Evidence) -> Finding:
    """Return the finding of a check that needs a reading, and has none."""
    if not evidence.sql_servers:
        return skipped(_NONE)
    return blocked("sql_login" if all(reading.refused for reading in evidence.sql_servers) else "sql_connection")


def _of_readings(rule: Callable[[Evidence, Readings], Finding]) -> CheckFunction:
    """Return the check by this rule, if a SQL Server was read."""
    return lambda evidence: rule(evidence, readings) if (readings := _read(evidence)) else _without_reading(evidence)


def _joined(texts: Iterable[str], separator: str = ", ") -> str:
    listed = list(texts)
    more = len(listed) - _MOST_NAMED
    return separator.join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


_Instances = tuple[HostInstance, ...]


def _host_check(
    fact: str, rule: Callable[[Any, Evidence, HostFacts, _Instances], Finding], otherwise: CheckFunction = host_only
) -> CheckFunction:
    """Return the check by this rule, if the host has a SQL Server and this fact was read; `otherwise` is the check elsewhere."""

    def check(evidence: Evidence) -> Finding:
        host, found = evidence.host, otherwise(evidence)
        if host is None:
            return found
        if isinstance(host.instances, Unreadable):
            return unknown(f"the instances of SQL Server: {host.instances}")
        if not host.instances:
            return unknown("no SQL Server on this host") if found.outcome is CheckOutcome.UNKNOWN else found
        value = getattr(host, fact)
        return unknown(str(value)) if isinstance(value, Unreadable) else rule(value, evidence, host, host.instances)

    return check


def _sql_server_check(otherwise: CheckFunction) -> CheckFunction:
    """Return the check of what only SQL Server shows: a reading, or its command."""

    def rule(_instances: _Instances, evidence: Evidence, *_host: object) -> Finding:
        found = otherwise(evidence)
        return unknown("visible only in SQL Server") if found.outcome is CheckOutcome.UNKNOWN else found

    return _host_check("instances", rule, otherwise)


def _connector_version(_value: object, evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    """Assess the files, and the builds that the SQL Servers of the target have loaded, which are known without the files too."""
    loaded, files, managed = connector_version(evidence), host.files, evidence.credential.kind is CredentialKind.MANAGED_IDENTITY
    found = unknown(str(files)) if isinstance(files, Unreadable) else host_rules.connector_version(files, managed=managed)
    is_known = loaded.outcome is not CheckOutcome.UNKNOWN
    return combined(found, replace(loaded, detail=f"loaded: {loaded.detail}")) if is_known else found


def _windows_tls(_value: object, _evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    """Assess the settings, and Windows' own request to the vault, which this account made."""
    settings = host.tls
    found = unknown(f"settings of TLS {settings}") if isinstance(settings, Unreadable) else host_rules.tls_settings(settings)
    return combined(found, _response(host.response, f"{host.account}"))


def _response(response: WindowsResponse | Unreadable | None, account: str) -> Finding:
    if response is None:
        return skipped("Windows made no request, because connect_to of the module redirects the vault")
    if isinstance(response, Unreadable):
        return unknown(f"Windows' request to the vault {response}")
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return warned(f"the proxy of {account} requires a sign-in (HTTP {response.status})", code=3012)
    if response.status is not None:
        return passed(f"Windows trusts the vault's certificate: HTTP {response.status} as {account}")
    number, error = windows_error(response.error)
    # An error of TLS is a failure; others may be of this account only.
    assess = failed if number in host_rules.ERRORS_OF_TLS else warned
    text = f"Windows error {number} as {account}: {error.meaning}"
    return assess(text, code=error.code, reason=error.reason, actions=error.actions)


def _event_log(xml: Iterable[str], evidence: Evidence, host: HostFacts, _instances: _Instances) -> Finding:
    events = [event for event in map(read_event_xml, xml) if event is not None]
    explained = [(event, explanation) for event in events if (explanation := explain_event(event)) is not None]
    none = f"no error among the connector's last events: {len(events)}" if events else "no event of the connector"
    text = "; ".join(_event_texts(explained)) or none
    if host.log_level == NO_EVENTS:
        write = f"As an administrator, let the connector write its events again: `{WRITE_EVENTS}`."
        silent = f"it proves nothing: the connector writes no events (registry value `Level` is {NO_EVENTS})"
        return warned(f"{text}; {silent}", actions=(write,))
    if isinstance(host.log_level, Unreadable) and not events:
        return unknown(f"{text}; whether it writes any: {host.log_level}")
    since = datetime.fromtimestamp(evidence.now, UTC) - timedelta(days=7)
    if not any(event.at is not None and event.at >= since for event, _ in explained):
        return passed(text)
    codes = [row.code for _, explanation in explained for row in explanation.rows]
    more = tuple(f"More about it: `ekm-exporter explain {code}`." for code in codes[:1])
    return warned(text, actions=(*more, *BY_NAME["event_log"].actions))


def _event_texts(explained: list[tuple[LoggedEvent, Explanation]]) -> Iterator[str]:
    """Yield a text for each kind of event, the newest first."""
    kinds = defaultdict[str, list[datetime | None]](list)
    for event, explanation in explained:
        kinds[both_numbers(explanation.rows[0].code) if explanation.is_code else mask(explanation.title)].append(event.at)
    for label, (at, *others) in islice(kinds.items(), _MOST_KINDS):
        times = f"{len(others) + 1} times" if others else "once"
        yield f"{label}: {times}, last {'at an unknown time' if at is None else f'{at:%Y-%m-%d %H:%M} UTC'}"


def clock(evidence: Evidence) -> Finding:
    """Report the clock, and on Windows what sets it."""
    found, host = checks_vault.clock(evidence), evidence.host
    return found if host is None else replace(found, detail=f"{found.detail}; Windows Time {host.time_service}")


CHECKS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        "clock": clock,
        "sql_connection": connection,
        "sql_login": login,
        "sql_rights": _of_readings(rights),
        "sql_labels": _of_readings(labels),
        "sql_keys": _of_readings(keys),
        "sql_closed": _of_readings(closed),
        "sql_proof": _of_readings(proof),
        "connector_version": _host_check("instances", _connector_version, connector_version),
        "vc_runtime": _host_check(
            "runtimes",
            lambda runtimes, _, host, instances: host_rules.vc_runtime(
                runtimes, instances, current=host_rules.is_current(host.files)
            ),
        ),
        "ekm_enabled": _sql_server_check(ekm_enabled),
        "registry_rights": _host_check(
            "key",
            lambda key, evidence, host, instances: host_rules.registry_rights(
                key,
                instances,
                KeyReference(evidence.target.key_name, evidence.target.key_version, evidence.target.vault),
                current=host_rules.is_current(host.files),
            ),
        ),
        "cluster_checkpoint": _host_check(
            "cluster_node",
            lambda cluster_node, _, __, instances: host_rules.cluster_checkpoint(instances, cluster_node=cluster_node),
        ),
        "windows_tls": _host_check("instances", _windows_tls),
        "service_proxy": _host_check(
            "proxies",
            lambda proxies, evidence, host, _: host_rules.service_proxy(
                proxies,
                host.winhttp,
                host=evidence.vault.host,
                expected=None if evidence.vault.redirected else evidence.vault.proxy_address,
            ),
        ),
        "sql_credential": _sql_server_check(credential),
        "event_log": _host_check("events", _event_log),
    }
)
