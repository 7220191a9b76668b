"""Checks of the SQL Servers of a target, by one reading of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from exporter.core.checks.finding import Finding, blocked, failed, passed, skipped, unknown, warned
from exporter.core.checks.sql import SqlRight, missing_right
from exporter.core.codes import BY_CODE, Category
from exporter.core.sql_servers import server_name
from exporter.doctor.check_network import CheckFunction
from exporter.doctor.evidence import Evidence
from exporter.tde.differences import find_differences, is_comparable
from exporter.tde.model import instance_of, labels_of
from exporter.tde.server_proof import ServerProof, clock_text, codes_text, proof_text, server_proofs
from exporter.tde.sql_reading import SqlServerReading
from exporter.tde.urgency import closed_names, closed_states

_NONE: Final = "none of the target's instances is under sql_servers"
_AGAIN: Final = "accepted, but refused when the connection was opened again"
_MOST_NAMED: Final = 8  # SQL Servers in one line


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
    """Report labels that are not the names of SQL Server or of the target's instances."""
    readings = list(_read(evidence))
    if not readings:
        return _without_reading(evidence)
    declared = set(map(server_name, evidence.target.instances))
    different = [text for reading in readings for text in _differences(reading, declared)]
    return warned(_joined(different, "; ")) if different else passed(_joined(map(_name, readings)))


def keys(evidence: Evidence) -> Finding:
    """Report differences from the keys that the SQL Servers use.

    They are those of the configuration that concern the target.
    """
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


_OTHER_FAULT: Final = ("The message names the cause: `ekm-exporter explain NUMBER` has more about it.",)
SQL_CHECKS: Mapping[str, CheckFunction] = MappingProxyType(
    {"sql_connection": connection, "sql_login": login, "sql_rights": rights, "sql_labels": labels, "sql_keys": keys}
    | {"sql_closed": closed, "sql_proof": proof}
)


def _differences(reading: SqlServerReading, declared: set[str]) -> Iterator[str]:
    own = "" if reading.document is None else _name_of(*labels_of(reading.document))
    if own.casefold() != _name(reading).casefold():
        yield f"{reading.address} is {own}, but sql_servers names it {_name(reading)}"
    elif not {_name(reading), reading.sql_instance} & declared:  # joins compare every letter
        yield f"the target's instances write {_name(reading)} in another way"


def _name(reading: SqlServerReading) -> str:
    return _name_of(reading.sql_instance, reading.host) if reading.sql_instance else reading.address


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
