"""Sections that a missing right leaves empty without an error: they count as unread, never as gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.tde.fields import Row

Sections = Mapping[str, Sequence[Row]]

_SECURITY = ("credentials", "keys", "logins")  # VIEW ANY SECURITY DEFINITION is enough (SQL Server 2022)
_DATABASES = ("encryption", "databases")
_PROOF_DATABASES = ("opened", "backups", "logs")
_NO_DEFINITIONS = "the login may not see it: grant VIEW ANY DEFINITION (login.sql)"
_NO_DATABASES = "the login may not see every database: grant VIEW ANY DATABASE (login.sql)"


def unseen(sections: Sections) -> dict[str, str]:
    """Return a message for each section that may have fewer rows than the server."""
    own = next(iter(sections.get("instance", ())), {})
    of_databases = (*_DATABASES, *(name for name in _PROOF_DATABASES if name in sections))
    hidden = dict.fromkeys(of_databases, _NO_DATABASES) if own.get("may_view_databases") == 0 else {}
    return hidden | dict.fromkeys(_definitions(own, sections), _NO_DEFINITIONS)


def _definitions(own: Row, sections: Sections) -> Iterator[str]:
    if own.get("may_view_definitions") != 0:
        return
    if own.get("may_view_security_definitions") != 1:
        yield from _SECURITY
    # Without a database in a group, no group matters. Older readings do not have the column.
    if any(row.get("in_group", 1) == 1 and not row.get("ag") for row in sections.get("databases", ())):
        yield "replicas"
