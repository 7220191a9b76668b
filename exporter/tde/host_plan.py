"""Which targets the exporter on each SQL Server's host has.

They are those of its own instances alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporter.core.windows_names import is_device
from exporter.tde.findings import Findings
from exporter.tde.identity import asked_host, is_numeric
from exporter.tde.model import Instance, printable
from exporter.tde.plan import PlannedTarget
from exporter.tde.usage import NODES

# It becomes the name of a folder. A server answers with its own name, so a forged one must not lead out of the folder.
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class WrittenHosts:
    """The hosts in the operator's own files, in lower case: of one SQL Server, by its address in lower case, and of any."""

    by_address: Mapping[str, str] = field(default_factory=dict)
    of_any: Collection[str] = ()


def instances_by_host(
    instances: Iterable[Instance], findings: Findings, written: WrittenHosts | None = None
) -> dict[str, list[Instance]]:
    """Return the instances that run on each host, or can.

    A SQL Server answers with its hosts, so one counts if it was asked under that name, or if the operator wrote it. Those whose hosts are
    unknown are in the findings.
    """
    written = written or WrittenHosts()
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        server = instance.server_name
        if not instance.uses_provider:
            continue
        if instance.platform == "linux":
            findings.note("runs on Linux, which install-hosts.ps1 does not reach, so it is on no host of --per-host", server)
        elif not instance.nodes:
            cause = instance.errors.get(NODES, "the section nodes is empty")
            text = "runs in a failover cluster whose nodes are unknown, so it is on no host of --per-host"
            findings.gap(f"{text} (needs VIEW SERVER PERFORMANCE STATE, before 2022 VIEW SERVER STATE): {cause}", server)
        hosts = dict.fromkeys(_hosts(instance, written, findings)) if instance.platform != "linux" else {}
        for host in hosts:
            found.setdefault(host, []).append(instance)
    return found


def _hosts(instance: Instance, written: WrittenHosts, findings: Findings) -> Iterator[str]:
    for node in instance.nodes:
        if not _HOST.fullmatch(node) or is_device(node):
            findings.gap(
                "the name of its computer is not fit for a folder, so it is on no host of --per-host", instance.server_name
            )
        elif host := _vouched(node, instance.address, written):
            yield host
        else:
            text = f"read as {printable(instance.address)}, it names the host {node}, which you did not, so it is not on that host of --per-host"
            findings.gap(f"{text}: if that is right, write {node} in the file of --hosts", instance.server_name)


def _vouched(node: str, address: str, written: WrittenHosts) -> str:
    """Return the host that a name of the operator means, empty if none does: the domain is never the server's own."""
    label = "" if is_numeric(node) else node.partition(".")[0]
    for name in (asked_host(address, label), written.by_address.get(address.lower(), ""), *written.of_any):
        if name == node or (name and name.partition(".")[0] == label):
            return node if node == label else name
    return ""


def targets_of_host(targets: Iterable[PlannedTarget], instances: Sequence[Instance]) -> list[PlannedTarget]:
    """Return the targets that these instances use, with these instances alone."""
    servers = {instance.server_name for instance in instances}
    labels = {(instance.sql_instance, instance.host) for instance in instances}
    return [
        replace(
            target,
            instances=tuple(one for one in target.instances if (one["sql_instance"], one["host"]) in labels),
            credential=replace(target.credential, servers=_only(target.credential.servers, servers)),
            databases={server: names for server, names in target.databases.items() if server in servers},
        )
        for target in targets
        if servers & target.databases.keys()
    ]


def _only(servers: Iterable[str], chosen: set[str]) -> tuple[str, ...]:
    return tuple(server for server in servers if server in chosen)
