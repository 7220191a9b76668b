"""A folder for each SQL Server's host, with `ekm.yml`, `targets.d`, and the list of hosts, as install-hosts.ps1 takes it.

`ekm.yml` of the folder is the DBA's: each host gets a copy, without credentials of other hosts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from exporter.config.tree import SIZE_LIMIT
from exporter.core import counted, grouped
from exporter.core.quoting import word
from exporter.inventory.folder import FileChange, FolderError, accepted, changes, includes_folder, read_folder, read_hand_written
from exporter.inventory.plan import Plan, WrittenHosts, instances_by_host, targets_of_host, with_retained
from exporter.inventory.render import credentials_to_supply, files_of, is_own, signed
from exporter.runtime.files import FileMissingError, FileUnreadableError, read_whole
from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.instance import Findings, Instance, listed
from exporter.sqlserver.keys import KeyUris

CONFIG, TARGETS, SECRETS, LIST = "ekm.yml", "targets.d", "secrets", "hosts.csv"
HEADER = "host,secrets"  # of the list; a host's secrets have blanks between them
_COMMON = """\
# Each host gets a copy of this file. It is yours: edit it, and the next run copies it again. Paths are relative to the folder of a host.
# A credential that you declare here, for example with expires_on, is left out of the generated files.
global:
  interval: 60s
  vantage: sql_host
include: [targets.d/*.yml]
"""
_EDITED = "was edited, so it counts as written by hand and was not changed"


@dataclass(slots=True)
class HostFiles:
    """What changes in the folder, and the secret files that each host needs. The files are given by name."""

    changes: list[FileChange] = field(default_factory=list)
    secrets: dict[str, list[str]] = field(default_factory=dict)


def plan_host_files(folder: Path, plan: Plan, instances: Iterable[Instance], uris: KeyUris, written: WrittenHosts) -> HostFiles:
    """Return the changes that lead to a folder for each host.

    `written` are the hosts that the operator wrote. What is unknown goes to the findings of the plan. Raises FolderError.
    """
    found, common = HostFiles(), _text(folder / CONFIG)
    if common is None:
        found.changes.append(FileChange(folder / CONFIG, None, _COMMON))
    elif not includes_folder(folder / CONFIG, folder / TARGETS):
        plan.findings.gap(f"{folder / CONFIG} does not include {TARGETS}/*.yml: add it to include")
    there = {place.name.lower(): place.name for place in folder.iterdir() if place.is_dir()} if folder.is_dir() else {}
    hosts = {there.get(host, host): own for host, own in instances_by_host(instances, plan.findings, written).items()}
    for host, own in sorted(hosts.items()):
        _add_host(found, folder / host, _COMMON if common is None else common, plan, instances=own, uris=uris)
    for host in sorted(set(there.values()) - hosts.keys()):
        if gone := [*_own_change(folder / host / CONFIG, None), *changes(read_folder(folder / host / TARGETS), {})]:
            found.changes += gone
            plan.findings.note(
                f"host {host} has no SQL Server with a key any more: run `ekm-exporter service remove` there, and remove {folder / host}"
            )
    rows = "".join(f"{host},{' '.join(names)}\n" for host, names in sorted(found.secrets.items()))
    found.changes += _own_change(folder / LIST, signed(f"{HEADER}\n{rows}"), plan.findings)
    return found


def host_report(folder: Path, files: HostFiles, plan: Plan) -> str:
    """Return the number of hosts, and each secret file that is in no folder. Each file has the hosts that need it."""
    names = {one.name: one.sql_name for one in credentials_to_supply(plan, ())}
    wanted = grouped(
        (name, host)
        for host, secrets in sorted(files.secrets.items())
        for name in secrets
        if not any(os.access(place / SECRETS / name, os.F_OK) for place in (folder, folder / host))
    )
    text = f"{folder / LIST}: {counted(len(files.secrets), 'host')}\n"
    if wanted:
        text += "Secrets for the hosts that do not have them yet (or into the folder secrets of one host):\n"
    for name, hosts in sorted(wanted.items()):
        what = f"the SECRET of CREDENTIAL [{names[name]}], " if name in names else ""
        text += f"  - {folder / SECRETS / name}: {what}for {counted(len(hosts), 'host')}: {listed(hosts)}\n"
    return text


def _add_host(found: HostFiles, place: Path, common: str, plan: Plan, *, instances: Sequence[Instance], uris: KeyUris) -> None:
    """Add the changes of a host, and the secrets that it needs: the targets that its own files do not declare, with its old versions."""
    own_config, shared_config = place / CONFIG, place.parent / CONFIG
    config, parts = _text(own_config), read_folder(place / TARGETS)
    is_edited = config is not None and not is_own(config)
    files = [own_config if is_edited else shared_config, *(parts.path / one for one in (*parts.edited, *parts.others))]
    hand_written = read_hand_written([one for one in files if one.exists()], [parts.path / name for name in parts.own])
    declared = {KeyVersion(one.vault, one.key_name, one.key_version or "") for one in hand_written.targets}
    targets = [one for one in targets_of_host(plan.targets, instances) if one.version not in declared]
    own = Plan(targets=with_retained(targets, instances, uris, hand_written, plan.findings))
    if config is None or not is_edited:
        every, kept = ({one.name for one in credentials_to_supply(each, ())} for each in (plan, own))
        config = signed(_without_credentials(common, every - kept, shared_config))
    wanted = files_of(own, hand_written.credentials, f"../{SECRETS}")
    found.changes += _own_change(own_config, config, plan.findings)
    found.changes += accepted(changes(parts, wanted), hand_written.credentials, plan.findings)
    for name in parts.edited:
        plan.findings.note(f"{parts.path / name} {_EDITED}")
    secrets = {name for text in (config, *wanted.values()) for name in re.findall(r"secrets[/\\]+([\w.-]+)", text)}
    found.secrets[place.name] = sorted(secrets)


def _own_change(path: Path, text: str | None, findings: Findings | None = None) -> Iterator[FileChange]:
    """Yield the change of a file, unless it is the same or was edited. None removes it."""
    before = _text(path)
    if before is not None and not is_own(before):
        if findings is not None:
            findings.note(f"{path} {_EDITED}")
    elif before != text and (before is None or text is None or before.replace("\r\n", "\n") != text):
        yield FileChange(path, before, text)


def _without_credentials(text: str, names: Collection[str], path: Path) -> str:
    """Return the YAML without these credentials, whose secrets another host has."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise FolderError(f"{path}: not YAML: check it with ekm-exporter check --config.file {word(str(path), 'FILE')}") from None
    removed = False
    for key, section in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "credentials" and isinstance(section, yaml.MappingNode):
            kept = [pair for pair in section.value if pair[0].value not in names]
            removed = removed or len(kept) != len(section.value)
            section.value = kept
    # With its comments, unless something was removed.
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=120)) if removed else text


def _text(path: Path) -> str | None:
    """Return the text of a file, None without one. Raises FolderError."""
    try:
        return read_whole(path, limit=SIZE_LIMIT).decode("utf-8", "replace")
    except FileMissingError:
        return None
    except FileUnreadableError as error:
        raise FolderError(f"{path}: {error}") from None
