"""The audit sheet of a key: parts with lines in words and queries to run, from the facts in the exporter's JSON.

What is unknown has a sentence of its own, never a blank. Also: which target a text names, and what a SQL Server requests of a vault for one key.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exporter.core import counted
from exporter.core.durations import ago, unix_time
from exporter.core.names import cloud_of, host_name, nearest
from exporter.core.quoting import plain
from exporter.sqlserver.gate.conditions import TargetState
from exporter.sqlserver.instance import FEW, few, printable
from exporter.sqlserver.proof import ServerProof
from exporter.sqlserver.reading import TRACE_FLAG, flag_is_on

Facts = Mapping[str, Any]
Line = tuple[str, str]
_WIDTH: Final = 110
_LABEL: Final = 28
_DAY: Final = 86400.0
_NO_RIGHT: Final = "not known: the exporter has no right to read it in Azure. The queries below list it"
_NO_TEST: Final = "not known: the exporter sees no restore. Record its date where you keep this sheet"
_USABLE: Final[Mapping[bool | None, str]] = {True: "usable", False: "not usable", None: "not known"}
_ENABLED: Final[Mapping[bool | None, str]] = {True: ", enabled", False: ", disabled", None: ""}
_SOURCES: Final[Mapping[str, str]] = {
    "declared": "declared in the configuration",
    "certificate": "certificate file",
    "graph": "Microsoft Graph",
    "key_vault": "Key Vault secret",
    "entra": "Entra ID, which refused it",
}
_RESTART: Final[Mapping[str | None, str]] = {
    "ready": "would find the key, as this exporter sees it",
    "not_ready": "would not find the key",
    "not_known": "not known",
    None: "not known",
}


@dataclass(frozen=True, slots=True)
class SheetPart:
    """A part of the sheet: lines of a name and a text, then queries to run."""

    title: str
    lines: Sequence[Line]
    queries: Sequence[Facts] = ()


def sheet(facts: Facts) -> tuple[SheetPart, ...]:
    """Return the parts of the sheet. Raises ValueError if the facts are not those of an exporter."""
    try:
        return tuple(parts(facts))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the facts are damaged ({type(error).__name__})") from None


def title_of(facts: Facts) -> str:
    return f"Audit of key {printable(facts['key'])}"


def parts(facts: Facts) -> Iterator[SheetPart]:
    """Yield the parts of the sheet, from facts of this exporter."""
    yield _part("In short", _summary(facts))
    yield _part("What depends on it", _dependents(facts))
    yield _part("Last proven", [*_probes(facts), *_proofs(facts)])
    yield _part("Recovery", _recovery(facts))
    yield _part("What expires", _expiries(facts))
    yield _part("Key and versions", _versions(facts))
    credentials = ((f"credential {each['credential']}", _identity(each)) for each in facts["credentials"])
    who_may = [("list of callers", _NO_RIGHT), *credentials, *((each["role"], each["effect"]) for each in facts["roles"])]
    yield _part("Who may unwrap", who_may, _queries(facts["who_may"]))
    yield _part("Who did", _who_did(facts), _queries(facts["who_did"]))


def _part(title: str, lines: Iterable[Line], queries: Sequence[Facts] = ()) -> SheetPart:
    """Return a part whose lines have no characters that could steer a terminal."""
    return SheetPart(title, [(printable(label), printable(words)) for label, words in lines], queries)


def _queries(rows: Iterable[Facts]) -> list[Facts]:
    return [
        {
            "about": printable(row["about"]),
            "language": printable(row["language"]),
            "text": "\n".join(map(printable, row["text"].split("\n"))),
        }
        for row in rows
    ]


def _when(at: str | None, facts: Facts) -> str:
    """Return a time with its distance from that of the facts."""
    if at is None:
        return "not known"
    seconds = unix_time(facts["at"]) - unix_time(at)
    distance = ago(seconds) if seconds >= 0 else "in " + ago(-seconds).removesuffix(" ago")
    return f"{_clock(at)} ({distance})"


def _clock(at: str) -> str:
    """Return `2026-11-28 21:40 UTC`. Raises ValueError for another text."""
    unix_time(at)
    return f"{at[:10]} {at[11:16]} UTC"


def _words(value: str) -> str:
    return value.replace("_", " ")


def _summary(facts: Facts) -> list[Line]:
    exporter, probed = facts["exporter"], len(facts["probes"])
    others = f"{probed} of {counted(facts['targets'], 'target')} of this key are on this sheet: audit another one by its name"
    has_recovery = any(row["recovery_vault"] is not None for row in facts["recovery"])
    never = (
        "never: no unwrap in the recovery vault has succeeded" if has_recovery else "not known: no recovery_vault is configured"
    )
    return [
        ("key", f"{printable(facts['key'])} in {facts['vault']}"),
        ("as of", f"{_clock(facts['at'])}, by ekm-exporter {exporter['version']} on {exporter['host']}"),
        ("depends on it", _dependent_totals(facts["dependents"])),
        *([("targets", others)] if facts["targets"] > probed else []),
        ("who may unwrap", _NO_RIGHT),
        ("who did", "not known: the vault's log has it. The query below lists it"),
        ("last proven by probe", _latest(facts["probes"], facts, "no unwrap is known") + _failing(facts)),
        ("last proven by SQL Server", _own_proof(facts)),
        ("recovery vault proven", _latest(facts["recovery"], facts, never)),
        ("test restore", _NO_TEST),
        ("next expiry", _next_expiry(facts)),
    ]


def _dependent_totals(totals: Facts) -> str:
    """Return how many SQL Servers and databases depend on the key, as far as they are read."""
    servers, read, unused = totals["sql_servers"], totals["read"], totals["unused"]
    unread, number = servers - read, counted(servers, "SQL Server")
    if not servers:
        found = f"no SQL Server is {'known to use it' if unused else 'declared or read'}"
    elif not read:
        found = f"{number}; databases not known: the exporter reads none of them"
    else:
        found = f"{number}, {'at least ' if unread else ''}{counted(totals['databases'], 'database')}"
        found += f"; {unread} of these SQL Servers {'is' if unread == 1 else 'are'} not read" if unread else ""
    return found + (f"; {unused:,} more {'is read and does' if unused == 1 else 'are read and do'} not use it" if unused else "")


def _latest(rows: Iterable[Facts], facts: Facts, absent: str) -> str:
    """Return the latest unwrap, or the sentence about its absence."""
    times = [row["last_unwrap"] for row in rows if row["last_unwrap"] is not None]
    return _when(max(times, key=unix_time), facts) if times else absent


def _failing(facts: Facts) -> str:
    """Return since when the key is not ready, with the failure of the target that began; empty if no target fails."""
    rows = [each for each in facts["probes"] if each["ready"] is False]
    if not rows:
        return ""
    first = min(rows, key=lambda each: unix_time(each["not_ready_since"] or facts["at"]))
    several = f" ({len(rows)} of {len(facts['probes'])} targets)" if len(facts["probes"]) > 1 else ""
    return f"; not ready since {_when(first['not_ready_since'], facts)}: {_failure(first)}{several}"


def _failure(probe: Facts) -> str:
    return "no code" if probe["code"] is None else f"{probe['code']} {probe['reason'] or ''}".rstrip()


def _own_proof(facts: Facts) -> str:
    """Return the oldest proof of all SQL Servers, which lack one, and what fails: the newest one says nothing about another node."""
    totals, rows = facts["dependents"], [row for row in facts["sql_servers"] if row["uses_key"]]
    read, proven_at = totals["read"], totals["proven_at"]
    if not read:
        none = "not known: the exporter reads none of these SQL Servers"
        return none if totals["sql_servers"] else "no SQL Server is known to use it"
    named = few([row["server"] for row in rows if row["proven_at"] == proven_at])
    oldest = f", the oldest of {counted(read, 'SQL Server')}{': ' if named else ''}{named}" if read > 1 else ""
    parts = [f"no start and no backup proves it on {named}" if proven_at is None else _when(proven_at, facts) + oldest]
    troubled = [f"{row['server']}: {', '.join(found)}" for row in rows if (found := list(_trouble(row, facts)))]
    parts += [*troubled[:FEW], *([f"{len(troubled) - FEW:,} more SQL Servers fail"] if len(troubled) > FEW else [])]
    if unread := totals["sql_servers"] - read:
        parts.append(f"not known of {counted(unread, 'more SQL Server')}, which {'is' if unread == 1 else 'are'} not read")
    return "; ".join(parts)


def _trouble(row: Facts, facts: Facts) -> Iterator[str]:
    """Yield which databases of a SQL Server are closed, and what its error log has since the last proof."""
    if closed := [f"{each['database']} ({_words(each['state'])})" for each in row["closed"]]:
        yield f"closed: {few(closed)}"
    if row["codes_since"]:
        yield f"its error log has {few(row['codes_since'])} since {_when(row['since'], facts)}"
    if row["backups_fail"]:
        yield "backups fail"


def _next_expiry(facts: Facts) -> str:
    dates = [
        *(
            (expiry["expires_at"], f"credential {each['credential']}")
            for each in facts["credentials"]
            for expiry in each["expiries"]
            if expiry["wrong"] is None
        ),
        *((each["expires"], f"key version {each['version'] or ''}") for each in facts["versions"]),
        *((each["expires_at"], f"TLS of {each['endpoint']}") for each in facts["tls_certificates"]),
    ]
    dated = sorted((unix_time(at), at, what) for at, what in dates if at is not None)
    return f"{dated[0][2]}, {_when(dated[0][1], facts)}" if dated else "not known: no date of any kind"


def _dependents(facts: Facts) -> list[Line]:
    totals, rows = facts["dependents"], facts["sql_servers"]
    more = totals["sql_servers"] + totals["unused"] - len(rows)
    further = f"and {more:,} more: /api/v1/sql-servers of the exporter lists each that it reads"
    return [
        *((each["server"], _dependent(each)) for each in rows),
        *([] if rows else [("SQL Servers", "not known: no target of this key has instances")]),
        *([("more SQL Servers", further)] if more else []),
    ]


def _dependent(row: Facts) -> str:
    if row["uses_key"]:
        about = f"login {row['login'] or 'not known'}, SQL credential {row['credential'] or 'none'}"
        return f"{', '.join(row['databases']) or 'no database'}; {about}"
    if row["uses_key"] is False:
        return "read, does not use it: none of its databases is under this key"
    if row["read_at"] is not None:
        return "read, but not which key its databases have: /api/v1/sql-servers has the reason"
    group = f" (availability group {row['ag']})" if row["ag"] is not None else ""
    return f"declared{group}; its databases are not known: the exporter does not read it"


def _probes(facts: Facts) -> Iterator[Line]:
    for each in facts["probes"]:
        parts = [
            f"unwrap {_when(each['last_unwrap'], facts)}",
            f"whole round trip with wrap {_when(each['last_round_trip'], facts)}",
            f"from {each['from']}, with credential {each['credential']}",
            *([] if each["code"] is None else [f"the last probe failed at {each['step']}: {_failure(each)}"]),
        ]
        yield f"probe {each['target']}", "; ".join(parts)


def _proofs(facts: Facts) -> Iterator[Line]:
    for each in _using_rows(facts):
        yield f"by {each['server']}", _proof(each, facts)
        if each["uses_key"]:
            why = each.get("restart_missing") or ("" if each["restart"] == "ready" else "/api/v1/sql-servers has the reasons")
            yield f"restart of {each['server']}", ": ".join(filter(None, (_RESTART[each["restart"]], why)))


def _using_rows(facts: Facts) -> list[Facts]:
    """Return the SQL Servers that use the key or may use it."""
    return [row for row in facts["sql_servers"] if row["uses_key"] is not False]


def _proof(row: Facts, facts: Facts) -> str:
    if not row["uses_key"]:
        return f"not known: the exporter does not read {'it' if row['read_at'] is None else 'which key it uses'}"
    proof = "no start and no finished backup proves it"
    if row["proven_at"] is not None:
        proof = f"{_when(row['proven_at'], facts)}, {_words(row['proven_by'])} of {row['database'] or ''}"
    return "; ".join([f"{proof} ({_words(row['state'])})", *_trouble(row, facts)])


def _recovery(facts: Facts) -> list[Line]:
    lines = list[Line]()
    for each in facts["recovery"]:
        vault, backup = each["recovery_vault"], each["backup_on"]
        usable = f"{vault}: {_USABLE[each['usable']]}; last unwrap there {_when(each['last_unwrap'], facts)}"
        declared = "not known: backup_on is not declared" if backup is None else f"declared: {backup}"
        lines += [
            (f"recovery vault of {each['target']}", "none is configured" if vault is None else usable),
            (f"backup of the key, {each['target']}", declared),
        ]
    for each in facts["retained_versions"]:
        until = "without an end" if each["until"] is None else f"until {each['until']}"
        usable = f"{_USABLE[each['usable']]}; last probe {_when(each['last_probe'], facts)}"
        lines += [(f"old version {each['key']}", f"needed by backups {until}, in {each['vault']}: {usable}")]
    return [*lines, ("test restore", _NO_TEST)]


def _expiries(facts: Facts) -> list[Line]:
    """Return every expiry, each credential by each source."""
    lines = list[Line]()
    for each in facts["credentials"]:
        none = "not known: no source is configured" if each["may_expire"] else f"{each['type']} has no secret that expires"
        found = [_expiry(expiry, facts) for expiry in each["expiries"] if each["may_expire"]] or [none]
        lines += [(f"credential {each['credential']}", text) for text in found]
    if not any("next" in each["uses"] for each in facts["credentials"]):
        lines.append(("next credential", "none is staged"))
    for each in facts["versions"]:
        none = "no date" if each["read"] else "not read yet"
        lines += [(f"key version {each['version'] or 'not known'}", _when(each["expires"], facts) if each["expires"] else none)]
    certificates = [
        (f"TLS of {each['endpoint']}", f"{_when(each['expires_at'], facts)}, issued by {each['issuer']}")
        for each in facts["tls_certificates"]
    ]
    return [*lines, *(certificates or [("TLS certificates", "not known: no probe has reached an endpoint")])]


def _expiry(expiry: Facts, facts: Facts) -> str:
    notes = "".join(f"; {expiry[field]}" for field in ("failure", "wrong") if expiry[field] is not None)
    return f"{_when(expiry['expires_at'], facts)} ({_SOURCES.get(expiry['source'], expiry['source'])}){notes}"


def _versions(facts: Facts) -> list[Line]:
    lines = list[Line]()
    for each in facts["versions"]:
        kind = f"{each['type']} of {each['size_bits']} bits" if each["read"] else "not read yet"
        pin = "" if each["pinned"] else ", followed as the newest: no version is pinned"
        about = f"{kind}{_ENABLED[each['enabled']]}{pin}; probed by {', '.join(each['targets'])}"
        lines += [
            (f"version {each['version'] or 'not known'}", about),
            ("URI", each["uri"]),
            ("thumbprint", each["thumbprint"] or "not known: no target declares it"),
        ]
    return [
        *lines,
        ("newest version", facts["newest_version"] or "not known"),
        ("region", facts["region"] or "not known"),
        *([("deleted, purged on", _clock(purge))] if (purge := facts["scheduled_purge"]) is not None else []),
    ]


def _identity(row: Facts) -> str:
    names = (("application", "client_id"), ("object id", "object_id"), ("tenant", "tenant_id"))
    ids = ", ".join(f"{noun} {row[field] or 'not known'}" for noun, field in names)
    return f"{row['type']}, as {' and '.join(row['uses'])} of the exporter: {ids}"


def _who_did(facts: Facts) -> list[Line]:
    """Return the limit, and what each SQL Server itself requests."""
    limit = facts["requests_in_10_seconds"]
    published = f"{limit or 0:,} requests about this key in 10 seconds, for all clients of the vault together"
    return [
        ("list of uses", "not known: run the first query in the vault's Logs"),
        ("limit", "none is published for this vault" if limit is None else published),
        *((f"requests of {each['server']}", _own_requests(each, limit)) for each in _using_rows(facts)),
    ]


def _own_requests(row: Facts, limit: int | None) -> str:
    """Return what a SQL Server itself requests; backups are not counted."""
    if not row["uses_key"]:
        return "not known: its use of the key is not read. The rows of SQL Server in the second query count them"
    unwraps, a_day = row["restart_unwraps"], row["log_files_a_day"]
    share = "" if limit is None else f", {unwraps / limit:.1%} of the limit"
    files = (
        "new virtual log files (VLF): not known" if a_day is None else f"about {a_day:,.0f} a day for new virtual log files (VLF)"
    )
    return f"at a restart {counted(unwraps, 'unwrap')} at once{share}; {files}; each backup one more at least"


def as_text(facts: Facts) -> str:
    """Return the sheet as plain text. Raises ValueError as `sheet`."""
    lines = [title_of(facts), ""]
    for part in sheet(facts):
        lines += [part.title, "-" * len(part.title), *(row for line in part.lines for row in _wrapped(*line)), ""]
        for query in part.queries:
            about = textwrap.wrap(f"{query['about']} ({query['language']}):", _WIDTH)
            lines += [*about, "", *(f"  {row}" for row in query["text"].split("\n")), ""]
    return "\n".join(lines)


def _wrapped(label: str, words: str) -> list[str]:
    indent = " " * (_LABEL + 2)
    first = f"{label:{_LABEL}}  " if len(label) <= _LABEL else f"{label}:\n{indent}"
    wrapped = textwrap.wrap(words, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join([first + wrapped[0], *wrapped[1:]]).split("\n")


# Who may unwrap, and the queries that list them.


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
_Queries = tuple[
    tuple[str, Mapping[str, str]], ...
]  # what a query lists, and by where to run it the query, with the words VAULT and KEY
_MEMBERS: Final[_Queries] = (
    (
        "The members of a group that has a role, nested groups too; GROUP is its object id in the lists above",
        {
            BASH: 'az rest --url "https://graph.microsoft.com/v1.0/groups/GROUP/transitiveMembers" --query "value[].[displayName, id]" -o table',
            POWERSHELL: '(Invoke-AzRestMethod -Uri "https://graph.microsoft.com/v1.0/groups/GROUP/transitiveMembers").Content',
        },
    ),
)


def _azure_roles(about: str, kind: str, identity: str, resource: str, key: str = "") -> _Queries:
    """Return the queries of roles in Azure on a resource, or on a key of it; `identity` and `resource` read its id."""
    return (
        (
            about,
            {
                BASH: f'az role assignment list --include-inherited --scope "{identity}{key}" -o table '
                '--query "[].{who:principalName, id:principalId, type:principalType, role:roleDefinitionName, scope:scope}"',
                POWERSHELL: f'Get-AzRoleAssignment -Scope "$({resource}){key}" | '
                "Format-Table DisplayName, ObjectId, ObjectType, RoleDefinitionName, Scope",
            },
        ),
        (
            "The same with the data actions of each role, custom ones too. A management group counts only if it is above the subscription",
            {GRAPH: _RESOURCE_GRAPH.replace("TYPE", kind)},
        ),
        (
            "Roles that someone may activate (PIM)",
            {
                BASH: f'az rest --method get --url "{identity}/providers/Microsoft.Authorization/roleEligibilityScheduleInstances'
                '?api-version=2020-10-01" -o table --query "value[].properties.expandedProperties.'
                '{who:principal.displayName, role:roleDefinition.displayName, scope:scope.id}"',
                POWERSHELL: f"Get-AzRoleEligibilityScheduleInstance -Scope {resource} | "
                "Format-Table PrincipalDisplayName, RoleDefinitionDisplayName, ScopeId",
            },
        ),
    )


_VAULT_QUERIES: Final[_Queries] = (
    *_azure_roles(
        "Roles on the key, with those inherited from vault, resource group, subscription and management groups",
        "vaults",
        "$(az keyvault show --name VAULT --query id -o tsv)",
        "(Get-AzKeyVault -VaultName VAULT).ResourceId",
        "/keys/KEY",
    ),
    (
        "Whether roles or access policies count (rbac), and the access policies",
        {
            BASH: "az keyvault show --name VAULT -o json "
            '--query "properties.{rbac:enableRbacAuthorization, policies:accessPolicies[].{objectId:objectId, keys:permissions.keys}}"',
            POWERSHELL: "Get-AzKeyVault -VaultName VAULT | ForEach-Object { $_.EnableRbacAuthorization; $_.AccessPolicies | "
            "Format-Table DisplayName, ObjectId, PermissionsToKeysStr }",
        },
    ),
    *_MEMBERS,
)
_HSM_QUERIES: Final[_Queries] = (
    (
        "Local roles of the Managed HSM; a role at / counts for every key",
        {
            BASH: "az keyvault role assignment list --hsm-name VAULT -o table",
            POWERSHELL: "Get-AzKeyVaultRoleAssignment -HsmName VAULT",
        },
    ),
    (
        "The first administrators, who assign the local roles",
        {
            BASH: "az keyvault show --hsm-name VAULT --query properties.initialAdminObjectIds",
            POWERSHELL: "(Get-AzKeyVaultManagedHsm -Name VAULT).InitialAdminObjectIds",
        },
    ),
    *_azure_roles(
        "Who may change or delete the HSM: Azure roles on it, with those inherited from above",
        "managedhsms",
        "$(az keyvault show --hsm-name VAULT --query id -o tsv)",
        "(Get-AzKeyVaultManagedHsm -Name VAULT).ResourceId",
    ),
    *_MEMBERS,
)


def is_hsm(vault: str) -> bool:
    """Return whether the vault is a Managed HSM, with roles of its own."""
    cloud = cloud_of(vault)
    return cloud is not None and cloud.managed_hsm


def key_roles(vault: str) -> tuple[tuple[str, str], ...]:
    return HSM_ROLES if is_hsm(vault) else VAULT_ROLES


def access_queries(vault: str, key: str) -> list[dict[str, str]]:
    """Return the queries that list who may unwrap with a key. `vault` is a host name.

    A person runs them: the exporter has no right to, and needs none. `language` is where to run it.
    """
    values = {"VAULT": plain(host_name(vault).partition(".")[0], "VAULT"), "KEY": plain(key, "KEY")}
    return [
        {"about": about, "language": language, "text": re.sub(r"\b(VAULT|KEY)\b", lambda found: values[found[0]], text)}
        for about, texts in (_HSM_QUERIES if is_hsm(vault) else _VAULT_QUERIES)
        for language, text in texts.items()
    ]


# Which target of an exporter a text names: by its own name, by its key version, or by the key's URI.


class ChoiceError(Exception):
    """Why no target is chosen, and what to do."""


class UnknownKeyError(ChoiceError):
    """No target has this name or this key."""


def choose_target(text: str, targets: Sequence[TargetState]) -> TargetState:
    """Return the target of this name, else the first one of this key. Raises ChoiceError."""
    wanted = text.removesuffix("/").casefold()
    found = [one for one in targets if one.name == text] or [
        one
        for one in targets
        # With and without its version.
        if wanted in {name.casefold() for uri in (one.uri, one.uri_of_key) for name in (uri, uri.partition("/keys/")[2])}
    ]
    if (number := len({one.vault for one in found})) > 1:
        raise ChoiceError(f"{text!r} is a key in {number} vaults: write its URI, such as {found[0].uri}")
    if not found:
        near = nearest(text, [name for one in targets for name in (one.name, one.key_name)])
        raise UnknownKeyError(f"no target and no key {text!r}{near}: write a target's name, KEY/VERSION or the key's URI")
    return found[0]


def log_files_a_day(server: ServerProof) -> float | None:
    """Return how many virtual log files of one SQL Server need the vault, at its present rate of writing; None if that or the trace flag is unknown."""
    times = [log.next_file_in for log in server.logs if log.next_file_in]
    return 0.0 if flag_is_on(server.reading, TRACE_FLAG) else sum(_DAY / each for each in times) if times else None
