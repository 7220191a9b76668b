"""Keys that a replica lacks, although another replica of its availability group has the same database under them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from exporter.tde.identity import is_same_server
from exporter.tde.model import Instance

GroupKeys = Mapping[tuple[str, str], Mapping[str, str]]  # by group and database: thumbprint by server


def keys_of_groups(instances: Iterable[Instance]) -> GroupKeys:
    """Return the thumbprint of each database of a group, as each replica shows it."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for instance in instances:
        for database in instance.databases:
            if database.ag and database.thumbprint:
                found.setdefault((database.ag.lower(), database.name), {})[instance.server_name] = database.thumbprint
    return found


def missing_keys(instance: Instance, known: GroupKeys) -> Iterator[str]:
    """Yield what a replica needs to open a database whose key it does not show. Groups of one name may be of two clusters."""
    own = {key.thumbprint for key in instance.keys}
    for database in instance.databases if "keys" not in instance.errors else ():
        if not (database.ag and database.hidden):
            continue
        replicas = [server for group, server in instance.replicas if group.lower() == database.ag.lower()]
        for server, thumbprint in known.get((database.ag.lower(), database.name), {}).items():
            if thumbprint not in own and any(is_same_server(server, replica) for replica in replicas):
                text = f"database [{database.name}] of availability group {database.ag} is under {thumbprint} on {server}"
                yield f"{text}, but this server has no key with that thumbprint: create the asymmetric key"
                break
