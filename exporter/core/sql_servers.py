"""A SQL Server is an instance and its host: `PROD on n1`. Instances of one name on several hosts are several SQL Servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def server_name(labels: Mapping[str, str]) -> str:
    """Return the name of a declared SQL Server; the instance alone if no host is declared."""
    instance, host = labels.get("sql_instance", ""), labels.get("host", "")
    return f"{instance} on {host}" if host else instance


def server_names(instances: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return each declared SQL Server once, by a key that ignores case, as Windows does."""
    names = dict[str, str]()
    for each in instances:
        if each.get("sql_instance"):
            names.setdefault(server_name(each).casefold(), server_name(each))
    return names
