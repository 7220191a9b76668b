"""Which targets the exporter on each SQL Server's host has.

They are those of its own instances alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from exporter.core.windows_names import is_device
from exporter.tde.findings import Findings
from exporter.tde.model import Instance
from exporter.tde.plan import PlannedTarget
from exporter.tde.usage import NODES

# It becomes the name of a folder. A server answers with its own name, so a forged one must not lead out of the folder.
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")


def instances_by_host(instances: Iterable[Instance], findings: Findings) -> dict[str, list[Instance]]:
    """Return the instances that run on each host, or can.

    Those whose hosts are unknown are in the findings.
    """
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
        for host in instance.nodes if instance.platform != "linux" else ():
            if _HOST.fullmatch(host) and not is_device(host):
                found.setdefault(host, []).append(instance)
            else:
                findings.gap("the name of its computer is not fit for a folder, so it is on no host of --per-host", server)
    return found


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
