"""Planned targets as YAML files, one for each vault, and the report as text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from exporter.core import grouped
from exporter.core.names import THUMBPRINT_PATTERN
from exporter.core.quoting import yaml
from exporter.inventory.plan import Plan, PlannedCredential, PlannedTarget, RetainedKey, short_vault
from exporter.sqlserver.instance import listed

MARK = "# Written by ekm-exporter inventory, which replaces this file unless it was edited: sha256 "
_NOTICE = "# Do not edit it. Declare a target of the same key, or a credential of the same name, in another file: the next run leaves it out here.\n"


def files_of(plan: Plan, hand_written: Collection[str], secrets: str) -> dict[str, str]:
    """Return the content of each file by its stem.

    `hand_written` are credentials that other files declare; `secrets` is the folder of the secrets, relative to the files.
    """
    targets = grouped((short_vault(each.version.vault), each) for each in plan.targets)
    credentials = grouped((short_vault(vault), one) for each in plan.targets for vault, one in _credentials_of(each))
    contents = {
        stem: _content(targets.get(stem, ()), _joined(credentials[stem], hand_written), secrets) for stem in sorted(credentials)
    }
    return {stem: signed(content) for stem, content in contents.items() if content != _NOTICE}


def signed(content: str, mark: str = MARK) -> str:
    """Put the first line with the checksum before the content."""
    return f"{mark}{hashlib.sha256(content.encode()).hexdigest()}\n{content}"


def is_own(text: str, mark: str = MARK) -> bool:
    """Whether the inventory wrote this text, and it was not changed since."""
    first, _, content = text.replace("\r\n", "\n").partition("\n")
    return first.startswith(mark) and f"{first}\n{content}" == signed(content, mark)


def credentials_to_supply(plan: Plan, hand_written: Collection[str]) -> list[PlannedCredential]:
    """Return the credentials that the files declare, each with all its servers."""
    return _joined((one for target in plan.targets for _, one in _credentials_of(target)), hand_written)


def _credentials_of(target: PlannedTarget) -> Iterator[tuple[str, PlannedCredential]]:
    """Yield the vault and the credential of the target. Those of each old version that has its own follow."""
    yield target.version.vault, target.credential
    for retained in target.retained:
        if retained.credential is not None:
            yield retained.version.vault, retained.credential


def _joined(credentials: Iterable[PlannedCredential], hand_written: Collection[str]) -> list[PlannedCredential]:
    found: dict[str, PlannedCredential] = {}
    for credential in credentials:
        servers = {*credential.servers, *found.get(credential.name, credential).servers}
        found[credential.name] = replace(credential, servers=tuple(sorted(servers)))
    return [found[name] for name in sorted(found) if name not in hand_written]


def _content(targets: Sequence[PlannedTarget], credentials: Sequence[PlannedCredential], secrets: str) -> str:
    lines = ["credentials:"] if credentials else []
    lines += [line for credential in credentials for line in _credential(credential, secrets)]
    lines += ["targets:"] if targets else []
    return _NOTICE + "".join(f"{line}\n" for line in (*lines, *(line for target in targets for line in _target(target))))


def _credential(credential: PlannedCredential, secrets: str) -> list[str]:
    servers = listed(credential.servers)
    if credential.managed:
        return [
            f"  # The managed identity of {servers}: run the exporter on that host, and add client_id if it has several identities.",
            f"  {yaml(credential.name)}: {{type: managed_identity}}",
        ]
    return [
        f"  # Needs the SECRET of CREDENTIAL [{credential.sql_name}] on {servers}, in the file below. SQL Server never",
        "  # shows it. If the client secret is at hand, or its expiry is known, declare the credential in another file.",
        f"  {yaml(credential.name)}:",
        "    type: connector_secret",
        f"    secret_file: {yaml(f'{secrets}/{credential.name}')}",
    ]


def _target(target: PlannedTarget) -> list[str]:
    has_thumbprint = re.fullmatch(THUMBPRINT_PATTERN, target.thumbprint)
    return [
        *(f"  # {server}: {listed(names) if names else 'no database known'}" for server, names in target.databases.items()),
        f"  - name: {yaml(target.name)}",
        f"    key: {yaml(target.version.uri)}",
        *([f"    thumbprint: {yaml(target.thumbprint)}"] if has_thumbprint else []),
        f"    credential: {yaml(target.credential.name)}",
        f"    connector_generation: {target.generation}",
        *_retained(target.retained),
        "    instances:",
        *(f"      - {{{', '.join(f'{name}: {yaml(value)}' for name, value in entry.items())}}}" for entry in target.instances),
    ]


def _retained(versions: Sequence[RetainedKey]) -> Iterator[str]:
    if versions:
        yield "    retained_versions:"
    for one in versions:
        for server, names in one.keys.items():
            yield f"      # {server}: {listed(names)} protects no database now, but old backups may need it"
        yield f"      - key: {yaml(one.version.uri)}"
        if one.credential is not None:
            yield f"        credential: {yaml(one.credential.name)}"


# The login may not enter user databases, so what is in them is not known, and never "none".
_COLUMNS = (
    "Column encryption with an EKM key is not known, because no user database is read. Such columns need the vault at each use:"
    " ekm-exporter docs what-needs-the-vault"
)


def report(plan: Plan, supplied: Collection[str], secrets: str) -> str:
    """Return what is still to be supplied, what is unknown, and what needs no target.

    `supplied` are credentials with a secret, and those of other files.
    """
    sections = {
        "Secrets still to be supplied (paths relative to the written files):": [
            f"{secrets}/{one.name}: the SECRET of CREDENTIAL [{one.sql_name}] on {listed(one.servers)}"
            for one in credentials_to_supply(plan, supplied)
            if not one.managed
        ],
        "Not found out, or not covered:": [*_sentences(plan.findings.gaps), *((_COLUMNS,) if plan.targets else ())],
        "Covered by targets of other files:": _sentences(plan.covered),
        "Remarks:": _sentences(plan.findings.notes),
    }
    return "\n".join(f"{title}\n" + "".join(f"  - {line}\n" for line in lines) for title, lines in sections.items() if lines)


def _sentences(table: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{listed(servers)}: {text}" if servers else text for text, servers in table.items()]
