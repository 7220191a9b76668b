"""The audit sheet of a key: parts with lines in words and queries to run, from the facts in the exporter's JSON.

What is unknown has a sentence of its own, never a blank. Also: which target a text names, and what a SQL Server requests of a vault for one key.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from exporter.core.durations import ago, unix_time
from exporter.core.names import cloud_of, host_name, nearest
from exporter.core.quoting import plain
from exporter.sqlserver.differences import DeclaredKey
from exporter.sqlserver.instance import FEW, few, printable
from exporter.sqlserver.proof import ServerProof
from exporter.sqlserver.reading import TRACE_FLAG, flag_is_on

Facts = Mapping[str, Any]
Line = tuple[str, str]
NO_RIGHT: Final = "not known: the exporter has no right to read it in Azure. The queries below list it"
NO_TEST: Final = "not known: the exporter sees no restore. Record its date where you keep this sheet"


def when(at: str, facts: Facts) -> str:
    """Return a time with its distance from that of the facts."""
    seconds = unix_time(facts["at"]) - unix_time(at)
    distance = ago(seconds) if seconds >= 0 else "in " + ago(-seconds).removesuffix(" ago")
    return f"{clock(at)} ({distance})"


def when_known(at: str | None, facts: Facts) -> str:
    """Return a time as `when`, or that it is not known."""
    return "not known" if at is None else when(at, facts)


def clock(at: str) -> str:
    """Return `2026-11-28 21:40 UTC`. Raises ValueError for another text."""
    unix_time(at)
    return f"{at[:10]} {at[11:16]} UTC"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def word(value: Any) -> str:
    """Return a text without control characters. Raises TypeError for another value."""
    if not isinstance(value, str):
        raise TypeError
    return printable(value)


def known(value: Any) -> str:
    return "not known" if value is None else word(value)


_USABLE: Final[Mapping[bool | None, str]] = {True: "usable", False: "not usable", None: "not known"}
_SOURCES: Final[Mapping[str, str]] = {
    "declared": "declared in the configuration",
    "certificate": "certificate file",
    "graph": "Microsoft Graph",
    "key_vault": "Key Vault secret",
    "entra": "Entra ID, which refused it",
}


def who_may(facts: Facts) -> Iterator[Line]:
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
    for each in _dependent_rows(facts):
        yield f"requests of {word(each['server'])}", _own_requests(each, limit)


def _own_requests(row: Facts, limit: int | None) -> str:
    """Return what a SQL Server itself requests; backups are not counted."""
    if not row["uses_key"]:
        return "not known: its use of the key is not read. The rows of SQL Server in the second query count them"
    share = "" if limit is None else f", {row['restart_unwraps'] / limit:.1%} of the limit"
    if row["log_files_a_day"] is not None:
        files = f"about {row['log_files_a_day']:,.0f} a day for new virtual log files (VLF)"
    else:
        files = "new virtual log files (VLF): not known"
    return f"at a restart {counted(row['restart_unwraps'], 'unwrap')} at once{share}; {files}; each backup one more at least"


def versions(facts: Facts) -> Iterator[Line]:
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
    for each in facts["sql_servers"]:
        yield word(each["server"]), _dependent(each)
    if not facts["sql_servers"]:
        yield "SQL Servers", "not known: no target of this key has instances"
    totals = facts["dependents"]
    if more := totals["sql_servers"] + totals["unused"] - len(facts["sql_servers"]):
        yield "more SQL Servers", f"and {more:,} more: /api/v1/sql-servers of the exporter lists each that it reads"


def _dependent_rows(facts: Facts) -> list[Facts]:
    """Return the SQL Servers that use the key or may use it."""
    return [row for row in facts["sql_servers"] if row["uses_key"] is not False]


def _dependent(row: Facts) -> str:
    if row["uses_key"] is False:
        return "read, does not use it: none of its databases is under this key"
    if row["uses_key"] is None and row["read_at"] is not None:
        return "read, but not which key its databases have: /api/v1/sql-servers has the reason"
    if row["read_at"] is None:
        group = f" (availability group {word(row['ag'])})" if row["ag"] is not None else ""
        return f"declared{group}; its databases are not known: the exporter does not read it"
    credential = "none" if row["credential"] is None else word(row["credential"])
    return f"{', '.join(map(word, row['databases'])) or 'no database'}; login {known(row['login'])}, SQL credential {credential}"


def probes(facts: Facts) -> Iterator[Line]:
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
    for each in _dependent_rows(facts):
        yield f"by {word(each['server'])}", _proof(each, facts)
        if each["uses_key"]:
            yield (
                f"restart of {word(each['server'])}",
                _RESTART.get(each["restart"], "not known: /api/v1/sql-servers has what is missing"),
            )


def _proof(row: Facts, facts: Facts) -> str:
    if not row["uses_key"]:
        return f"not known: the exporter does not read {'it' if row['read_at'] is None else 'which key it uses'}"
    state = word(row["state"]).replace("_", " ")
    if row["proven_at"] is None:
        proof = f"no start and no finished backup proves it ({state})"
    else:
        done = word(row["proven_by"]).replace("_", " ")
        proof = f"{when(row['proven_at'], facts)}, {done} of {word(row['database'] or '')} ({state})"
    return "; ".join([proof, *_trouble(row, facts)])


_RESTART: Final[Mapping[str | None, str]] = {
    "ready": "would find the key, as this exporter sees it",
    "not_ready": "would not find the key: /api/v1/sql-servers has the reasons",
}


def _trouble(row: Facts, facts: Facts) -> Iterator[str]:
    """Yield which databases of a SQL Server are closed, and what its error log has since the last proof."""
    if closed := [f"{word(each['database'])} ({word(each['state']).replace('_', ' ')})" for each in row["closed"]]:
        yield f"closed: {few(closed)}"
    if codes := list(map(word, row["codes_since"])):
        yield f"its error log has {few(codes)} since {when_known(row['since'], facts)}"
    if row["backups_fail"]:
        yield "backups fail"


def recovery(facts: Facts) -> Iterator[Line]:
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


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A query for a person: the exporter has no right to run it, and needs none. `language` is where to run it."""

    about: str
    language: str
    text: str


BASH, POWERSHELL = "az, in bash or PowerShell", "Az PowerShell"
GRAPH, LOGS = "KQL, in Azure Resource Graph Explorer", "KQL, in the vault's Logs"

_UNWRAPS = "may unwrap"
_ASSIGNS = "may assign a role that unwraps, to itself too"
_WRITES = "may write an access policy, if the vault uses them"
_RELEASES = "may release the key to a trusted environment that its release policy names"
_CHANGES = "no right to the key; may delete the HSM and open its firewall"
# A built-in role that is not here cannot use a key or grant that: a test compares Microsoft's lists.
VAULT_ROLES: Final[tuple[tuple[str, str], ...]] = (
    ("Key Vault Crypto Service Encryption User", f"{_UNWRAPS}: the role of SQL Server and of the exporter"),
    ("Key Vault Crypto User", f"{_UNWRAPS}, decrypt and back the key up"),
    ("Key Vault Crypto Officer", f"{_UNWRAPS}, decrypt, back up and delete the key"),
    ("Key Vault Administrator", f"{_UNWRAPS}, decrypt, back up and delete the key"),
    ("Key Vault Crypto Service Release User", _RELEASES),
    ("Owner", _ASSIGNS),
    ("User Access Administrator", _ASSIGNS),
    ("Role Based Access Control Administrator", _ASSIGNS),
    ("Key Vault Data Access Administrator", _ASSIGNS),
    ("Contributor", _WRITES),
    ("Key Vault Contributor", _WRITES),
    ("a custom role", f"{_UNWRAPS} if its dataActions have keys/unwrap/action, keys/decrypt/action, or * in their place"),
    ("an access policy", f"{_UNWRAPS} if its keys have unwrapKey, decrypt or all; counts only if rbac is false"),
)
HSM_ROLES: Final[tuple[tuple[str, str], ...]] = (
    ("Managed HSM Crypto Service Encryption User", f"{_UNWRAPS}: the role of SQL Server and of the exporter"),
    ("Managed HSM Crypto User", f"{_UNWRAPS}, decrypt, back up, release and delete the key"),
    ("Managed HSM Crypto Officer", f"{_ASSIGNS}; may export the key, and purge it once it is deleted"),
    ("Managed HSM Administrator", f"{_ASSIGNS}; may download the security domain, back up and restore the whole HSM"),
    ("Managed HSM Policy Administrator", _ASSIGNS),
    ("Managed HSM Crypto Service Release User", _RELEASES),
    ("Managed HSM Backup User", "may back up the key, or the whole HSM: an HSM of the same security domain restores it"),
    ("Managed HSM Restore User", "may restore the whole HSM, with the role assignments of the backup"),
    ("a custom local role", f"{_UNWRAPS} if its dataActions have keys/unwrap/action or keys/decrypt/action"),
    ("Global Administrator of Entra ID", "is a Managed HSM Administrator implicitly, to recover an HSM without one"),
    ("Owner", _CHANGES),
    ("Contributor", _CHANGES),
    ("Managed HSM contributor", _CHANGES),
    ("User Access Administrator", f"may assign Owner; {_CHANGES.partition(';')[0]}"),
    ("Role Based Access Control Administrator", f"may assign Owner; {_CHANGES.partition(';')[0]}"),
)
_ROLES: Final = "Roles on the key, with those inherited from vault, resource group, subscription and management groups"
_HSM_ROLES: Final = "Who may change or delete the HSM: Azure roles on it, with those inherited from above"
_ACTIVATED: Final = "Roles that someone may activate (PIM)"
_POLICIES: Final = "Whether roles or access policies count (rbac), and the access policies"
_LOCAL_ROLES: Final = "Local roles of the Managed HSM; a role at / counts for every key"
_FIRST: Final = "The first administrators, who assign the local roles"
_MEMBERS: Final = "The members of a group that has a role; GROUP is its object id in the lists above"
_RESOURCE_GRAPH: Final = """\
authorizationresources
| where type =~ "microsoft.authorization/roleassignments"
| extend scope = tolower(tostring(properties.scope)), role = tolower(tostring(split(tostring(properties.roleDefinitionId), "/")[-1])),
    principal = tostring(properties.principalId), principalType = tostring(properties.principalType), joined = 1
| join kind=inner (
    resources
    | where type =~ "microsoft.keyvault/TYPE" and name =~ "VAULT"
    | project vault = tolower(id), joined = 1)
    on joined
| where scope == "/" or scope startswith "/providers/microsoft.management/" or strcat(vault, "/") startswith strcat(scope, "/")
    or scope == strcat(vault, "/keys/", tolower("KEY"))
| join kind=leftouter (
    authorizationresources
    | where type =~ "microsoft.authorization/roledefinitions"
    | project role = tolower(name), roleName = tostring(properties.roleName),
        dataActions = tostring(properties.permissions[0].dataActions))
    on role
| project roleName, principalType, principal, scope, dataActions
| order by roleName asc"""
_VAULT_ID: Final = "$(az keyvault show --name VAULT --query id -o tsv)"
_RESOURCE_ID: Final = "(Get-AzKeyVault -VaultName VAULT).ResourceId"
_HSM_ID: Final = "$(az keyvault show --hsm-name VAULT --query id -o tsv)"
_HSM_RESOURCE_ID: Final = "(Get-AzKeyVaultManagedHsm -Name VAULT).ResourceId"
_ELIGIBLE: Final = "providers/Microsoft.Authorization/roleEligibilityScheduleInstances?api-version=2020-10-01"
# What a query lists, where to run it, and the query with the words VAULT and KEY.
_GROUP_QUERIES: Final[tuple[tuple[str, str, str], ...]] = (
    (_MEMBERS, BASH, "az ad group member list --group GROUP -o table"),
    (_MEMBERS, POWERSHELL, "Get-AzADGroupMember -GroupObjectId GROUP"),
)


def _azure_roles(about: str, kind: str, identity: str, resource: str, key: str = "") -> tuple[tuple[str, str, str], ...]:
    """Return the queries of roles in Azure on a resource, or on a key of it; `identity` and `resource` read its id."""
    columns = "[].{who:principalName, id:principalId, type:principalType, role:roleDefinitionName, scope:scope}"
    eligible = (
        "value[].properties.expandedProperties.{who:principal.displayName, role:roleDefinition.displayName, scope:scope.id}"
    )
    shown = "Format-Table DisplayName, ObjectId, ObjectType, RoleDefinitionName, Scope"
    same = "The same with the data actions of each role, custom ones too. A management group counts only if it is above the subscription"
    shown_eligible = "Format-Table PrincipalDisplayName, RoleDefinitionDisplayName, ScopeId"
    return (
        (about, BASH, f'az role assignment list --include-inherited --scope "{identity}{key}" -o table --query "{columns}"'),
        (about, POWERSHELL, f'Get-AzRoleAssignment -Scope "$({resource}){key}" | {shown}'),
        (same, GRAPH, _RESOURCE_GRAPH.replace("TYPE", kind)),
        (_ACTIVATED, BASH, f'az rest --method get --url "{identity}/{_ELIGIBLE}" -o table --query "{eligible}"'),
        (_ACTIVATED, POWERSHELL, f"Get-AzRoleEligibilityScheduleInstance -Scope {resource} | {shown_eligible}"),
    )


_VAULT_QUERIES: Final = (
    *_azure_roles(_ROLES, "vaults", _VAULT_ID, _RESOURCE_ID, "/keys/KEY"),
    (
        _POLICIES,
        BASH,
        (
            "az keyvault show --name VAULT -o json "
            '--query "properties.{rbac:enableRbacAuthorization, policies:accessPolicies[].{objectId:objectId, keys:permissions.keys}}"'
        ),
    ),
    (
        _POLICIES,
        POWERSHELL,
        (
            "Get-AzKeyVault -VaultName VAULT | ForEach-Object { $_.EnableRbacAuthorization; $_.AccessPolicies | "
            "Format-Table DisplayName, ObjectId, PermissionsToKeysStr }"
        ),
    ),
    *_GROUP_QUERIES,
)
_HSM_QUERIES: Final = (
    (_LOCAL_ROLES, BASH, "az keyvault role assignment list --hsm-name VAULT -o table"),
    (_LOCAL_ROLES, POWERSHELL, "Get-AzKeyVaultRoleAssignment -HsmName VAULT"),
    (_FIRST, BASH, "az keyvault show --hsm-name VAULT --query properties.initialAdminObjectIds"),
    (_FIRST, POWERSHELL, "(Get-AzKeyVaultManagedHsm -Name VAULT).InitialAdminObjectIds"),
    *_azure_roles(_HSM_ROLES, "managedhsms", _HSM_ID, _HSM_RESOURCE_ID),
    *_GROUP_QUERIES,
)


def is_hsm(vault: str) -> bool:
    """Return whether the vault is a Managed HSM, with roles of its own."""
    cloud = cloud_of(vault)
    return cloud is not None and cloud.managed_hsm


def key_roles(vault: str) -> tuple[tuple[str, str], ...]:
    return HSM_ROLES if is_hsm(vault) else VAULT_ROLES


def access_queries(vault: str, key: str) -> tuple[AuditQuery, ...]:
    """Return the queries that list who may unwrap with a key. `vault` is a host name."""
    values = {"VAULT": plain(host_name(vault).partition(".")[0], "VAULT"), "KEY": plain(key, "KEY")}
    rows = _HSM_QUERIES if is_hsm(vault) else _VAULT_QUERIES
    return tuple(
        AuditQuery(about, language, re.sub(r"\b(VAULT|KEY)\b", lambda found: values[found[0]], text))
        for about, language, text in rows
    )


_WIDTH: Final = 110
_LABEL: Final = 28
_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class SheetPart:
    """A part of the sheet: lines of a name and a text, then queries to run."""

    title: str
    lines: tuple[Line, ...]
    queries: tuple[AuditQuery, ...] = ()


def sheet(facts: Facts) -> tuple[SheetPart, ...]:
    """Return the parts of the sheet. Raises ValueError if the facts are not those of an exporter."""
    try:
        return tuple(parts(facts))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the facts are damaged ({type(error).__name__})") from None


def title_of(facts: Facts) -> str:
    return f"Audit of key {word(facts['key'])}"


def parts(facts: Facts) -> Iterator[SheetPart]:
    """Yield the parts of the sheet, from facts of this exporter."""
    yield SheetPart("In short", tuple(_summary(facts)))
    yield SheetPart("What depends on it", tuple(dependents(facts)))
    yield SheetPart("Last proven", (*probes(facts), *proofs(facts)))
    yield SheetPart("Recovery", tuple(recovery(facts)))
    yield SheetPart("What expires", tuple(expiries(facts)))
    yield SheetPart("Key and versions", tuple(versions(facts)))
    yield SheetPart("Who may unwrap", tuple(who_may(facts)), _queries(facts["who_may"]))
    yield SheetPart("Who did", tuple(who_did(facts)), _queries(facts["who_did"]))


def _summary(facts: Facts) -> Iterator[Line]:
    exporter = facts["exporter"]
    yield "key", f"{word(facts['key'])} in {word(facts['vault'])}"
    yield "as of", f"{clock(facts['at'])}, by ekm-exporter {word(exporter['version'])} on {word(exporter['host'])}"
    yield "depends on it", _dependents(facts["dependents"])
    if facts["targets"] > len(facts["probes"]):
        yield (
            "targets",
            f"{len(facts['probes'])} of {counted(facts['targets'], 'target')} of this key are on this sheet: audit another one by its name",
        )
    yield "who may unwrap", NO_RIGHT
    yield "who did", "not known: the vault's log has it. The query below lists it"
    yield "last proven by probe", _latest(facts["probes"], "last_unwrap", facts, "no unwrap is known") + _failing(facts)
    yield "last proven by SQL Server", _own_proof(facts)
    yield "recovery vault proven", _latest(facts["recovery"], "last_unwrap", facts, _no_recovery(facts["recovery"]))
    yield "test restore", NO_TEST
    yield "next expiry", _next_expiry(facts)


def _latest(rows: Iterable[Facts], field: str, facts: Facts, absent: str) -> str:
    """Return the latest time of a field, or the sentence about its absence."""
    times = [row[field] for row in rows if row[field] is not None]
    return when(max(times, key=unix_time), facts) if times else absent


def _own_proof(facts: Facts) -> str:
    """Return the oldest proof of all SQL Servers, which lack one, and what fails: the newest one says nothing about another node."""
    totals, rows = facts["dependents"], [row for row in facts["sql_servers"] if row["uses_key"]]
    if not totals["read"]:
        return (
            "not known: the exporter reads none of these SQL Servers"
            if totals["sql_servers"]
            else "no SQL Server is known to use it"
        )
    if totals["proven_at"] is not None:
        oldest = [word(row["server"]) for row in rows if row["proven_at"] == totals["proven_at"]]
        of = f", the oldest of {counted(totals['read'], 'SQL Server')}{': ' if oldest else ''}{few(oldest)}"
        parts = [when(totals["proven_at"], facts) + (of if totals["read"] > 1 else "")]
    else:
        parts = [f"no start and no backup proves it on {few([word(row['server']) for row in rows if row['proven_at'] is None])}"]
    troubled = [f"{word(row['server'])}: {', '.join(found)}" for row in rows if (found := list(_trouble(row, facts)))]
    parts += [*troubled[:FEW], *([f"{len(troubled) - FEW:,} more SQL Servers fail"] if len(troubled) > FEW else [])]
    if unread := totals["sql_servers"] - totals["read"]:
        parts.append(f"not known of {counted(unread, 'more SQL Server')}, which {'is' if unread == 1 else 'are'} not read")
    return "; ".join(parts)


def _dependents(totals: Facts) -> str:
    """Return how many SQL Servers and databases depend on the key, as far as they are read."""
    servers, read, unused = totals["sql_servers"], totals["read"], totals["unused"]
    others = f"; {unused:,} more {'is read and does' if unused == 1 else 'are read and do'} not use it" if unused else ""
    if not servers:
        return f"no SQL Server is {'known to use it' if unused else 'declared or read'}{others}"
    if not read:
        return f"{counted(servers, 'SQL Server')}; databases not known: the exporter reads none of them{others}"
    databases, unread = counted(totals["databases"], "database"), servers - read
    if not unread:
        return f"{counted(servers, 'SQL Server')}, {databases}{others}"
    are = "is" if unread == 1 else "are"
    return f"{counted(servers, 'SQL Server')}, at least {databases}; {unread} of these SQL Servers {are} not read{others}"


def _failing(facts: Facts) -> str:
    """Return since when the key is not ready, with the failure of the target that began; empty if no target fails."""
    rows = [each for each in facts["probes"] if each["ready"] is False]
    if not rows:
        return ""
    first = min(rows, key=lambda each: unix_time(each["not_ready_since"] or facts["at"]))
    several = f" ({len(rows)} of {len(facts['probes'])} targets)" if len(facts["probes"]) > 1 else ""
    failure = f"{first['code']} {word(first['reason'] or '')}".rstrip() if first["code"] is not None else "no code"
    return f"; not ready since {when_known(first['not_ready_since'], facts)}: {failure}{several}"


def _no_recovery(rows: Iterable[Facts]) -> str:
    configured = any(row["recovery_vault"] is not None for row in rows)
    return "never: no unwrap in the recovery vault has succeeded" if configured else "not known: no recovery_vault is configured"


def _next_expiry(facts: Facts) -> str:
    dates = [
        (expiry["expires_at"], f"credential {word(each['credential'])}")
        for each in facts["credentials"]
        for expiry in each["expiries"]
        if expiry["wrong"] is None
    ]
    dates += [(each["expires"], f"key version {word(each['version'] or '')}") for each in facts["versions"]]
    dates += [(each["expires_at"], f"TLS of {word(each['endpoint'])}") for each in facts["tls_certificates"]]
    dated = sorted((unix_time(at), at, what) for at, what in dates if at is not None)
    return f"{dated[0][2]}, {when(dated[0][1], facts)}" if dated else "not known: no date of any kind"


def _queries(rows: Iterable[Facts]) -> tuple[AuditQuery, ...]:
    return tuple(
        AuditQuery(word(row["about"]), word(row["language"]), "\n".join(map(printable, row["text"].split("\n")))) for row in rows
    )


def as_text(facts: Facts) -> str:
    """Return the sheet as plain text. Raises ValueError as `sheet`."""
    lines = [title_of(facts), ""]
    for part in sheet(facts):
        lines += [part.title, "-" * len(part.title), *(row for line in part.lines for row in _wrapped(*line)), ""]
        for query in part.queries:
            lines += [
                *textwrap.wrap(f"{query.about} ({query.language}):", _WIDTH),
                "",
                *(f"  {row}" for row in query.text.split("\n")),
                "",
            ]
    return "\n".join(lines)


def _wrapped(label: str, words: str) -> list[str]:
    indent = " " * (_LABEL + 2)
    first = f"{label:{_LABEL}}  " if len(label) <= _LABEL else f"{label}:\n{indent}"
    wrapped = textwrap.wrap(words, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join([first + wrapped[0], *wrapped[1:]]).split("\n")


# Which target of an exporter a text names: by its own name, by its key version, or by the key's URI.

Named = TypeVar("Named", bound="NamedKey")


class NamedKey(DeclaredKey, Protocol):
    """The key of a target, with the target's name."""

    @property
    def name(self) -> str: ...


class ChoiceError(Exception):
    """Why no target is chosen, and what to do."""


class UnknownKeyError(ChoiceError):
    """No target has this name or this key."""


def choose_target(text: str, targets: Sequence[Named]) -> Named:
    """Return the target of this name, else the first one of this key. Raises ChoiceError."""
    wanted = text.removesuffix("/").casefold()
    found = [one for one in targets if one.name == text] or [one for one in targets if wanted in _names(one)]
    vaults = sorted({one.vault for one in found})
    if len(vaults) > 1:
        raise ChoiceError(f"{text!r} is a key in {len(vaults)} vaults: write its URI, such as {_uri(found[0])}")
    if not found:
        names = [name for one in targets for name in (one.name, one.key_name)]
        raise UnknownKeyError(
            f"no target and no key {text!r}{nearest(text, names)}: write a target's name, KEY/VERSION or the key's URI"
        )
    return found[0]


def _names(target: NamedKey) -> tuple[str, ...]:
    """Return the names of a key, with and without its version, in lower case."""
    key = target.key_name if target.key_version is None else f"{target.key_name}/{target.key_version}"
    return tuple(
        name.casefold() for name in (target.key_name, key, f"https://{target.vault}/keys/{target.key_name}", _uri(target))
    )


def _uri(target: NamedKey) -> str:
    version = "" if target.key_version is None else f"/{target.key_version}"
    return f"https://{target.vault}/keys/{target.key_name}{version}"


def log_files_a_day(server: ServerProof) -> float | None:
    """Return how many virtual log files of one SQL Server need the vault, at its present rate of writing; None if that or the trace flag is unknown."""
    times = [log.next_file_in for log in server.logs if log.next_file_in]
    return 0.0 if flag_is_on(server.reading, TRACE_FLAG) else sum(_DAY / each for each in times) if times else None
