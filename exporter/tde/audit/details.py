"""The lines of the audit sheet below its summary.

What is unknown has a sentence of its own, never a blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from exporter.tde.audit.words import NO_RIGHT, NO_TEST, Facts, Line, clock, counted, known, when, when_known, word

_USABLE: Final[Mapping[bool | None, str]] = {True: "usable", False: "not usable", None: "not known"}
_SOURCES: Final[Mapping[str, str]] = {
    "declared": "declared in the configuration",
    "certificate": "certificate file",
    "graph": "Microsoft Graph",
    "key_vault": "Key Vault secret",
    "entra": "Entra ID, which refused it",
}


def who_may(facts: Facts) -> Iterator[Line]:
    """Yield the identities of the exporter, and the roles that matter."""
    yield "list of callers", NO_RIGHT
    for each in facts["credentials"]:
        yield f"credential {word(each['credential'])}", _identity(each)
    yield from ((word(each["role"]), word(each["effect"])) for each in facts["roles"])


def _identity(row: Facts) -> str:
    names = (("application", "client_id"), ("object id", "object_id"), ("tenant", "tenant_id"))
    ids = ", ".join(f"{noun} {known(row[field])}" for noun, field in names)
    return f"{word(row['type'])}, as {' and '.join(map(word, row['uses']))} of the exporter: {ids}"


def who_did(facts: Facts) -> Iterator[Line]:
    """Yield the limit, and what each SQL Server itself requests."""
    yield "list of uses", "not known: run the first query in the vault's Logs"
    limit = facts["requests_in_10_seconds"]
    yield (
        "limit",
        (
            f"{limit:,} requests about this key in 10 seconds, for all clients of the vault together"
            if limit is not None
            else "none is published for this vault"
        ),
    )
    for each in facts["sql_servers"]:
        yield f"requests of {word(each['server'])}", _own_requests(each, limit)


def _own_requests(row: Facts, limit: int | None) -> str:
    """Return what a SQL Server itself requests; backups are not counted."""
    if row["read_at"] is None:
        return "not known: it is not read. The rows of SQL Server in the second query count them"
    share = "" if limit is None else f", {row['restart_unwraps'] / limit:.1%} of the limit"
    if row["log_files_a_day"] is not None:
        files = f"about {row['log_files_a_day']:,.0f} a day for new log files"
    else:
        files = "new log files: not known"
    return f"at a restart {counted(row['restart_unwraps'], 'unwrap')} at once{share}; {files}; each backup one more at least"


def versions(facts: Facts) -> Iterator[Line]:
    """Yield each version of the key with what is known of it."""
    for each in facts["versions"]:
        kind = f"{word(each['type'])} of {each['size_bits']} bits" if each["read"] else "not read yet"
        state = {True: ", enabled", False: ", disabled", None: ""}[each["enabled"]]
        pin = "" if each["pinned"] else ", followed as the newest: no version is pinned"
        yield (
            f"version {word(each['version'] or 'not known')}",
            f"{kind}{state}{pin}; probed by {', '.join(map(word, each['targets']))}",
        )
        yield "URI", word(each["uri"])
        yield "thumbprint", "not known: no target declares it" if each["thumbprint"] is None else word(each["thumbprint"])
    yield "newest version", known(facts["newest_version"])
    yield "region", known(facts["region"])
    if facts["scheduled_purge"] is not None:
        yield "deleted, purged on", clock(facts["scheduled_purge"])


def dependents(facts: Facts) -> Iterator[Line]:
    """Yield each SQL Server with its databases."""
    for each in facts["sql_servers"]:
        yield word(each["server"]), _dependent(each)
    if not facts["sql_servers"]:
        yield "SQL Servers", "not known: no target of this key has instances"
    if more := facts["dependents"]["sql_servers"] - len(facts["sql_servers"]):
        yield "more SQL Servers", f"and {more:,} more: /api/v1/sql-servers of the exporter lists each that it reads"


def _dependent(row: Facts) -> str:
    if row["read_at"] is None:
        group = f" (availability group {word(row['ag'])})" if row["ag"] is not None else ""
        return f"declared{group}; its databases are not known: the exporter does not read it"
    credential = "none" if row["credential"] is None else word(row["credential"])
    return f"{', '.join(map(word, row['databases'])) or 'no database'}; login {known(row['login'])}, SQL credential {credential}"


def probes(facts: Facts) -> Iterator[Line]:
    """Yield the last unwrap of each target."""
    for each in facts["probes"]:
        parts = [
            f"unwrap {when_known(each['last_unwrap'], facts)}",
            f"whole round trip with wrap {when_known(each['last_round_trip'], facts)}",
            f"from {word(each['from'])}, with credential {word(each['credential'])}",
        ]
        if each["code"] is not None:
            parts.append(f"the last probe failed at {word(each['step'])}: {each['code']} {word(each['reason'] or '')}".rstrip())
        yield f"probe {word(each['target'])}", "; ".join(parts)


def proofs(facts: Facts) -> Iterator[Line]:
    """Yield what each SQL Server proved itself."""
    for each in facts["sql_servers"]:
        yield f"by {word(each['server'])}", _proof(each, facts)


def _proof(row: Facts, facts: Facts) -> str:
    if row["read_at"] is None:
        return "not known: the exporter does not read it"
    state = word(row["state"]).replace("_", " ")
    if row["proven_at"] is None:
        return f"no start and no finished backup proves it ({state})"
    done = word(row["proven_by"]).replace("_", " ")
    return f"{when(row['proven_at'], facts)}, {done} of {word(row['database'] or '')} ({state})"


def recovery(facts: Facts) -> Iterator[Line]:
    """Yield the recovery vault and the backup of each target."""
    for each in facts["recovery"]:
        name = word(each["target"])
        if each["recovery_vault"] is None:
            yield f"recovery vault of {name}", "none is configured"
        else:
            unwrapped = when_known(each["last_unwrap"], facts)
            yield (
                f"recovery vault of {name}",
                f"{word(each['recovery_vault'])}: {_USABLE[each['usable']]}; last unwrap there {unwrapped}",
            )
        backup = each["backup_on"]
        yield (
            f"backup of the key, {name}",
            "not known: backup_on is not declared" if backup is None else f"declared: {word(backup)}",
        )
    for each in facts["retained_versions"]:
        until = "without an end" if each["until"] is None else f"until {word(each['until'])}"
        yield (
            f"old version {word(each['key'])}",
            (
                f"needed by backups {until}, in {word(each['vault'])}: {_USABLE[each['usable']]}; last probe {when_known(each['last_probe'], facts)}"
            ),
        )
    yield "test restore", NO_TEST


def expiries(facts: Facts) -> Iterator[Line]:
    """Yield every expiry, each credential by each source."""
    for each in facts["credentials"]:
        label = f"credential {word(each['credential'])}"
        if not each["may_expire"]:
            yield label, f"{word(each['type'])} has no secret that expires"
        elif not each["expiries"]:
            yield label, "not known: no source is configured"
        for expiry in each["expiries"]:
            yield label, _expiry(expiry, facts)
    if not any("next" in each["uses"] for each in facts["credentials"]):
        yield "next credential", "none is staged"
    for each in facts["versions"]:
        expires = when(each["expires"], facts) if each["expires"] is not None else ("no date" if each["read"] else "not read yet")
        yield f"key version {word(each['version'] or 'not known')}", expires
    for each in facts["tls_certificates"]:
        yield f"TLS of {word(each['endpoint'])}", f"{when(each['expires_at'], facts)}, issued by {word(each['issuer'])}"
    if not facts["tls_certificates"]:
        yield "TLS certificates", "not known: no probe has reached an endpoint"


def _expiry(expiry: Facts, facts: Facts) -> str:
    source = _SOURCES.get(expiry["source"], word(expiry["source"]))
    date = when_known(expiry["expires_at"], facts)
    notes = [word(expiry[field]) for field in ("failure", "wrong") if expiry[field] is not None]
    return f"{date} ({source}){''.join(f'; {note}' for note in notes)}"
