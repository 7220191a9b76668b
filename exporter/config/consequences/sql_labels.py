"""Which SQL Server of the configuration is one that a target declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from exporter.config.settings import Config, SqlServer, Target
from exporter.core.model import Mode


def compared_targets(config: Config) -> Iterator[Target]:
    """Yield the targets whose key SQL Servers use: a canary has a key of its own."""
    return (target for target in config.targets.values() if config.modules[target.module].mode is not Mode.CANARY)


def instance_names(config: Config) -> Iterator[str | None]:
    """Yield the name of the instance of each SQL Server.

    It is None if only SQL Server knows it.
    """
    return (server.sql_instance or server.parsed.instance for server in config.sql_servers.values())


def servers_of(target: Target, servers: Iterable[SqlServer]) -> tuple[SqlServer, ...]:
    """Return the SQL Servers that may be one of a target's instances."""
    return tuple(server for server in servers if any(may_be(server, declared) for declared in target.instances))


def unlisted_instances(target: Target, servers: Iterable[SqlServer]) -> Iterator[Mapping[str, str]]:
    """Yield the instances of a target that none of its SQL Servers may be.

    Without any SQL Server, there are none.
    """
    listed = servers_of(target, servers)
    for declared in target.instances if listed else ():
        if not any(may_be(server, declared) for server in listed):
            yield declared


def may_be(server: SqlServer, declared: Mapping[str, str]) -> bool:
    """Return whether a SQL Server of the configuration may be the declared one."""
    address = server.parsed
    return may_be_named(server.sql_instance or address.instance, server.host or address.host, declared)


def may_be_named(sql_instance: str | None, host: str, declared: Mapping[str, str]) -> bool:
    """Return whether an instance on a host may be the declared SQL Server.

    What one side lacks is not compared. Domains of hosts are not compared either.
    """
    same_host = _may_equal(_computer(host), _computer(declared.get("host", "")))
    return same_host and _may_equal(sql_instance, declared.get("sql_instance"))


def _may_equal(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one.casefold() == other.casefold()


def _computer(host: str) -> str | None:
    """Return the computer's name in a host name; None if there is none, as in an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return None if host == "localhost" else host.partition(".")[0] or None
    return None
